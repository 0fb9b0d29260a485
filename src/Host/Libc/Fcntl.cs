using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Record lock as fcntl(2) takes it: asm-generic/fcntl.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct flock
{
    public short l_type;
    public short l_whence;
    public long l_start;
    public long l_len;
    public int l_pid;
}

/// <summary>Owner of a descriptor's signals (F_SETOWN_EX): asm-generic/fcntl.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct f_owner_ex
{
    public int type;
    public int pid;
}

/// <summary>Opening, duplicating and controlling descriptors: fcntl.h.</summary>
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    public static partial int open(byte* path, int flags, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int openat(int dirfd, byte* path, int flags, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fcntl(int fd, int cmd, nint arg);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fcntl(int fd, int cmd, flock* arg);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fallocate(int fd, int mode, long offset, long length);

    [LibraryImport(Library)]
    public static partial int posix_fadvise(int fd, long offset, long length, int advice);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint splice(int fdIn, long* offIn, int fdOut, long* offOut, nuint length, uint flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int sync_file_range(int fd, long offset, long length, uint flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int flock(int fd, int operation);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int renameat(int oldDirfd, byte* oldPath, int newDirfd, byte* newPath);

    /// <summary>The call itself: some C libraries make renameat(2) of it, which a filter would have to know.</summary>
    public static int renameat2(int oldDirfd, byte* oldPath, int newDirfd, byte* newPath, uint flags) =>
        (int)syscall(SYS_renameat2, oldDirfd, (nint)oldPath, newDirfd, (nint)newPath, (nint)flags);
}
