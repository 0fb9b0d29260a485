namespace Sandbox.Host;

/// <summary>Resource limits and usage: asm/resource.h, linux/resource.h.</summary>
public static unsafe partial class Libc
{
    public const ulong RLIM64_INFINITY = ulong.MaxValue;
    public const int RLIMIT_CPU = 0;
    public const int RLIMIT_FSIZE = 1;
    public const int RLIMIT_DATA = 2;
    public const int RLIMIT_STACK = 3;
    public const int RLIMIT_CORE = 4;
    public const int RLIMIT_RSS = 5;
    public const int RLIMIT_NPROC = 6;
    public const int RLIMIT_NOFILE = 7;
    public const int RLIMIT_MEMLOCK = 8;
    public const int RLIMIT_AS = 9;
    public const int RLIMIT_LOCKS = 10;
    public const int RLIMIT_SIGPENDING = 11;
    public const int RLIMIT_MSGQUEUE = 12;
    public const int RLIMIT_NICE = 13;
    public const int RLIMIT_RTPRIO = 14;
    public const int RLIMIT_RTTIME = 15;
    public const int RLIM_NLIMITS = 16;
    public const ulong RLIM_INFINITY = ulong.MaxValue;

    public const int RUSAGE_SELF = 0;
    public const int RUSAGE_CHILDREN = -1;
    public const int RUSAGE_BOTH = -2;
    public const int RUSAGE_THREAD = 1;
    public const int PRIO_MIN = -20;
    public const int PRIO_MAX = 20;
    public const int PRIO_PROCESS = 0;
    public const int PRIO_PGRP = 1;
    public const int PRIO_USER = 2;
}
