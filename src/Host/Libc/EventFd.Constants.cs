namespace Sandbox.Host;

/// <summary>Flags of eventfd2, signalfd4 and inotify: linux/eventfd.h, linux/signalfd.h, linux/inotify.h.</summary>
public static unsafe partial class Libc
{
    public const int EFD_SEMAPHORE = 1;
    public const int EFD_CLOEXEC = 0x80000;
    public const int EFD_NONBLOCK = 0x800;

    public const int SFD_CLOEXEC = 0x80000;
    public const int SFD_NONBLOCK = 0x800;

    public const int IN_ACCESS = 0x1;
    public const int IN_MODIFY = 0x2;
    public const int IN_ATTRIB = 0x4;
    public const int IN_CLOSE_WRITE = 0x8;
    public const int IN_CLOSE_NOWRITE = 0x10;
    public const int IN_OPEN = 0x20;
    public const int IN_MOVED_FROM = 0x40;
    public const int IN_MOVED_TO = 0x80;
    public const int IN_CREATE = 0x100;
    public const int IN_DELETE = 0x200;
    public const int IN_DELETE_SELF = 0x400;
    public const int IN_MOVE_SELF = 0x800;
    public const int IN_UNMOUNT = 0x2000;
    public const int IN_Q_OVERFLOW = 0x4000;
    public const int IN_IGNORED = 0x8000;
    public const int IN_CLOSE = 0x18;
    public const int IN_MOVE = 0xC0;
    public const int IN_ONLYDIR = 0x1000000;
    public const int IN_DONT_FOLLOW = 0x2000000;
    public const int IN_EXCL_UNLINK = 0x4000000;
    public const int IN_MASK_CREATE = 0x10000000;
    public const int IN_MASK_ADD = 0x20000000;
    public const int IN_ISDIR = 0x40000000;
    public const uint IN_ONESHOT = 0x80000000u;
    public const int IN_ALL_EVENTS = 0xFFF;
    public const int IN_CLOEXEC = 0x80000;
    public const int IN_NONBLOCK = 0x800;
}
