using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Boot;

/// <summary>A boot file behind a descriptor, read with pread(2).</summary>
public sealed class HostBootFile : IBootFile
{
    private readonly FileDescriptor _file;

    /// <param name="file">A regular file, open for reading; stays the caller's.</param>
    /// <exception cref="HostException">It cannot be looked at.</exception>
    public HostBootFile(FileDescriptor file)
    {
        _file = file;
        int error = file.GetStatus(out stat status);
        if (error != 0)
            throw new HostException(-error, "fstat", "a boot file");
        Length = (ulong)Math.Max(status.st_size, 0);
    }

    public ulong Length { get; }

    public bool TryRead(ulong offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            if (offset > long.MaxValue)
                return false;
            nint count = _file.ReadAt(destination, (long)offset);
            if (count == -EINTR)
                continue;
            if (count <= 0)
                return false;
            offset += (ulong)count;
            destination = destination[(int)count..];
        }
        return true;
    }
}
