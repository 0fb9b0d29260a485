using Sandbox.Vmm.Personality.Loader;
using Xunit;

namespace Sandbox.Vmm.Tests.Loader;

/// <summary>The line through the counter, with made-up counters and clocks.</summary>
public class VdsoClockTests
{
    private const long Second = 1_000_000_000;
    private const long Kilohertz = 2_500_000;
    private const ulong CyclesPerSecond = 2_500_000_000;

    private static readonly ClockSample First = new(1000, 100 * Second, 1_700_000_000 * Second, 150 * Second);

    private static VdsoClock Start(out Func<byte[]> page)
    {
        byte[] bytes = new byte[4096];
        VvarPage writer = new((offset, content) => content.CopyTo(bytes.AsMemory(offset)));
        page = () => bytes;
        VdsoClock clock = new(writer, Kilohertz);
        clock.Start(First);
        Assert.True(clock.IsRunning);
        return clock;
    }

    private static ClockSample After(double seconds, long error = 0) => new(
        First.Tsc + (ulong)(seconds * CyclesPerSecond), First.Monotonic + (long)(seconds * Second) + error,
        First.Realtime + (long)(seconds * Second) + error, First.BootTime + (long)(seconds * Second) + error);

    /// <summary>By one who does not sleep between sample and update.</summary>
    private static void Update(VdsoClock clock, ClockSample sample) => clock.Update(sample, () => sample.Tsc);

    private static uint Sequence(byte[] page) => BitConverter.ToUInt32(page, VvarLayout.Sequence);

    [Fact]
    public void RunsAtTheStatedRate()
    {
        VdsoClock clock = Start(out _);
        Assert.Equal(First.Monotonic, clock.Evaluate(First.Tsc));
        Assert.InRange(clock.Evaluate(After(1).Tsc), First.Monotonic + Second - 2, First.Monotonic + Second);
        // A page nobody renewed for ten days is still right to the rate's own precision.
        long late = clock.Evaluate(After(864_000).Tsc) - (First.Monotonic + 864_000 * Second);
        Assert.InRange(late, -Second / 100, Second / 100);
    }

    [Fact]
    public void JumpsForwardToTheTruthWhenBehind()
    {
        VdsoClock clock = Start(out _);
        ClockSample sample = After(1, error: 5_000);
        Update(clock, sample);
        Assert.Equal(sample.Monotonic, clock.Evaluate(sample.Tsc));
    }

    [Fact]
    public void SlowsDownWhenAheadAndMeetsTheTruth()
    {
        VdsoClock clock = Start(out _);
        ClockSample sample = After(1, error: -5_000);
        long shown = clock.Evaluate(sample.Tsc);
        Update(clock, sample);
        Assert.Equal(shown, clock.Evaluate(sample.Tsc));
        Assert.True(shown > sample.Monotonic);
        // One interval later, the host still being 5 us behind its first promise.
        ClockSample next = After(2, error: -5_000);
        Assert.InRange(clock.Evaluate(next.Tsc) - next.Monotonic, -6_000, 1_000);
    }

    [Fact]
    public void SlowsDownFromWhereItIsByThenHoweverLateTheUpdate()
    {
        VdsoClock clock = Start(out Func<byte[]> page);
        ClockSample sample = After(1, error: -5_000_000);
        ulong late = sample.Tsc + CyclesPerSecond / 10;
        long last = clock.Evaluate(late);
        uint sequenceThen = 0;
        clock.Update(sample, () =>
        {
            sequenceThen = Sequence(page());
            return late;
        });
        Assert.Equal(last, clock.Evaluate(late));
        // Readers of the old line had been turned away before the counter was read.
        Assert.Equal(1u, sequenceThen % 2);
        Assert.Equal(0u, Sequence(page()) % 2);
    }

    [Fact]
    public void NeverStandsStillHoweverFarAhead()
    {
        VdsoClock clock = Start(out _);
        ClockSample sample = After(0.05, error: -40_000_000);
        Update(clock, sample);
        long first = clock.Evaluate(sample.Tsc);
        Assert.True(clock.Evaluate(sample.Tsc + CyclesPerSecond / 10) >= first + 9 * Second / 100);
    }

    [Fact]
    public void FollowsTheHostsFrequency()
    {
        VdsoClock clock = Start(out _);
        // The host runs 100 ppm fast against the stated rate.
        for (int i = 1; i <= 20; i++)
            Update(clock, After(i, error: i * 100_000));
        ClockSample next = After(21, error: 21 * 100_000);
        Assert.InRange(clock.Evaluate(next.Tsc) - next.Monotonic, -500, 500);
    }

    [Fact]
    public void RealtimeFollowsASetClockButNotNoise()
    {
        VdsoClock clock = Start(out Func<byte[]> page);
        long realtime() => BitConverter.ToInt64(page(), VvarLayout.BaseTimes) * Second
            + BitConverter.ToInt64(page(), VvarLayout.BaseTimes + 8);
        ClockSample sample = After(1);
        Update(clock, sample with { Realtime = sample.Realtime + 10_000 });
        Assert.InRange(realtime() - sample.Realtime, -1000, 1000);
        sample = After(2);
        Update(clock, sample with { Realtime = sample.Realtime - 3600 * Second });
        Assert.InRange(realtime() - (sample.Realtime - 3600 * Second), -1000, 1000);
    }

    [Theory]
    [InlineData(1.0, 0)]
    [InlineData(-0.0000001, 0)]
    [InlineData(0.0, 0)]
    public void ACounterThatCannotBeTrustedStopsTheLine(double seconds, long error)
    {
        VdsoClock clock = Start(out Func<byte[]> page);
        ClockSample bad = seconds > 0
            ? After(seconds) with { Tsc = First.Tsc + CyclesPerSecond / 2 }
            : After(1, error) with { Tsc = First.Tsc - (seconds < 0 ? 1u : 0) };
        Update(clock, bad);
        Assert.False(clock.IsRunning);
        Assert.Equal(VvarLayout.ModeSystemCall, BitConverter.ToUInt32(page(), VvarLayout.ClockMode));
        Update(clock, After(2));
        Assert.False(clock.IsRunning);
    }

    [Fact]
    public void EveryWriteIsFramedByTheSequence()
    {
        List<uint> sequences = [];
        byte[] bytes = new byte[4096];
        VvarPage page = new((offset, content) =>
        {
            if (offset != VvarLayout.Sequence)
                Assert.Equal(1u, Sequence(bytes) % 2);
            content.CopyTo(bytes.AsMemory(offset));
            sequences.Add(Sequence(bytes));
        });
        page.SetCpuSource(VvarLayout.CpuAlwaysZero, 1);
        page.SetTimes(new VvarTimes { UseTsc = false });
        Assert.Equal([1, 1, 2, 3, 3, 4], sequences);
    }
}
