using System.Buffers.Binary;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>An open host directory. Records and cookies are the host's own: they are stable under modification.</summary>
/// <param name="growth">A hold on its record, which goes with it; null without a quota.</param>
sealed unsafe class HostDirectoryFile(Dentry dentry, int flags, FileDescriptor descriptor, GrowthRecord? growth)
    : DirectoryFile(dentry, flags)
{
    private readonly Lock _lock = new();

    public override long ReadEntries(Span<byte> buffer)
    {
        lock (_lock)
        {
            long count = ReadHostEntries(descriptor.Value, buffer);
            if (count > 0 && Dentry.IsMountRoot)
                HideParent(buffer[..(int)count]);
            return count;
        }
    }

    public override long Seek(long offset, int whence)
    {
        lock (_lock)
            return HostCalls.Seek(descriptor, offset, whence);
    }

    /// <summary>Of what is open: its name may be gone.</summary>
    public override long GetStatus(out InodeStatus status)
    {
        long result = HostCalls.GetStatus(descriptor.Value, out statx fresh);
        status = result == 0 ? ((HostInode)Inode).Remember(fresh) : default;
        return result;
    }

    public override long Synchronize(bool dataOnly) => fsync(descriptor.Value) == 0 ? 0 : -errno;

    protected override void Close()
    {
        base.Close();
        descriptor.Dispose();
        growth?.Release();
        ((HostFileSystem)Inode.FileSystem).Cache.ReleaseFile();
    }

    internal static long ReadHostEntries(int directory, Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            nint count = getdents64(directory, start, (nuint)buffer.Length);
            return count >= 0 ? count : -errno;
        }
    }

    /// <summary>'..' of the grant's root is the guest's directory, whose number is not the host's.</summary>
    private void HideParent(Span<byte> records)
    {
        foreach (Record record in new Records(records))
        {
            if (record.Name is [(byte)'.', (byte)'.'])
                BinaryPrimitives.WriteUInt64LittleEndian(
                    records[record.Start..], (Dentry.Parent ?? Dentry).Inode.Number);
        }
    }

    internal readonly ref struct Record(int start, ReadOnlySpan<byte> bytes)
    {
        private readonly ReadOnlySpan<byte> _bytes = bytes;

        public int Start { get; } = start;

        public ulong Inode => BinaryPrimitives.ReadUInt64LittleEndian(_bytes);

        public byte Type => _bytes[18];

        public ReadOnlySpan<byte> Name
        {
            get
            {
                ReadOnlySpan<byte> name = _bytes[HeaderSize..];
                int end = name.IndexOf((byte)0);
                return end < 0 ? name : name[..end];
            }
        }

        public bool IsDotOrDotDot => Name is [(byte)'.'] or [(byte)'.', (byte)'.'];
    }

    internal ref struct Records(ReadOnlySpan<byte> bytes)
    {
        private readonly ReadOnlySpan<byte> _bytes = bytes;
        private int _start;
        private int _next;

        public readonly Records GetEnumerator() => this;

        public readonly Record Current => new(_start, _bytes[_start.._next]);

        public bool MoveNext()
        {
            if (_next + HeaderSize > _bytes.Length)
                return false;
            int length = BinaryPrimitives.ReadUInt16LittleEndian(_bytes[(_next + 16)..]);
            if (length < HeaderSize || _next + length > _bytes.Length)
                return false;
            _start = _next;
            _next += length;
            return true;
        }
    }
}
