using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Audit;

/// <summary>A log or its head, as it is written. Tests have others, whose disks fail.</summary>
/// <param name="descriptor">Taken over.</param>
class LogFile(FileDescriptor descriptor, string path) : IDisposable
{
    public FileDescriptor Descriptor => descriptor;
    public string Path => path;

    /// <returns>0 or a negative error number; then some of it may have been written.</returns>
    public virtual int WriteAt(ReadOnlySpan<byte> bytes, long offset) =>
        PrivateFile.WriteAt(descriptor, bytes, offset);

    /// <summary>Cuts it off.</summary>
    /// <returns>0 or a negative error number.</returns>
    public virtual int Truncate(long length) => ftruncate(descriptor.Value, length) == 0 ? 0 : -errno;

    /// <summary>Waits until its bytes are on the disk.</summary>
    /// <returns>0 or a negative error number.</returns>
    public virtual int Flush() => fdatasync(descriptor.Value) == 0 ? 0 : -errno;

    public void Dispose() => descriptor.Dispose();
}
