using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>stat(2) on x86-64: asm/stat.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct stat
{
    public ulong st_dev;
    public ulong st_ino;
    public ulong st_nlink;
    public uint st_mode;
    public uint st_uid;
    public uint st_gid;
    public uint __pad0;
    public ulong st_rdev;
    public long st_size;
    public long st_blksize;
    public long st_blocks;
    public ulong st_atime;
    public ulong st_atime_nsec;
    public ulong st_mtime;
    public ulong st_mtime_nsec;
    public ulong st_ctime;
    public ulong st_ctime_nsec;
    public fixed long __unused[3];
}

/// <summary>Time in statx(2): linux/stat.h. Nanoseconds are 0..999,999,999 also before the epoch.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct statx_timestamp
{
    public long tv_sec;
    public uint tv_nsec;
    public int __reserved;
}

/// <summary>statx(2): linux/stat.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct statx
{
    public uint stx_mask;
    public uint stx_blksize;
    public ulong stx_attributes;
    public uint stx_nlink;
    public uint stx_uid;
    public uint stx_gid;
    public ushort stx_mode;
    public ushort __spare0;
    public ulong stx_ino;
    public ulong stx_size;
    public ulong stx_blocks;
    public ulong stx_attributes_mask;
    public statx_timestamp stx_atime;
    public statx_timestamp stx_btime;
    public statx_timestamp stx_ctime;
    public statx_timestamp stx_mtime;
    public uint stx_rdev_major;
    public uint stx_rdev_minor;
    public uint stx_dev_major;
    public uint stx_dev_minor;
    public ulong stx_mnt_id;
    public uint stx_dio_mem_align;
    public uint stx_dio_offset_align;
    public fixed ulong __spare3[12];
}

/// <summary>File attributes: sys/stat.h.</summary>
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    public static partial int stat(byte* path, stat* buffer);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fstatat(int dirfd, byte* path, stat* buffer, int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int statx(int dirfd, byte* path, int flags, uint mask, statx* buffer);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fchmod(int fd, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fchmodat(int dirfd, byte* path, uint mode, int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int mkdirat(int dirfd, byte* path, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int mknodat(int dirfd, byte* path, uint mode, ulong device);

    /// <summary>Sets access and modification time; with a null path, of the descriptor itself.</summary>
    public static int utimensat(int dirfd, byte* path, timespec* times, int flags) =>
        (int)syscall(SYS_utimensat, dirfd, (nint)path, (nint)times, flags);

    [LibraryImport(Library)]
    public static partial uint umask(uint mask);

    public static bool S_ISREG(uint mode) => (mode & S_IFMT) == S_IFREG;

    public static bool S_ISDIR(uint mode) => (mode & S_IFMT) == S_IFDIR;

    public static bool S_ISLNK(uint mode) => (mode & S_IFMT) == S_IFLNK;

    public static bool S_ISCHR(uint mode) => (mode & S_IFMT) == S_IFCHR;

    public static bool S_ISBLK(uint mode) => (mode & S_IFMT) == S_IFBLK;

    public static bool S_ISFIFO(uint mode) => (mode & S_IFMT) == S_IFIFO;

    public static bool S_ISSOCK(uint mode) => (mode & S_IFMT) == S_IFSOCK;

    /// <summary>The same in stat(2)'s structure. Seconds before the epoch keep their bits.</summary>
    public static stat ToStat(in statx status) => new()
    {
        st_dev = makedev(status.stx_dev_major, status.stx_dev_minor),
        st_ino = status.stx_ino,
        st_nlink = status.stx_nlink,
        st_mode = status.stx_mode,
        st_uid = status.stx_uid,
        st_gid = status.stx_gid,
        st_rdev = makedev(status.stx_rdev_major, status.stx_rdev_minor),
        st_size = (long)status.stx_size,
        st_blksize = status.stx_blksize,
        st_blocks = (long)status.stx_blocks,
        st_atime = (ulong)status.stx_atime.tv_sec,
        st_atime_nsec = status.stx_atime.tv_nsec,
        st_mtime = (ulong)status.stx_mtime.tv_sec,
        st_mtime_nsec = status.stx_mtime.tv_nsec,
        st_ctime = (ulong)status.stx_ctime.tv_sec,
        st_ctime_nsec = status.stx_ctime.tv_nsec,
    };

    /// <summary>A device number as stat(2) shows it: makedev(3).</summary>
    public static ulong makedev(uint major, uint minor) =>
        ((ulong)(major & 0xfffff000) << 32) | ((ulong)(major & 0xfff) << 8)
        | ((ulong)(minor & 0xffffff00) << 12) | (minor & 0xff);

    public static uint major(ulong device) => (uint)((device >> 32) & 0xfffff000) | (uint)((device >> 8) & 0xfff);

    public static uint minor(ulong device) => (uint)((device >> 12) & 0xffffff00) | (uint)(device & 0xff);
}
