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
/// An open directory whose entries are listed when reading begins and again after rewinding to 0. For directories
/// that are small or made up on the spot; the list is bounded by who makes it.
/// </summary>
public sealed class ListedDirectoryFile(Dentry dentry, int flags, ListedDirectoryFile.ListEntries list)
    : DirectoryFile(dentry, flags)
{
    public readonly record struct Entry(byte[] Name, ulong Inode, uint Type);

    /// <summary>The entries without '.' and '..'.</summary>
    public delegate long ListEntries(List<Entry> entries);

    private readonly Lock _lock = new();
    private List<Entry>? _entries;
    private long _position;

    public override long ReadEntries(Span<byte> buffer)
    {
        lock (_lock)
        {
            if (_entries is null)
            {
                List<Entry> entries = [];
                entries.Add(new("."u8.ToArray(), Inode.Number, S_IFDIR));
                entries.Add(new(".."u8.ToArray(), (Dentry.Parent ?? Dentry).Inode.Number, S_IFDIR));
                long result = list(entries);
                if (result < 0)
                    return result;
                _entries = entries;
            }
            int used = 0;
            while (_position < _entries.Count)
            {
                Entry entry = _entries[(int)_position];
                if (!TryWriteRecord(buffer, ref used, entry.Inode, _position + 1, entry.Type, entry.Name))
                    return used > 0 ? used : -EINVAL;
                _position++;
            }
            return used;
        }
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
            if (target == 0)
                _entries = null;
            return _position = target;
        }
    }
}
