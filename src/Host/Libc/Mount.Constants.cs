namespace Sandbox.Host;

/// <summary>Mount flags: linux/mount.h.</summary>
public static unsafe partial class Libc
{
    public const int MS_RDONLY = 1;
    public const int MS_NOSUID = 2;
    public const int MS_NODEV = 4;
    public const int MS_NOEXEC = 8;
    public const int MS_SYNCHRONOUS = 16;
    public const int MS_REMOUNT = 32;
    public const int MS_MANDLOCK = 64;
    public const int MS_DIRSYNC = 128;
    public const int MS_NOSYMFOLLOW = 256;
    public const int MS_NOATIME = 1024;
    public const int MS_NODIRATIME = 2048;
    public const int MS_BIND = 4096;
    public const int MS_MOVE = 8192;
    public const int MS_REC = 16384;
    public const int MS_VERBOSE = 32768;
    public const int MS_SILENT = 32768;
    public const int MS_POSIXACL = 0x10000;
    public const int MS_UNBINDABLE = 0x20000;
    public const int MS_PRIVATE = 0x40000;
    public const int MS_SLAVE = 0x80000;
    public const int MS_SHARED = 0x100000;
    public const int MS_RELATIME = 0x200000;
    public const int MS_KERNMOUNT = 0x400000;
    public const int MS_I_VERSION = 0x800000;
    public const int MS_STRICTATIME = 0x1000000;
    public const int MS_LAZYTIME = 0x2000000;
    public const int MS_SUBMOUNT = 0x4000000;
    public const int MS_NOREMOTELOCK = 0x8000000;
    public const int MS_NOSEC = 0x10000000;
    public const int MS_BORN = 0x20000000;
    public const int MS_ACTIVE = 0x40000000;
    public const int MS_NOUSER = -2147483648;
    public const int MS_RMT_MASK = 41943121;
    public const uint MS_MGC_VAL = 0xC0ED0000u;
    public const uint MS_MGC_MSK = 0xFFFF0000u;

    public const int MNT_FORCE = 1;
    public const int MNT_DETACH = 2;
    public const int MNT_EXPIRE = 4;
    public const int UMOUNT_NOFOLLOW = 8;

    public const int OPEN_TREE_CLONE = 1;
    public const int OPEN_TREE_CLOEXEC = 524288;
    public const int MOVE_MOUNT_F_SYMLINKS = 0x1;
    public const int MOVE_MOUNT_F_AUTOMOUNTS = 0x2;
    public const int MOVE_MOUNT_F_EMPTY_PATH = 0x4;
    public const int MOVE_MOUNT_T_SYMLINKS = 0x10;
    public const int MOVE_MOUNT_T_AUTOMOUNTS = 0x20;
    public const int MOVE_MOUNT_T_EMPTY_PATH = 0x40;
    public const int MOVE_MOUNT_SET_GROUP = 0x100;
    public const int MOVE_MOUNT__MASK = 0x177;
    public const int FSOPEN_CLOEXEC = 0x1;
    public const int FSPICK_CLOEXEC = 0x1;
    public const int FSPICK_SYMLINK_NOFOLLOW = 0x2;
    public const int FSPICK_NO_AUTOMOUNT = 0x4;
    public const int FSPICK_EMPTY_PATH = 0x8;
    public const int FSMOUNT_CLOEXEC = 0x1;
    public const int MOUNT_ATTR_RDONLY = 0x1;
    public const int MOUNT_ATTR_NOSUID = 0x2;
    public const int MOUNT_ATTR_NODEV = 0x4;
    public const int MOUNT_ATTR_NOEXEC = 0x8;
    public const int MOUNT_ATTR__ATIME = 0x70;
    public const int MOUNT_ATTR_RELATIME = 0x0;
    public const int MOUNT_ATTR_NOATIME = 0x10;
    public const int MOUNT_ATTR_STRICTATIME = 0x20;
    public const int MOUNT_ATTR_NODIRATIME = 0x80;
    public const int MOUNT_ATTR_IDMAP = 0x100000;
    public const int MOUNT_ATTR_NOSYMFOLLOW = 0x200000;
    public const int MOUNT_ATTR_SIZE_VER0 = 32;
}
