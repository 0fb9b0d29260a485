using Xunit;

namespace Sandbox.Host.Tests;

public class HostClockTests
{
    [Fact]
    public void Monotonic_time_agrees_with_the_runtime()
    {
        var before = Environment.TickCount64;
        var now = HostClock.MonotonicNanoseconds() / 1_000_000;
        var after = Environment.TickCount64;
        // The runtime may read the coarse clock, which lags by a tick.
        Assert.InRange(now, before - 20, after + 20);
    }

    [Fact]
    public void Real_time_agrees_with_the_runtime()
    {
        var before = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        var now = HostClock.RealtimeNanoseconds() / 1_000_000;
        Assert.InRange(now, before - 20, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() + 20);
    }

    [Fact]
    public void Boot_time_is_not_behind_monotonic_time()
    {
        var monotonic = HostClock.MonotonicNanoseconds();
        Assert.True(HostClock.BootNanoseconds() >= monotonic);
    }

    [Fact]
    public void Thread_time_runs_with_work_and_stands_in_sleep()
    {
        var start = HostClock.ThreadCpuNanoseconds();
        Thread.Sleep(50);
        var slept = HostClock.ThreadCpuNanoseconds() - start;
        Assert.InRange(slept, 0, 40_000_000);

        var limit = HostClock.MonotonicNanoseconds() + (10 * HostClock.NanosecondsPerSecond);
        start = HostClock.ThreadCpuNanoseconds();
        while (HostClock.ThreadCpuNanoseconds() - start < 5_000_000)
            Assert.True(HostClock.MonotonicNanoseconds() < limit, "the thread's clock does not run");
        Assert.True(HostClock.ProcessCpuNanoseconds() >= HostClock.ThreadCpuNanoseconds() - start);
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(-5, 0, 0)]
    [InlineData(999_999_999, 0, 999_999_999)]
    [InlineData(1_000_000_000, 1, 0)]
    [InlineData(long.MaxValue, 9_223_372_036, 854_775_807)]
    [InlineData(long.MinValue, 0, 0)]
    public void Nanoseconds_are_split(long nanoseconds, long seconds, long rest)
    {
        var time = HostClock.ToTimespec(nanoseconds);
        Assert.Equal((seconds, rest), (time.tv_sec, time.tv_nsec));
    }

    [Fact]
    public void Reading_a_clock_does_not_allocate()
    {
        HostClock.MonotonicNanoseconds();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 10_000; i++)
            HostClock.MonotonicNanoseconds();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
