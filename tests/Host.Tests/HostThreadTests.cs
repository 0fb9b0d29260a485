using System.Globalization;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Host.Tests;

public class HostThreadTests
{
    // The signal that vCPUs are kicked with: the first that the runtime leaves alone.
    private const int Kick = 35;

    [Fact]
    public void The_number_is_the_kernels()
    {
        var link = new FileInfo("/proc/thread-self").LinkTarget!;
        Assert.Equal(int.Parse(Path.GetFileName(link), CultureInfo.InvariantCulture), HostThread.Id);
    }

    [Fact]
    public void A_blocked_signal_waits_to_be_drained() => OnOwnThread(() =>
    {
        Assert.False((HostThread.SignalMask & (1ul << (Kick - 1))) != 0);
        HostThread.Block(Kick);
        Assert.True((HostThread.SignalMask & (1ul << (Kick - 1))) != 0);
        Assert.False(HostThread.Drain(Kick));
        Assert.Equal(0, HostThread.Signal(HostThread.Id, Kick));
        Assert.True(HostThread.Drain(Kick));
        Assert.False(HostThread.Drain(Kick));
        HostThread.Unblock(Kick);
        Assert.False((HostThread.SignalMask & (1ul << (Kick - 1))) != 0);
    });

    [Fact]
    public void A_thread_that_has_ended_cannot_be_signalled()
    {
        var tid = 0;
        OnOwnThread(() => tid = HostThread.Id);
        // Joining waits for the managed part only; the kernel's part ends a moment later.
        var limit = HostClock.MonotonicNanoseconds() + (5 * HostClock.NanosecondsPerSecond);
        int result;
        while ((result = HostThread.Signal(tid, 0)) == 0)
            Assert.True(HostClock.MonotonicNanoseconds() < limit, "the thread never ended");
        Assert.Equal(-ESRCH, result);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(65)]
    [InlineData(-1)]
    public void A_signal_that_does_not_exist_is_refused(int signal)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => HostThread.Block(signal));
        Assert.Throws<ArgumentOutOfRangeException>(() => HostThread.Drain(signal));
        Assert.Equal(signal == 0 ? 0 : -EINVAL, HostThread.Signal(HostThread.Id, signal));
    }

    [Fact]
    public void Processors_are_those_of_the_affinity_mask()
    {
        var line = File.ReadLines("/proc/self/status").Single(
            line => line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal));
        var count = line.Split(':')[1].Split(',').Select(part => part.Trim().Split('-')).Sum(range =>
            int.Parse(range[^1], CultureInfo.InvariantCulture) - int.Parse(range[0], CultureInfo.InvariantCulture) + 1);
        Assert.Equal(count, HostThread.AvailableProcessors);
    }

    private static void OnOwnThread(Action action)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null)
            throw new InvalidOperationException("on its own thread", failure);
    }
}
