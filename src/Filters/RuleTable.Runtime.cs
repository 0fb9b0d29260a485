using static Sandbox.Filters.Condition;
using static Sandbox.Filters.Rule;
using static Sandbox.Host.Libc;

namespace Sandbox.Filters;

// What the .NET runtime, its collector and the C library call by themselves, and how threads start.
static partial class RuleTable
{
    /// <summary>The signal by which the runtime stops a thread for a collection: SIGRTMIN of the C library.</summary>
    private const int SuspensionSignal = 34;

    /// <summary>What pthread_create passes: memory, files and signals in common, a thread of this process.</summary>
    private const ulong ThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM
        | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

    private static readonly Rule[] s_runtime =
    [
        Allow(Every, SYS_futex, "locks, parking, and the C library's condition variables",
        [
            Int(1, FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE, FUTEX_WAIT_BITSET_PRIVATE,
                FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME),
        ]),
        Allow(Every, SYS_mmap, "memory of the collector, of stacks, of the guest; its files", [NotExecutable(2)]),
        Allow(Every, SYS_mprotect, "the collector commits memory, stacks get their guard", [NotExecutable(2)]),
        Allow(Every, SYS_munmap, "the collector returns memory"),
        // As the kernel answers where it has no memory: the break that there is, which is less than the one asked for.
        Refuse(Every, SYS_brk, 0, "malloc(3), which then takes mmap"),
        Allow(Every, SYS_madvise, "the collector and the guest's memory: given back, in huge pages, not dumped",
            [Int(2, MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_DONTDUMP, MADV_DODUMP)]),
        Allow(Every, SYS_membarrier, "the collector stops threads", [Int(0, MEMBARRIER_CMD_PRIVATE_EXPEDITED)]),
        Allow(Every, SYS_tgkill, "the collector stops threads; a vCPU is called out of the guest; abort(3)",
            [Self(0), Int(2, SuspensionSignal, VcpuSignal, SIGABRT)]),
        Allow(Every, SYS_rt_sigreturn, "the end of the handler by which a thread is stopped"),
        Allow(Every, SYS_rt_sigprocmask, "pthread_kill(3), abort(3), and the start of threads"),
        Allow(Every, SYS_rt_sigaction, "abort(3), and faults that are not the runtime's to handle",
            [Int(0, SIGABRT, SIGSEGV, SIGFPE)]),
        Allow(Every, SYS_getpid, "pthread_kill(3)"),
        Allow(Every, SYS_gettid, "pthread_kill(3)"),
        Allow(Every, SYS_sched_yield, "spinning locks"),
        Allow(Every, SYS_clock_nanosleep, "the collector waits for threads that are about to stop"),
        Allow(Every, SYS_clock_gettime, "CPU clocks, and hosts whose vDSO has no clock"),
        Allow(Every, SYS_restart_syscall, "a wait goes on after the host's cgroup freezer"),
        Allow(Every, SYS_sysinfo, "the collector asks for the host's free memory"),
        Allow(Every, SYS_prlimit64, "the collector asks how much memory it may map", [Int(0, 0), Int(1, RLIMIT_AS), Null(2)]),
        Allow(Every, SYS_close, "descriptors, by whoever lets go last"),
        Allow(Every, SYS_write, "a last word on standard error", [Int(0, STDERR_FILENO)]),
        Allow(Every, SYS_exit_group, "the end"),
        Refuse(Every, SYS_openat, ENOENT, "the runtime asks /proc and /sys for limits: there are none"),
    ];

    private static readonly Rule[] s_threads =
    [
        Allow(Guest, SYS_clone, "pthread_create(3)", [Int(0, ThreadFlags)]),
        Refuse(Guest, SYS_clone3, ENOSYS, "its flags are out of a filter's sight: pthread_create(3) takes clone"),
        Refuse(Guest, SYS_set_robust_list, ENOSYS, "a thread's start in the C library, which has no robust locks here"),
        Allow(Guest, SYS_rseq, "a thread's start in the C library"),
        Refuse(Guest, SYS_sched_getaffinity, ENOSYS, "a thread's start in the runtime, which asks for its stack alone"),
        Allow(None, SYS_prctl, "a thread's name", [Int(0, PR_SET_NAME)]),
        Allow(None, SYS_seccomp, "a thread takes its role", [Int(0, SECCOMP_SET_MODE_FILTER), Int(1, 0)]),
    ];
}
