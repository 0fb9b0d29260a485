using System.Buffers.Binary;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>An open directory: getdents(2) and a position made of cookies.</summary>
public abstract class DirectoryFile(Dentry dentry, int flags) : InodeFile(dentry, flags)
{
    /// <summary>d_ino, d_off, d_reclen, d_type of struct linux_dirent64; the name follows.</summary>
    public const int HeaderSize = 19;

    public override long Read(Span<byte> buffer) => -EISDIR;

    public override long ReadAt(Span<byte> buffer, long offset) => -EISDIR;

    public override long Write(ReadOnlySpan<byte> buffer) => -EBADF;

    public override long WriteAt(ReadOnlySpan<byte> buffer, long offset) => -EBADF;

    public override long Synchronize(bool dataOnly) => 0;

    /// <summary>
    /// Fills the buffer with as many whole struct linux_dirent64 as fit. Bytes, 0 at the end, -EINVAL when not even
    /// one fits, -ENOENT when the directory has been removed.
    /// </summary>
    public abstract long ReadEntries(Span<byte> buffer);

    /// <summary>Size of a record for a name.</summary>
    public static int RecordSize(int nameLength) => (HeaderSize + nameLength + 1 + 7) & ~7;

    /// <summary>Writes one record; false when it does not fit.</summary>
    public static bool TryWriteRecord(
        Span<byte> buffer, ref int used, ulong inode, long cookie, uint type, ReadOnlySpan<byte> name)
    {
        int size = RecordSize(name.Length);
        if (size > buffer.Length - used)
            return false;
        Span<byte> record = buffer.Slice(used, size);
        record.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(record, inode);
        BinaryPrimitives.WriteInt64LittleEndian(record[8..], cookie);
        BinaryPrimitives.WriteUInt16LittleEndian(record[16..], (ushort)size);
        record[18] = (byte)(type >> 12);
        name.CopyTo(record[HeaderSize..]);
        used += size;
        return true;
    }
}

/// <summary>
/// An open directory whose entries are listed when reading begins and again after seeking. For directories that are
/// small or made up on the spot. The list is charged to the guest, and held until its end has been read.
/// </summary>
public sealed class ListedDirectoryFile(Dentry dentry, int flags, ListedDirectoryFile.ListEntries list)
    : DirectoryFile(dentry, flags)
{
    public readonly record struct Entry(byte[] Name, ulong Inode, uint Type);

    /// <summary>Lists the entries without '.' and '..'. 0 or a negative errno; no further once there is no room.</summary>
    public delegate long ListEntries(Listing entries);

    /// <summary>The entries of one listing, and what they cost.</summary>
    public sealed class Listing
    {
        /// <summary>A name's array and its place in the list, which has room for twice as many.</summary>
        private const int EntryCost = 96;

        private readonly ListedDirectoryFile _owner;
        private readonly List<Entry> _entries = [];
        private long _cost;

        internal Listing(ListedDirectoryFile owner) => _owner = owner;

        /// <summary>An entry found no room: the listing is -ENOMEM.</summary>
        public bool IsCut { get; private set; }

        public int Count => _entries.Count;

        internal Entry this[int index] => _entries[index];

        /// <summary>False when the guest's memory for kernel objects is spent, from then on.</summary>
        public bool Add(byte[] name, ulong inode, uint type)
        {
            int cost = EntryCost + name.Length;
            IsCut = IsCut || !_owner.TryHold(cost);
            if (IsCut)
                return false;
            _cost += cost;
            _entries.Add(new(name, inode, type));
            return true;
        }

        internal void Release() => _owner.LetGo(_cost);
    }

    private readonly Lock _lock = new();
    private Listing? _entries;
    private bool _isAtEnd;
    private long _position;

    public override long ReadEntries(Span<byte> buffer)
    {
        lock (_lock)
        {
            if (_isAtEnd)
                return 0;
            if (_entries is null)
            {
                long result = List(out _entries);
                if (result < 0)
                    return result;
            }
            int used = 0;
            while (_position < _entries!.Count)
            {
                Entry entry = _entries[(int)_position];
                if (!TryWriteRecord(buffer, ref used, entry.Inode, _position + 1, entry.Type, entry.Name))
                    return used > 0 ? used : -EINVAL;
                _position++;
            }
            Drop();
            _isAtEnd = true;
            return used;
        }
    }

    private long List(out Listing? entries)
    {
        Listing all = new(this);
        all.Add("."u8.ToArray(), Inode.Number, S_IFDIR);
        all.Add(".."u8.ToArray(), (Dentry.Parent ?? Dentry).Inode.Number, S_IFDIR);
        long result = list(all);
        if (all.IsCut)
            result = -ENOMEM;
        if (result < 0)
            all.Release();
        entries = result < 0 ? null : all;
        return result;
    }

    private void Drop()
    {
        _entries?.Release();
        _entries = null;
    }

    public override long Seek(long offset, int whence)
    {
        lock (_lock)
        {
            long target = whence switch
            {
                SEEK_SET => offset,
                SEEK_CUR => unchecked(_position + offset),
                _ => -1,
            };
            if (target < 0)
                return -EINVAL;
            // Another place in the same list; from the beginning, or after its end, it is made anew.
            if (target == 0)
                Drop();
            if (target != _position)
                _isAtEnd = false;
            return _position = target;
        }
    }
}
