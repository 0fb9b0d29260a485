using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>Relative timeouts of poll, select and epoll_pwait2 as deadlines on the host's CLOCK_MONOTONIC.</summary>
static class Timeouts
{
    private const long NanosecondsPerSecond = 1_000_000_000;

    /// <summary>Milliseconds as poll(2) takes them: negative is for ever, 0 is "do not wait" (deadline 0).</summary>
    public static long FromMilliseconds(int milliseconds) => milliseconds switch
    {
        < 0 => Parker.Forever,
        0 => 0,
        _ => HostClock.MonotonicNanoseconds() + milliseconds * 1_000_000L,
    };

    /// <summary>Reads a struct timespec; a null address is for ever.</summary>
    /// <returns>0, -EFAULT or -EINVAL.</returns>
    public static long TryReadTimespec(AddressSpace memory, ulong address, out long deadline)
    {
        deadline = Parker.Forever;
        if (address == 0)
            return 0;
        if (!memory.TryRead(new VirtualAddress(address), out timespec time))
            return -EFAULT;
        if (time.tv_sec < 0 || (ulong)time.tv_nsec >= NanosecondsPerSecond)
            return -EINVAL;
        deadline = After(time.tv_sec, time.tv_nsec);
        return 0;
    }

    /// <summary>Reads a struct timeval; microseconds may exceed a second, as select(2) allows.</summary>
    public static long TryReadTimeval(AddressSpace memory, ulong address, out long deadline)
    {
        deadline = Parker.Forever;
        if (address == 0)
            return 0;
        if (!memory.TryRead(new VirtualAddress(address), out timeval time))
            return -EFAULT;
        if (time.tv_sec < 0 || time.tv_usec < 0)
            return -EINVAL;
        long seconds = Math.Min(time.tv_sec, long.MaxValue / 2) + time.tv_usec / 1_000_000;
        deadline = After(seconds, time.tv_usec % 1_000_000 * 1000);
        return 0;
    }

    /// <summary>
    /// Writes what is left of the timeout back, as Linux does; an address that cannot take it is ignored.
    /// </summary>
    public static void WriteBackTimespec(AddressSpace memory, ulong address, long deadline)
    {
        if (address == 0)
            return;
        long left = Left(deadline);
        timespec time = new() { tv_sec = left / NanosecondsPerSecond, tv_nsec = left % NanosecondsPerSecond };
        _ = memory.TryWrite(new VirtualAddress(address), time);
    }

    public static void WriteBackTimeval(AddressSpace memory, ulong address, long deadline)
    {
        if (address == 0)
            return;
        long left = Left(deadline);
        timeval time = new() { tv_sec = left / NanosecondsPerSecond, tv_usec = left % NanosecondsPerSecond / 1000 };
        _ = memory.TryWrite(new VirtualAddress(address), time);
    }

    private static long After(long seconds, long nanoseconds)
    {
        if (seconds == 0 && nanoseconds == 0)
            return 0;
        // Beyond 200 years nobody can tell the difference from for ever.
        if (seconds > long.MaxValue / NanosecondsPerSecond / 2)
            return Parker.Forever - 1;
        return HostClock.MonotonicNanoseconds() + seconds * NanosecondsPerSecond + nanoseconds;
    }

    private static long Left(long deadline) =>
        deadline == 0 ? 0 : Math.Max(0, deadline - HostClock.MonotonicNanoseconds());
}
