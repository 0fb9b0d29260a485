using System.Numerics;
using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>The calling thread as the kernel knows it. Managed code must stay on that thread meanwhile.</summary>
public static unsafe class HostThread
{
    /// <summary>The kernel's number of the calling thread.</summary>
    public static int Id => gettid();

    /// <summary>Sends a signal to a thread of this process: 0 or a negative error number, -ESRCH if it ended.</summary>
    public static int Signal(int tid, int signal) => tgkill(getpid(), tid, signal) == 0 ? 0 : -errno;

    /// <summary>Blocks a signal in the calling thread.</summary>
    /// <exception cref="HostException">rt_sigprocmask failed.</exception>
    public static void Block(int signal) => Change(SIG_BLOCK, signal);

    /// <summary>Unblocks a signal in the calling thread.</summary>
    /// <exception cref="HostException">rt_sigprocmask failed.</exception>
    public static void Unblock(int signal) => Change(SIG_UNBLOCK, signal);

    /// <summary>The calling thread's signal mask; bit n-1 is signal n.</summary>
    public static ulong SignalMask
    {
        get
        {
            ulong mask;
            if (rt_sigprocmask(SIG_BLOCK, null, &mask) != 0)
                throw HostException.Last("rt_sigprocmask");
            return mask;
        }
    }

    /// <summary>Takes one pending, blocked signal away without waiting.</summary>
    /// <returns>False when none was pending.</returns>
    public static bool Drain(int signal)
    {
        var mask = Bit(signal);
        var none = default(timespec);
        while (rt_sigtimedwait(&mask, null, &none) < 0)
        {
            if (errno == EAGAIN)
                return false;
            if (errno != EINTR)
                throw HostException.Last("rt_sigtimedwait", $"signal {signal}");
        }
        return true;
    }

    /// <summary>How many CPUs the calling thread may run on: sched_getaffinity(2).</summary>
    /// <exception cref="HostException">sched_getaffinity failed.</exception>
    public static int AvailableProcessors
    {
        get
        {
            // The kernel refuses a mask smaller than its own; 8192 CPUs is the largest that it can be built for.
            const int Words = 8192 / 64;
            var mask = stackalloc ulong[Words];
            var bytes = sched_getaffinity(0, Words * sizeof(ulong), mask);
            if (bytes < 0)
                throw HostException.Last("sched_getaffinity");
            var count = 0;
            for (var i = 0; i < bytes / sizeof(ulong); i++)
                count += BitOperations.PopCount(mask[i]);
            return count;
        }
    }

    private static ulong Bit(int signal)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(signal, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(signal, _NSIG);
        return 1ul << (signal - 1);
    }

    private static void Change(int how, int signal)
    {
        var mask = Bit(signal);
        if (rt_sigprocmask(how, &mask, null) != 0)
            throw HostException.Last("rt_sigprocmask", $"signal {signal}");
    }
}
