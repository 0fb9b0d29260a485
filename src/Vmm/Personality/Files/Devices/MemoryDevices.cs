using Sandbox.Host;
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
sealed class MemoryDeviceInode(FileSystem fileSystem, MemoryDevice device)
    : SyntheticInode(fileSystem, fileSystem.NextNumber(), S_IFCHR | 0x1b6)
{
    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = new MemoryDeviceFile(self, flags, device);
        return 0;
    }
}

/// <summary>An open memory device. None of them waits, and none keeps a position.</summary>
sealed unsafe class MemoryDeviceFile(Dentry dentry, int flags, MemoryDevice device) : InodeFile(dentry, flags)
{
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

    /// <summary>A private mapping of /dev/zero is anonymous memory: the memory calls ask for this.</summary>
    public bool IsZero => device == MemoryDevice.Zero;

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
