using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Devices.Block;

/// <summary>
/// A raw image behind a descriptor. Operations answer a count, or 0, or a negative error number. The file
/// may become shorter meanwhile: what is gone is an error.
/// </summary>
sealed unsafe class BlockImage : IDisposable
{
    public const int SectorBytes = 512;

    /// <summary>Zeroes are written in pieces of this length where the file system cannot make them.</summary>
    private const int ZeroBytes = 64 << 10;

    private static readonly byte[] s_zeroes = new byte[ZeroBytes];

    private readonly FileDescriptor _file;

    /// <param name="file">Owned from now on.</param>
    /// <exception cref="HostException">No regular file and no block device, or of no length.</exception>
    public BlockImage(FileDescriptor file, bool isReadOnly)
    {
        int error = file.GetStatus(out stat status);
        if (error < 0)
            throw new HostException(-error, "fstat", "a disk image");
        if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
            throw new HostException(EINVAL, "fstat", "a disk image", "a disk is a regular file or a block device");
        long length = file.Seek(0, SEEK_END);
        if (length < 0)
            throw new HostException((int)-length, "lseek", "a disk image");
        if (length < SectorBytes)
            throw new HostException(EINVAL, "lseek", "a disk image", "it is shorter than one sector");
        _file = file;
        IsReadOnly = isReadOnly;
        Sectors = (ulong)length / SectorBytes;
    }

    public ulong Sectors { get; }

    public bool IsReadOnly { get; }

    /// <summary>Whether a range lies on the disk. No sum here can wrap.</summary>
    public bool Contains(ulong sector, ulong sectors) => sector <= Sectors && sectors <= Sectors - sector;

    /// <summary>One preadv2(2): bytes, 0 behind the file's end, or a negative error number, never -EINTR.</summary>
    public nint Read(ReadOnlySpan<iovec> buffers, long offset)
    {
        fixed (iovec* vector = buffers)
        {
            nint count;
            do
                count = preadv2(_file.Value, vector, buffers.Length, offset, 0);
            while (count < 0 && errno == EINTR);
            return count < 0 ? -errno : count;
        }
    }

    /// <summary>One pwritev2(2), as above.</summary>
    /// <param name="isDurable">On the host's disk when it returns (RWF_DSYNC).</param>
    public nint Write(ReadOnlySpan<iovec> buffers, long offset, bool isDurable)
    {
        fixed (iovec* vector = buffers)
        {
            nint count;
            do
                count = pwritev2(_file.Value, vector, buffers.Length, offset, isDurable ? RWF_DSYNC : 0);
            while (count < 0 && errno == EINTR);
            return count < 0 ? -errno : count;
        }
    }

    /// <summary>All that was written is on the host's disk.</summary>
    public int Flush() => fdatasync(_file.Value) == 0 ? 0 : -errno;

    /// <summary>The range's blocks go back to the host; it reads as zeroes.</summary>
    public int Discard(long offset, long length) =>
        Allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);

    /// <summary>Makes a range zero and keeps its blocks, by writing where the file system knows no better.</summary>
    public int WriteZeroes(long offset, long length)
    {
        int error = Allocate(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
        if (error != -EOPNOTSUPP)
            return error;
        while (length > 0)
        {
            nint count = _file.WriteAt(s_zeroes.AsSpan(0, (int)Math.Min(length, ZeroBytes)), offset);
            if (count == -EINTR)
                continue;
            if (count <= 0)
                return count < 0 ? (int)count : -EIO;
            offset += count;
            length -= count;
        }
        return 0;
    }

    private int Allocate(int mode, long offset, long length)
    {
        int result;
        do
            result = fallocate(_file.Value, mode, offset, length);
        while (result != 0 && errno == EINTR);
        return result == 0 ? 0 : -errno;
    }

    public void Dispose() => _file.Dispose();
}
