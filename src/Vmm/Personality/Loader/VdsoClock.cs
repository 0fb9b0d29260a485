namespace Sandbox.Vmm.Personality.Loader;

/// <summary>The guest's time-stamp counter and the host's clocks, read as one. Clocks in nanoseconds.</summary>
public readonly record struct ClockSample(ulong Tsc, long Monotonic, long Realtime, long BootTime);

/// <summary>
/// Keeps the vDSO's clocks true to the host's: a straight line through the counter, bent every second or so towards
/// what the host says. CLOCK_MONOTONIC and CLOCK_BOOTTIME never go back: when the line is behind, it jumps to the
/// truth; when it is ahead, it continues from where it is and runs slower for a while.
/// </summary>
/// <remarks>
/// CLOCK_REALTIME keeps a constant distance to CLOCK_MONOTONIC, as in the kernel, until the host's clock is set. Not
/// thread-safe: one caller at a time, the timer thread.
/// </remarks>
public sealed class VdsoClock
{
    /// <summary>How often <see cref="Update"/> should be called.</summary>
    public const long UpdateIntervalNanoseconds = 1_000_000_000;

    /// <summary>The line is never slowed down by more than one part in this.</summary>
    private const int MaximumSlowdown = 20;

    /// <summary>Samples closer than this say little about the rate.</summary>
    private const long MinimumRateWindowNanoseconds = 100_000_000;

    /// <summary>A counter that is this far off its stated rate (1 in 100) is not one to tell the time with.</summary>
    private const double RateTolerance = 0.01;

    /// <summary>Distances between clocks that differ by less are the noise of taking samples.</summary>
    private const long OffsetNoiseNanoseconds = 50_000;

    private const int Shift = 40;

    private readonly VvarPage _page;
    private readonly double _nominalNanosecondsPerCycle;
    private double _nanosecondsPerCycle;
    private ClockSample _rateStart;
    private VvarTimes _line;
    private long _realtimeOffset;
    private long _bootOffset;

    /// <param name="tscKilohertz">The counter's stated rate (KVM_GET_TSC_KHZ); 0 when it must not be used.</param>
    public VdsoClock(VvarPage page, long tscKilohertz)
    {
        _page = page;
        ArgumentOutOfRangeException.ThrowIfNegative(tscKilohertz);
        const double nanosecondsPerMillisecond = 1e6;
        _nominalNanosecondsPerCycle = tscKilohertz == 0 ? 0 : nanosecondsPerMillisecond / tscKilohertz;
        _nanosecondsPerCycle = _nominalNanosecondsPerCycle;
    }

    /// <summary>False: the vDSO makes system calls, because the counter is not fit for more.</summary>
    public bool IsRunning => _line.UseTsc;

    /// <summary>Starts the line. Without a usable counter the vDSO stays with system calls.</summary>
    public void Start(in ClockSample sample)
    {
        if (_nominalNanosecondsPerCycle == 0)
            return;
        _rateStart = sample;
        _realtimeOffset = sample.Realtime - sample.Monotonic;
        _bootOffset = sample.BootTime - sample.Monotonic;
        _line = Line(sample.Tsc, sample.Monotonic, _nanosecondsPerCycle);
        _page.SetTimes(_line);
    }

    /// <summary>Bends the line towards a new sample, from where the counter is once nobody follows the old line.</summary>
    /// <param name="counter">Reads the guest's counter: what the sample has, or later.</param>
    public void Update(ClockSample sample, Func<ulong> counter)
    {
        if (!IsRunning)
            return;
        // A counter that went back or lost its rate: the host was suspended, or replaced under us.
        if (sample.Tsc <= _line.CycleLast || !TryMeasureRate(sample))
        {
            Stop();
            return;
        }
        _realtimeOffset = FollowOffset(_realtimeOffset, sample.Realtime - sample.Monotonic);
        _bootOffset = FollowOffset(_bootOffset, sample.BootTime - sample.Monotonic);

        // This thread may have slept for long since its sample: who read the old line meanwhile has seen it go on.
        _page.ChangeTimes(() => _line = Bend(sample, counter()));
    }

    private VvarTimes Bend(in ClockSample sample, ulong tsc)
    {
        tsc = Math.Max(tsc, sample.Tsc);
        long truth = sample.Monotonic + (long)((tsc - sample.Tsc) * _nanosecondsPerCycle);
        long shown = Evaluate(tsc);
        long ahead = shown - truth;
        if (ahead <= 0)
            return Line(tsc, truth, _nanosecondsPerCycle);
        double slowdown = Math.Min((double)ahead / UpdateIntervalNanoseconds, 1.0 / MaximumSlowdown);
        return Line(tsc, shown, _nanosecondsPerCycle * (1 - slowdown));
    }

    /// <summary>Sends every question to the VMM from now on.</summary>
    public void Stop()
    {
        _line = new VvarTimes { UseTsc = false };
        _page.SetTimes(_line);
    }

    /// <summary>What CLOCK_MONOTONIC the vDSO computes for a counter value, bit for bit.</summary>
    public long Evaluate(ulong tsc)
    {
        ulong cycles = tsc > _line.CycleLast ? tsc - _line.CycleLast : 0;
        ulong high = Math.BigMul(cycles, _line.Multiplier, out ulong low);
        return _line.Monotonic + (long)(high << (64 - Shift) | low >> Shift);
    }

    private bool TryMeasureRate(in ClockSample sample)
    {
        long elapsed = sample.Monotonic - _rateStart.Monotonic;
        if (elapsed < MinimumRateWindowNanoseconds)
            return true;
        double measured = (double)elapsed / (sample.Tsc - _rateStart.Tsc);
        if (Math.Abs(measured / _nominalNanosecondsPerCycle - 1) > RateTolerance)
            return false;
        _nanosecondsPerCycle = measured;
        // A window of one interval follows the host's clock when its frequency is being corrected.
        _rateStart = sample;
        return true;
    }

    private static long FollowOffset(long current, long measured) =>
        Math.Abs(measured - current) > OffsetNoiseNanoseconds ? measured : current;

    private VvarTimes Line(ulong tsc, long monotonic, double nanosecondsPerCycle) => new()
    {
        UseTsc = true,
        CycleLast = tsc,
        Multiplier = (ulong)(nanosecondsPerCycle * (1UL << Shift)),
        Shift = Shift,
        Monotonic = monotonic,
        Realtime = monotonic + _realtimeOffset,
        BootTime = monotonic + _bootOffset,
    };
}
