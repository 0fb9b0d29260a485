using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>A file system's state: asm-generic/statfs.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct statfs
{
    public long f_type;
    public long f_bsize;
    public long f_blocks;
    public long f_bfree;
    public long f_bavail;
    public long f_files;
    public long f_ffree;
    public fixed int f_fsid[2];
    public long f_namelen;
    public long f_frsize;
    public long f_flags;
    public fixed long f_spare[4];
}

/// <summary>File system state: sys/statfs.h.</summary>
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    public static partial int statfs(byte* path, statfs* buffer);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fstatfs(int fd, statfs* buffer);
}
