using System.Runtime.CompilerServices;
using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Trace;

/// <summary>
/// Names of constants by family, for "flags:NAME" and "enum:NAME" in signatures: a value that is one of the family's
/// prints as that, others as the names of their bits and the rest in hex.
/// </summary>
static class FlagNames
{
    private static readonly Dictionary<string, (ulong Value, string Name)[]> s_families = Build();

    private static readonly Dictionary<string, (ulong Value, string Name)[]>.AlternateLookup<ReadOnlySpan<char>>
        s_byName = s_families.GetAlternateLookup<ReadOnlySpan<char>>();

    public static void Append(StringBuilder line, ReadOnlySpan<char> family, ulong value)
    {
        // Flags and selectors are ints; sign extension would hide their names.
        uint low = (uint)value;
        if (!s_byName.TryGetValue(family, out (ulong Value, string Name)[]? names))
        {
            line.Append("0x").Append(value.ToString("x"));
            return;
        }
        bool first = true;
        if (family.Equals("o", StringComparison.OrdinalIgnoreCase))
        {
            // The access mode is a number in two bits, and always there.
            line.Append((low & O_ACCMODE) switch
            {
                O_RDONLY => "O_RDONLY",
                O_WRONLY => "O_WRONLY",
                O_RDWR => "O_RDWR",
                _ => "O_ACCMODE",
            });
            low &= ~(uint)O_ACCMODE;
            first = false;
        }
        foreach ((ulong known, string name) in names)
        {
            if (first && (uint)known == low)
            {
                line.Append(name);
                return;
            }
        }
        foreach ((ulong known, string name) in names)
        {
            uint bits = (uint)known;
            if (bits == 0 || (low & bits) != bits)
                continue;
            if (!first)
                line.Append('|');
            first = false;
            line.Append(name);
            low &= ~bits;
        }
        if (low == 0 && !first)
            return;
        if (!first)
            line.Append('|');
        line.Append(low == 0 ? "0" : $"0x{low:x}");
    }

