namespace Sandbox.Host;

/// <summary>Scheduling and thread creation: linux/sched.h.</summary>
public static unsafe partial class Libc
{
    public const int CSIGNAL = 0xFF;
    public const int CLONE_VM = 0x100;
    public const int CLONE_FS = 0x200;
    public const int CLONE_FILES = 0x400;
    public const int CLONE_SIGHAND = 0x800;
    public const int CLONE_PIDFD = 0x1000;
    public const int CLONE_PTRACE = 0x2000;
    public const int CLONE_VFORK = 0x4000;
    public const int CLONE_PARENT = 0x8000;
    public const int CLONE_THREAD = 0x10000;
    public const int CLONE_NEWNS = 0x20000;
    public const int CLONE_SYSVSEM = 0x40000;
    public const int CLONE_SETTLS = 0x80000;
    public const int CLONE_PARENT_SETTID = 0x100000;
    public const int CLONE_CHILD_CLEARTID = 0x200000;
    public const int CLONE_DETACHED = 0x400000;
    public const int CLONE_UNTRACED = 0x800000;
    public const int CLONE_CHILD_SETTID = 0x1000000;
    public const int CLONE_NEWCGROUP = 0x2000000;
    public const int CLONE_NEWUTS = 0x4000000;
    public const int CLONE_NEWIPC = 0x8000000;
    public const int CLONE_NEWUSER = 0x10000000;
    public const int CLONE_NEWPID = 0x20000000;
    public const int CLONE_NEWNET = 0x40000000;
    public const uint CLONE_IO = 0x80000000u;
    public const long CLONE_CLEAR_SIGHAND = 0x100000000L;
    public const long CLONE_INTO_CGROUP = 0x200000000L;
    public const int CLONE_NEWTIME = 0x80;
    public const int CLONE_ARGS_SIZE_VER0 = 64;
    public const int CLONE_ARGS_SIZE_VER1 = 80;
    public const int CLONE_ARGS_SIZE_VER2 = 88;

    public const int SCHED_NORMAL = 0;
    public const int SCHED_FIFO = 1;
    public const int SCHED_RR = 2;
    public const int SCHED_BATCH = 3;
    public const int SCHED_IDLE = 5;
    public const int SCHED_DEADLINE = 6;
    public const int SCHED_RESET_ON_FORK = 0x40000000;
    public const int SCHED_FLAG_RESET_ON_FORK = 0x1;
    public const int SCHED_FLAG_RECLAIM = 0x2;
    public const int SCHED_FLAG_DL_OVERRUN = 0x4;
    public const int SCHED_FLAG_KEEP_POLICY = 0x8;
    public const int SCHED_FLAG_KEEP_PARAMS = 0x10;
    public const int SCHED_FLAG_UTIL_CLAMP_MIN = 0x20;
    public const int SCHED_FLAG_UTIL_CLAMP_MAX = 0x40;
    public const int SCHED_FLAG_KEEP_ALL = 24;
    public const int SCHED_FLAG_UTIL_CLAMP = 96;
    public const int SCHED_ATTR_SIZE_VER0 = 48;
    public const int SCHED_ATTR_SIZE_VER1 = 56;
}
