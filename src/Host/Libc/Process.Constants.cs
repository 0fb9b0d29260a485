namespace Sandbox.Host;

/// <summary>Waiting and spawning: linux/wait.h, spawn.h.</summary>
public static unsafe partial class Libc
{
    public const int WNOHANG = 0x1;
    public const int WUNTRACED = 0x2;
    public const int WSTOPPED = 0x2;
    public const int WEXITED = 0x4;
    public const int WCONTINUED = 0x8;
    public const int WNOWAIT = 0x1000000;
    public const int __WNOTHREAD = 0x20000000;
    public const int __WALL = 0x40000000;
    public const uint __WCLONE = 0x80000000u;
    public const int WCOREFLAG = 0x80;
    public const int P_ALL = 0;
    public const int P_PID = 1;
    public const int P_PGID = 2;
    public const int P_PIDFD = 3;

    public const int POSIX_SPAWN_RESETIDS = 0x1;
    public const int POSIX_SPAWN_SETPGROUP = 0x2;
    public const int POSIX_SPAWN_SETSIGDEF = 0x4;
    public const int POSIX_SPAWN_SETSIGMASK = 0x8;
    public const int POSIX_SPAWN_SETSCHEDPARAM = 0x10;
    public const int POSIX_SPAWN_SETSCHEDULER = 0x20;
    public const int POSIX_SPAWN_USEVFORK = 0x40;
    public const int POSIX_SPAWN_SETSID = 0x80;

    public const int PIDFD_NONBLOCK = 0x800;

    public const int CLOSE_RANGE_UNSHARE = 0x2;
    public const int CLOSE_RANGE_CLOEXEC = 0x4;

    public const int IOPRIO_CLASS_SHIFT = 13;
    public const int IOPRIO_CLASS_NONE = 0;
    public const int IOPRIO_CLASS_RT = 1;
    public const int IOPRIO_CLASS_BE = 2;
    public const int IOPRIO_CLASS_IDLE = 3;
    public const int IOPRIO_WHO_PROCESS = 1;
    public const int IOPRIO_WHO_PGRP = 2;
    public const int IOPRIO_WHO_USER = 3;
}
