namespace Sandbox.Host;

/// <summary>
/// Files: asm/fcntl.h, linux/fcntl.h, linux/fs.h. O_LARGEFILE is the kernel's value, not the C library's zero.
/// </summary>
public static unsafe partial class Libc
{
    public const int O_ACCMODE = 0x3;
    public const int O_RDONLY = 0x0;
    public const int O_WRONLY = 0x1;
    public const int O_RDWR = 0x2;
    public const int O_CREAT = 0x40; // 0100
    public const int O_EXCL = 0x80; // 0200
    public const int O_NOCTTY = 0x100; // 0400
    public const int O_TRUNC = 0x200; // 01000
    public const int O_APPEND = 0x400; // 02000
    public const int O_NONBLOCK = 0x800; // 04000
    public const int O_DSYNC = 0x1000; // 010000
    public const int O_ASYNC = 0x2000; // 020000
    public const int O_DIRECT = 0x4000; // 040000
    public const int O_LARGEFILE = 0x8000; // 0100000
    public const int O_DIRECTORY = 0x10000; // 0200000
    public const int O_NOFOLLOW = 0x20000; // 0400000
    public const int O_NOATIME = 0x40000; // 01000000
    public const int O_CLOEXEC = 0x80000; // 02000000
    public const int O_SYNC = 0x101000;
    public const int O_PATH = 0x200000; // 010000000
    public const int O_TMPFILE = 0x410000;
    public const int O_NDELAY = 0x800;

    public const int F_DUPFD = 0;
    public const int F_GETFD = 1;
    public const int F_SETFD = 2;
    public const int F_GETFL = 3;
    public const int F_SETFL = 4;
    public const int F_GETLK = 5;
    public const int F_SETLK = 6;
    public const int F_SETLKW = 7;
    public const int F_SETOWN = 8;
    public const int F_GETOWN = 9;
    public const int F_SETSIG = 10;
    public const int F_GETSIG = 11;
    public const int F_SETOWN_EX = 15;
    public const int F_GETOWN_EX = 16;
    public const int F_GETOWNER_UIDS = 17;
    public const int F_OFD_GETLK = 36;
    public const int F_OFD_SETLK = 37;
    public const int F_OFD_SETLKW = 38;
    public const int F_OWNER_TID = 0;
    public const int F_OWNER_PID = 1;
    public const int F_OWNER_PGRP = 2;
    public const int FD_CLOEXEC = 1;
    public const int F_RDLCK = 0;
    public const int F_WRLCK = 1;
    public const int F_UNLCK = 2;
    public const int F_EXLCK = 4;
    public const int F_SHLCK = 8;
    public const int F_LINUX_SPECIFIC_BASE = 1024;
    public const int F_SETLEASE = 1024;
    public const int F_GETLEASE = 1025;
    public const int F_CANCELLK = 1029;
    public const int F_DUPFD_CLOEXEC = 1030;
    public const int F_NOTIFY = 1026;
    public const int F_SETPIPE_SZ = 1031;
    public const int F_GETPIPE_SZ = 1032;
    public const int F_ADD_SEALS = 1033;
    public const int F_GET_SEALS = 1034;
    public const int F_SEAL_SEAL = 0x1;
    public const int F_SEAL_SHRINK = 0x2;
    public const int F_SEAL_GROW = 0x4;
    public const int F_SEAL_WRITE = 0x8;
    public const int F_SEAL_FUTURE_WRITE = 0x10;
    public const int F_GET_RW_HINT = 1035;
    public const int F_SET_RW_HINT = 1036;
    public const int F_GET_FILE_RW_HINT = 1037;
    public const int F_SET_FILE_RW_HINT = 1038;

    public const int LOCK_SH = 1;
    public const int LOCK_EX = 0x2;
    public const int LOCK_NB = 0x4;
    public const int LOCK_UN = 0x8;
    public const int LOCK_MAND = 0x20;
    public const int LOCK_READ = 0x40;
    public const int LOCK_WRITE = 0x80;
    public const int LOCK_RW = 0xC0;

    public const int AT_FDCWD = -100;
    public const int AT_SYMLINK_NOFOLLOW = 0x100;
    public const int AT_EACCESS = 0x200;
    public const int AT_REMOVEDIR = 0x200;
    public const int AT_SYMLINK_FOLLOW = 0x400;
    public const int AT_NO_AUTOMOUNT = 0x800;
    public const int AT_EMPTY_PATH = 0x1000;
    public const int AT_STATX_SYNC_TYPE = 0x6000;
    public const int AT_STATX_SYNC_AS_STAT = 0x0;
    public const int AT_STATX_FORCE_SYNC = 0x2000;
    public const int AT_STATX_DONT_SYNC = 0x4000;
    public const int AT_RECURSIVE = 0x8000;

    public const int DN_ACCESS = 0x1;
    public const int DN_MODIFY = 0x2;
    public const int DN_CREATE = 0x4;
    public const int DN_DELETE = 0x8;
    public const int DN_RENAME = 0x10;
    public const int DN_ATTRIB = 0x20;
    public const uint DN_MULTISHOT = 0x80000000u;

    public const int FALLOC_FL_KEEP_SIZE = 0x1;
    public const int FALLOC_FL_PUNCH_HOLE = 0x2;
    public const int FALLOC_FL_NO_HIDE_STALE = 0x4;
    public const int FALLOC_FL_COLLAPSE_RANGE = 0x8;
    public const int FALLOC_FL_ZERO_RANGE = 0x10;
    public const int FALLOC_FL_INSERT_RANGE = 0x20;
    public const int FALLOC_FL_UNSHARE_RANGE = 0x40;

    public const int POSIX_FADV_NORMAL = 0;
    public const int POSIX_FADV_RANDOM = 1;
    public const int POSIX_FADV_SEQUENTIAL = 2;
    public const int POSIX_FADV_WILLNEED = 3;
    public const int POSIX_FADV_DONTNEED = 4;
    public const int POSIX_FADV_NOREUSE = 5;

    public const int SEEK_SET = 0;
    public const int SEEK_CUR = 1;
    public const int SEEK_END = 2;
    public const int SEEK_DATA = 3;
    public const int SEEK_HOLE = 4;

    public const int R_OK = 4;
    public const int W_OK = 2;
    public const int X_OK = 1;
    public const int F_OK = 0;

    public const int RENAME_NOREPLACE = 0x1;
    public const int RENAME_EXCHANGE = 0x2;
    public const int RENAME_WHITEOUT = 0x4;

    public const int SPLICE_F_MOVE = 1;
    public const int SPLICE_F_NONBLOCK = 0x2;
    public const int SPLICE_F_MORE = 0x4;
    public const int SPLICE_F_GIFT = 0x8;

    public const int SYNC_FILE_RANGE_WAIT_BEFORE = 1;
    public const int SYNC_FILE_RANGE_WRITE = 0x2;
    public const int SYNC_FILE_RANGE_WAIT_AFTER = 0x4;
    public const int SYNC_FILE_RANGE_WRITE_AND_WAIT = 0x7;
}
