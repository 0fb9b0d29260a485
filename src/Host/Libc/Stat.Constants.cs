namespace Sandbox.Host;

/// <summary>File types, modes and statx: linux/stat.h; UTIME_* from sys/stat.h.</summary>
public static unsafe partial class Libc
{
    public const int S_IFMT = 0xF000; // 0170000
    public const int S_IFSOCK = 0xC000; // 0140000
    public const int S_IFLNK = 0xA000; // 0120000
    public const int S_IFREG = 0x8000; // 0100000
    public const int S_IFBLK = 0x6000; // 060000
    public const int S_IFDIR = 0x4000; // 040000
    public const int S_IFCHR = 0x2000; // 020000
    public const int S_IFIFO = 0x1000; // 010000
    public const int S_ISUID = 0x800; // 04000
    public const int S_ISGID = 0x400; // 02000
    public const int S_ISVTX = 0x200; // 01000
    public const int S_IRWXU = 0x1C0; // 0700
    public const int S_IRUSR = 0x100; // 0400
    public const int S_IWUSR = 0x80; // 0200
    public const int S_IXUSR = 0x40; // 0100
    public const int S_IRWXG = 0x38; // 070
    public const int S_IRGRP = 0x20; // 040
    public const int S_IWGRP = 0x10; // 020
    public const int S_IXGRP = 0x8; // 010
    public const int S_IRWXO = 0x7;
    public const int S_IROTH = 0x4;
    public const int S_IWOTH = 0x2;
    public const int S_IXOTH = 0x1;

    public const int STATX_TYPE = 0x1;
    public const int STATX_MODE = 0x2;
    public const int STATX_NLINK = 0x4;
    public const int STATX_UID = 0x8;
    public const int STATX_GID = 0x10;
    public const int STATX_ATIME = 0x20;
    public const int STATX_MTIME = 0x40;
    public const int STATX_CTIME = 0x80;
    public const int STATX_INO = 0x100;
    public const int STATX_SIZE = 0x200;
    public const int STATX_BLOCKS = 0x400;
    public const int STATX_BASIC_STATS = 0x7FF;
    public const uint STATX__RESERVED = 0x80000000u;
    public const int STATX_BTIME = 0x800;
    public const int STATX_MNT_ID = 0x1000;
    public const int STATX_DIOALIGN = 0x2000;
    public const int STATX_ALL = 0xFFF;
    public const int STATX_ATTR_COMPRESSED = 0x4;
    public const int STATX_ATTR_IMMUTABLE = 0x10;
    public const int STATX_ATTR_APPEND = 0x20;
    public const int STATX_ATTR_NODUMP = 0x40;
    public const int STATX_ATTR_ENCRYPTED = 0x800;
    public const int STATX_ATTR_AUTOMOUNT = 0x1000;
    public const int STATX_ATTR_MOUNT_ROOT = 0x2000;
    public const int STATX_ATTR_VERITY = 0x100000;
    public const int STATX_ATTR_DAX = 0x200000;

    public const int UTIME_NOW = 0x3FFFFFFF;
    public const int UTIME_OMIT = 0x3FFFFFFE;
}
