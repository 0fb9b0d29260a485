using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>One buffer of vectored I/O: linux/uio.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct iovec
{
    public void* iov_base;
    public nuint iov_len;
}

/// <summary>Vectored I/O: sys/uio.h.</summary>
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    public static partial nint readv(int fd, iovec* vector, int count);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint writev(int fd, iovec* vector, int count);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint pwritev(int fd, iovec* vector, int count, long offset);

    /// <summary>readv at an offset, with RWF_* flags; an offset of -1 means the file's own position.</summary>
    [LibraryImport(Library, SetLastError = true)]
    public static partial nint preadv2(int fd, iovec* vector, int count, long offset, int flags);

    /// <summary>pwritev with RWF_* flags; an offset of -1 means the file's own position.</summary>
    [LibraryImport(Library, SetLastError = true)]
    public static partial nint pwritev2(int fd, iovec* vector, int count, long offset, int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint process_vm_readv(
        int pid, iovec* local, nuint localCount, iovec* remote, nuint remoteCount, nuint flags);
}
