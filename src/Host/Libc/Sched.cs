using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Arguments of clone3(2): linux/sched.h, version 2.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct clone_args
{
    public ulong flags;
    public ulong pidfd;
    public ulong child_tid;
    public ulong parent_tid;
    public ulong exit_signal;
    public ulong stack;
    public ulong stack_size;
    public ulong tls;
    public ulong set_tid;
    public ulong set_tid_size;
    public ulong cgroup;
}

/// <summary>Scheduling priority: linux/sched/types.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct sched_param
{
    public int sched_priority;
}

/// <summary>Scheduling: sched.h.</summary>
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    public static partial int sched_yield();

    /// <summary>The CPUs that a thread (0: the caller) may use; answers the bytes that the kernel wrote.</summary>
    public static int sched_getaffinity(int tid, nuint size, void* mask) =>
        (int)syscall(SYS_sched_getaffinity, tid, (nint)size, (nint)mask);

    public static int sched_setaffinity(int tid, nuint size, void* mask) =>
        (int)syscall(SYS_sched_setaffinity, tid, (nint)size, (nint)mask);

    [LibraryImport(Library)]
    [SuppressGCTransition]
    public static partial int sched_getcpu();
}
