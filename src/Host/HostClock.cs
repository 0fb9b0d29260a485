using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>The host's clocks in nanoseconds: clock_gettime(2), without allocation.</summary>
public static unsafe class HostClock
{
    public const long NanosecondsPerSecond = 1_000_000_000;

    /// <summary>CLOCK_MONOTONIC: the clock of every deadline. Never goes back.</summary>
    public static long MonotonicNanoseconds() => Nanoseconds(CLOCK_MONOTONIC);

    /// <summary>CLOCK_REALTIME, since 1970. May be set, forwards and back.</summary>
    public static long RealtimeNanoseconds() => Nanoseconds(CLOCK_REALTIME);

    /// <summary>CLOCK_BOOTTIME: monotonic, time asleep included.</summary>
    public static long BootNanoseconds() => Nanoseconds(CLOCK_BOOTTIME);

    /// <summary>CPU time of the calling thread.</summary>
    public static long ThreadCpuNanoseconds() => Nanoseconds(CLOCK_THREAD_CPUTIME_ID);

    /// <summary>CPU time of the whole process.</summary>
    public static long ProcessCpuNanoseconds() => Nanoseconds(CLOCK_PROCESS_CPUTIME_ID);

    /// <summary>Splits non-negative nanoseconds; negative ones become zero.</summary>
    public static timespec ToTimespec(long nanoseconds)
    {
        var (seconds, rest) = Math.DivRem(Math.Max(nanoseconds, 0), NanosecondsPerSecond);
        return new timespec { tv_sec = seconds, tv_nsec = rest };
    }

    private static long Nanoseconds(int clock)
    {
        timespec time;
        // These clocks exist on every Linux that runs .NET: a failure would be a mistake in this file.
        if (clock_gettime(clock, &time) != 0)
            throw new InvalidOperationException($"clock_gettime({clock}) failed");
        return time.tv_sec * NanosecondsPerSecond + time.tv_nsec;
    }
}
