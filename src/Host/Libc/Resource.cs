using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>A resource limit: linux/resource.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct rlimit
{
    public ulong rlim_cur;
    public ulong rlim_max;
}

/// <summary>A resource limit of prlimit64(2): linux/resource.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct rlimit64
{
    public ulong rlim_cur;
    public ulong rlim_max;
}

/// <summary>Resource usage: linux/resource.h. ru_maxrss is in KiB.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct rusage
{
    public timeval ru_utime;
    public timeval ru_stime;
    public long ru_maxrss;
    public long ru_ixrss;
    public long ru_idrss;
    public long ru_isrss;
    public long ru_minflt;
    public long ru_majflt;
    public long ru_nswap;
    public long ru_inblock;
    public long ru_oublock;
    public long ru_msgsnd;
    public long ru_msgrcv;
    public long ru_nsignals;
    public long ru_nvcsw;
    public long ru_nivcsw;
}

/// <summary>Resource limits and usage: sys/resource.h.</summary>
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    public static partial int getrusage(int who, rusage* usage);

    public static int prlimit64(int pid, int resource, rlimit64* newLimit, rlimit64* oldLimit) =>
        (int)syscall(SYS_prlimit64, pid, resource, (nint)newLimit, (nint)oldLimit);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int setpriority(int which, uint who, int priority);
}
