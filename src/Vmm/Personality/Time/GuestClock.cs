using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Time;

/// <summary>The guest's clocks, which are the host's: nothing is offset, so that vDSO and system calls agree.</summary>
public sealed unsafe class GuestClock
{
    public const long NanosecondsPerSecond = 1_000_000_000;

    /// <summary>USER_HZ is 100: times(2), /proc/PID/stat.</summary>
    public const long NanosecondsPerTick = 10_000_000;

    // Asked once, while that is still allowed.
    private readonly long[] _resolutions = new long[CLOCK_TAI + 1];

    public GuestClock()
    {
        for (int clock = 0; clock < _resolutions.Length; clock++)
        {
            timespec time;
            if (IsTimeOfDay(clock) && clock_getres(clock, &time) == 0)
                _resolutions[clock] = time.tv_sec * NanosecondsPerSecond + time.tv_nsec;
        }
    }

    /// <summary>CLOCK_MONOTONIC, in nanoseconds.</summary>
    public long Monotonic => Read(CLOCK_MONOTONIC);

    /// <summary>CLOCK_REALTIME, in nanoseconds since 1970.</summary>
    public long Realtime => Read(CLOCK_REALTIME);

    /// <summary>CLOCK_BOOTTIME, in nanoseconds: what /proc/uptime counts.</summary>
    public long BootTime => Read(CLOCK_BOOTTIME);

    /// <summary>Any of the host's clocks that does not count CPU time, in nanoseconds.</summary>
    public long Read(int clock)
    {
        timespec time;
        clock_gettime(clock, &time);
        return time.tv_sec * NanosecondsPerSecond + time.tv_nsec;
    }

    /// <summary>The clocks that tell the time, as opposed to counting CPU time.</summary>
    public static bool IsTimeOfDay(int clock) => clock is CLOCK_REALTIME or CLOCK_MONOTONIC or CLOCK_MONOTONIC_RAW
        or CLOCK_REALTIME_COARSE or CLOCK_MONOTONIC_COARSE or CLOCK_BOOTTIME or CLOCK_REALTIME_ALARM
        or CLOCK_BOOTTIME_ALARM or CLOCK_TAI;

    /// <summary>clock_getres(2) of one that tells the time, in nanoseconds.</summary>
    public long Resolution(int clock) => _resolutions[clock];

    /// <summary>
    /// The CLOCK_MONOTONIC time at which another clock will show a value. A realtime clock that is set meanwhile is
    /// not followed.
    /// </summary>
    public long ToMonotonic(int clock, long time)
    {
        if (clock == CLOCK_MONOTONIC)
            return time;
        // In this order: what passes between the two makes it later, not too early.
        long left = Math.Max(SaturatingAdd(time, -Read(clock)), 0);
        return SaturatingAdd(Monotonic, left);
    }

    /// <summary>The deadline after a time from now; saturates at "never".</summary>
    public long After(long nanoseconds) => SaturatingAdd(Monotonic, nanoseconds);

    public static long SaturatingAdd(long a, long b)
    {
        long sum = unchecked(a + b);
        if (((a ^ sum) & (b ^ sum)) < 0)
            return a < 0 ? long.MinValue : long.MaxValue;
        return sum;
    }

    /// <summary>Nanoseconds, saturating; false for what the kernel calls EINVAL.</summary>
    public static bool TryToNanoseconds(in timespec time, out long nanoseconds)
    {
        nanoseconds = 0;
        if (time.tv_sec < 0 || (ulong)time.tv_nsec >= NanosecondsPerSecond)
            return false;
        nanoseconds = time.tv_sec >= long.MaxValue / NanosecondsPerSecond
            ? long.MaxValue : time.tv_sec * NanosecondsPerSecond + time.tv_nsec;
        return true;
    }

    public static bool TryToNanoseconds(in timeval time, out long nanoseconds)
    {
        nanoseconds = 0;
        if (time.tv_sec < 0 || (ulong)time.tv_usec >= 1_000_000)
            return false;
        nanoseconds = time.tv_sec >= long.MaxValue / NanosecondsPerSecond
            ? long.MaxValue : time.tv_sec * NanosecondsPerSecond + time.tv_usec * 1000;
        return true;
    }

    public static timespec ToTimespec(long nanoseconds) =>
        new() { tv_sec = nanoseconds / NanosecondsPerSecond, tv_nsec = nanoseconds % NanosecondsPerSecond };

    public static timeval ToTimeval(long nanoseconds) => new()
    {
        tv_sec = nanoseconds / NanosecondsPerSecond, tv_usec = nanoseconds % NanosecondsPerSecond / 1000,
    };
}