    private static Dictionary<string, (ulong Value, string Name)[]> Build()
    {
        (ulong, string)[] open =
        [
            // Compound values before the bits they hold.
            N(O_TMPFILE), N(O_SYNC), N(O_CREAT), N(O_EXCL), N(O_NOCTTY), N(O_TRUNC), N(O_APPEND), N(O_NONBLOCK), N(O_DSYNC), N(O_DIRECT), N(O_LARGEFILE), N(O_DIRECTORY),
            N(O_NOFOLLOW), N(O_NOATIME), N(O_CLOEXEC), N(O_PATH),
        ];
        return new(StringComparer.OrdinalIgnoreCase)
        {
            ["o"] = open,
            // Status and descriptor flags without an access mode: pipe2, dup3.
            ["fdflags"] = open,
            ["clone"] =
            [
                N(CLONE_VM), N(CLONE_FS), N(CLONE_FILES), N(CLONE_SIGHAND), N(CLONE_PIDFD), N(CLONE_VFORK),
                N(CLONE_PARENT), N(CLONE_THREAD), N(CLONE_SYSVSEM), N(CLONE_SETTLS), N(CLONE_PARENT_SETTID),
                N(CLONE_CHILD_CLEARTID), N(CLONE_CHILD_SETTID), N(CLONE_NEWNS), N(CLONE_NEWUTS), N(CLONE_NEWIPC),
                N(CLONE_NEWUSER), N(CLONE_NEWPID), N(CLONE_NEWNET), N(CLONE_NEWCGROUP), N(SIGCHLD),
            ],
            ["clock"] =
            [
                N(CLOCK_REALTIME), N(CLOCK_MONOTONIC), N(CLOCK_PROCESS_CPUTIME_ID), N(CLOCK_THREAD_CPUTIME_ID),
                N(CLOCK_MONOTONIC_RAW), N(CLOCK_REALTIME_COARSE), N(CLOCK_MONOTONIC_COARSE), N(CLOCK_BOOTTIME),
                N(CLOCK_REALTIME_ALARM), N(CLOCK_BOOTTIME_ALARM), N(CLOCK_TAI),
            ],
            ["prot"] = [N(PROT_NONE), N(PROT_READ), N(PROT_WRITE), N(PROT_EXEC), N(PROT_GROWSDOWN)],
            ["map"] =
            [
                N(MAP_SHARED_VALIDATE), N(MAP_SHARED), N(MAP_PRIVATE), N(MAP_FIXED), N(MAP_ANONYMOUS),
                N(MAP_GROWSDOWN), N(MAP_DENYWRITE), N(MAP_LOCKED), N(MAP_NORESERVE), N(MAP_POPULATE),
                N(MAP_NONBLOCK), N(MAP_STACK), N(MAP_HUGETLB), N(MAP_FIXED_NOREPLACE),
            ],
            ["madvise"] =
            [
                N(MADV_NORMAL), N(MADV_RANDOM), N(MADV_SEQUENTIAL), N(MADV_WILLNEED), N(MADV_DONTNEED), N(MADV_FREE),
                N(MADV_DONTFORK), N(MADV_DOFORK), N(MADV_HUGEPAGE), N(MADV_NOHUGEPAGE), N(MADV_DONTDUMP),
            ],
            ["mremap"] = [N(MREMAP_MAYMOVE), N(MREMAP_FIXED), N(MREMAP_DONTUNMAP)],
            ["at"] =
            [
                N(AT_SYMLINK_NOFOLLOW), N(AT_REMOVEDIR), N(AT_SYMLINK_FOLLOW), N(AT_NO_AUTOMOUNT), N(AT_EMPTY_PATH),
            ],
            ["access"] = [N(F_OK), N(R_OK), N(W_OK), N(X_OK)],
            ["seek"] = [N(SEEK_SET), N(SEEK_CUR), N(SEEK_END), N(SEEK_DATA), N(SEEK_HOLE)],
            ["f"] =
            [
                N(F_DUPFD), N(F_GETFD), N(F_SETFD), N(F_GETFL), N(F_SETFL), N(F_GETLK), N(F_SETLK), N(F_SETLKW),
                N(F_SETOWN), N(F_GETOWN), N(F_DUPFD_CLOEXEC), N(F_SETPIPE_SZ), N(F_GETPIPE_SZ), N(F_ADD_SEALS),
                N(F_GET_SEALS), N(F_OFD_GETLK), N(F_OFD_SETLK), N(F_OFD_SETLKW),
            ],
            ["ioctl"] =
            [
                N(TCGETS), N(TCSETS), N(TCSETSW), N(TCSETSF), N(TIOCGWINSZ), N(TIOCSWINSZ), N(TIOCGPGRP),
                N(TIOCSPGRP), N(TIOCSCTTY), N(TIOCNOTTY), N(FIONREAD), N(FIONBIO), N(FIOCLEX), N(FIONCLEX),
            ],
            ["wait"] = [N(WNOHANG), N(WUNTRACED), N(WEXITED), N(WCONTINUED), N(WNOWAIT), N(__WALL)],
            ["idtype"] = [N(P_ALL), N(P_PID), N(P_PGID), N(P_PIDFD)],
            ["sigmask"] = [N(SIG_BLOCK), N(SIG_UNBLOCK), N(SIG_SETMASK)],
            ["sa"] =
            [
                N(SA_RESTORER), N(SA_ONSTACK), N(SA_RESTART), N(SA_NODEFER), N(SA_RESETHAND), N(SA_NOCLDSTOP),
                N(SA_NOCLDWAIT), N(SA_SIGINFO),
            ],
            ["arch_prctl"] = [N(ARCH_SET_FS), N(ARCH_GET_FS), N(ARCH_SET_GS), N(ARCH_GET_GS)],
            ["itimer"] = [N(ITIMER_REAL), N(ITIMER_VIRTUAL), N(ITIMER_PROF)],
            ["getrandom"] = [N(GRND_NONBLOCK), N(GRND_RANDOM), N(GRND_INSECURE)],
            ["rusage"] = [N(RUSAGE_SELF), N(RUSAGE_CHILDREN), N(RUSAGE_THREAD)],
            ["rlimit"] =
            [
                N(RLIMIT_CPU), N(RLIMIT_FSIZE), N(RLIMIT_DATA), N(RLIMIT_STACK), N(RLIMIT_CORE), N(RLIMIT_RSS),
                N(RLIMIT_NPROC), N(RLIMIT_NOFILE), N(RLIMIT_MEMLOCK), N(RLIMIT_AS), N(RLIMIT_LOCKS),
                N(RLIMIT_SIGPENDING), N(RLIMIT_MSGQUEUE), N(RLIMIT_NICE), N(RLIMIT_RTPRIO), N(RLIMIT_RTTIME),
            ],
            ["prctl"] =
            [
                N(PR_SET_PDEATHSIG), N(PR_GET_PDEATHSIG), N(PR_GET_DUMPABLE), N(PR_SET_DUMPABLE), N(PR_SET_NAME),
                N(PR_GET_NAME), N(PR_CAPBSET_READ), N(PR_CAPBSET_DROP), N(PR_SET_NO_NEW_PRIVS),
                N(PR_GET_NO_NEW_PRIVS), N(PR_SET_CHILD_SUBREAPER), N(PR_GET_CHILD_SUBREAPER), N(PR_SET_VMA),
                N(PR_SET_THP_DISABLE),
            ],
            ["sched"] = [N(SCHED_NORMAL), N(SCHED_FIFO), N(SCHED_RR), N(SCHED_BATCH), N(SCHED_IDLE)],
            ["priority"] = [N(PRIO_PROCESS), N(PRIO_PGRP), N(PRIO_USER)],
            ["futex"] =
            [
                N(FUTEX_WAIT), N(FUTEX_WAKE), N(FUTEX_REQUEUE), N(FUTEX_CMP_REQUEUE), N(FUTEX_WAKE_OP),
                N(FUTEX_LOCK_PI), N(FUTEX_UNLOCK_PI), N(FUTEX_TRYLOCK_PI), N(FUTEX_WAIT_BITSET), N(FUTEX_WAKE_BITSET),
            ],
            ["in"] =
            [
                N(IN_ALL_EVENTS), N(IN_CLOSE), N(IN_MOVE), N(IN_ACCESS), N(IN_MODIFY), N(IN_ATTRIB), N(IN_CLOSE_WRITE),
                N(IN_CLOSE_NOWRITE), N(IN_OPEN), N(IN_MOVED_FROM), N(IN_MOVED_TO), N(IN_CREATE), N(IN_DELETE),
                N(IN_DELETE_SELF), N(IN_MOVE_SELF), N(IN_ONLYDIR), N(IN_DONT_FOLLOW), N(IN_EXCL_UNLINK),
                N(IN_MASK_CREATE), N(IN_MASK_ADD), N(IN_ONESHOT),
            ],
            ["in_init"] = [N(IN_NONBLOCK), N(IN_CLOEXEC)],
            ["efd"] = [N(EFD_SEMAPHORE), N(EFD_NONBLOCK), N(EFD_CLOEXEC)],
            ["tfd"] = [N(TFD_NONBLOCK), N(TFD_CLOEXEC)],
            ["tfd_timer"] = [N(TFD_TIMER_ABSTIME), N(TFD_TIMER_CANCEL_ON_SET)],
            ["sfd"] = [N(SFD_NONBLOCK), N(SFD_CLOEXEC)],
            ["epoll"] = [N(EPOLL_CLOEXEC)],
            ["epoll_ctl"] = [N(EPOLL_CTL_ADD), N(EPOLL_CTL_DEL), N(EPOLL_CTL_MOD)],
            ["close_range"] = [N(CLOSE_RANGE_UNSHARE), N(CLOSE_RANGE_CLOEXEC)],
            ["mfd"] = [N(MFD_CLOEXEC), N(MFD_ALLOW_SEALING), N(MFD_HUGETLB)],
            ["af"] = [N(AF_UNSPEC), N(AF_UNIX), N(AF_INET), N(AF_INET6), N(AF_NETLINK)],
            ["sock"] =
            [
                N(SOCK_STREAM), N(SOCK_DGRAM), N(SOCK_RAW), N(SOCK_SEQPACKET), N(SOCK_NONBLOCK), N(SOCK_CLOEXEC),
            ],
        };
    }

    private static (ulong, string) N(long value, [CallerArgumentExpression(nameof(value))] string name = "") =>
        ((ulong)value, name);
}
