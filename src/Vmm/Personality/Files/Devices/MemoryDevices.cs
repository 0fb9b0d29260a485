using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>The character devices with major number 1 (mem(4), null(4), full(4), random(4)).</summary>
public enum MemoryDevice : uint
{
    Null = 3,
    Zero = 5,
    Full = 7,
    Random = 8,
    URandom = 9,
}

/// <summary>A device node of the guest's /dev.</summary>
/// <param name="memory">For mappings of /dev/zero; null refuses them.</param>
sealed class MemoryDeviceInode(FileSystem fileSystem, MemoryDevice device, GuestMemory? memory)
    : SyntheticInode(fileSystem, fileSystem.NextNumber(), S_IFCHR | 0x1b6)
{
    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = new MemoryDeviceFile(self, flags, device, memory);
        return 0;
    }
}

/// <summary>An open memory device. None of them waits, and none keeps a position.</summary>
sealed unsafe class MemoryDeviceFile(Dentry dentry, int flags, MemoryDevice device, GuestMemory? memory)
    : InodeFile(dentry, flags)
{
    private readonly Lock _lock = new();
    private PagedObject? _zeros;

    public override long Read(Span<byte> buffer)
    {
        switch (device)
        {
            case MemoryDevice.Null:
                return 0;
            case MemoryDevice.Random or MemoryDevice.URandom:
                return FillRandom(buffer);
            default:
                buffer.Clear();
                return buffer.Length;
        }
    }

    public override long ReadAt(Span<byte> buffer, long offset) => Read(buffer);

    /// <summary>Bytes written to the random devices are taken and change nothing: the host's pool needs none.</summary>
    public override long Write(ReadOnlySpan<byte> buffer) => device == MemoryDevice.Full ? -ENOSPC : buffer.Length;

    public override long WriteAt(ReadOnlySpan<byte> buffer, long offset) => Write(buffer);

    public override long Seek(long offset, int whence) => whence is SEEK_SET or SEEK_CUR or SEEK_END ? 0 : -EINVAL;

    /// <summary>
    /// /dev/zero as memory: one endless hole for each open file. Shared mappings of the same open file see each
    /// other, which Linux keeps apart; private ones, the common kind, are what they are on Linux.
    /// </summary>
    public override IMappable? Mappable
    {
        get
        {
            if (device != MemoryDevice.Zero || memory is null)
                return null;
            lock (_lock)
            {
                if (_zeros is null)
                {
                    _zeros = memory.CreateObject("/dev/zero", Inode.FileSystem.Device, Inode.Number, null);
                    _zeros.SetLength(PagedObject.MaximumLength);
                }
                return _zeros;
            }
        }
    }

    protected override void Close()
    {
        base.Close();
        _zeros?.Release();
    }

    private static long FillRandom(Span<byte> buffer)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            fixed (byte* start = buffer[done..])
            {
                nint count = getrandom(start, (nuint)(buffer.Length - done), 0);
                if (count < 0 && errno == EINTR)
                    continue;
                if (count < 0)
                    return -errno;
                done += (int)count;
            }
        }
        return done;
    }
}
