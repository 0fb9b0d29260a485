using System.Diagnostics;
using Xunit;

namespace Sandbox.Host.Tests;

public class HostFutexTests
{
    private int _word;

    [Fact]
    public void A_changed_word_does_not_wait()
    {
        _word = 1;
        HostFutex.Wait(ref _word, 0);
        Assert.True(HostFutex.WaitUntil(ref _word, 0, long.MaxValue));
        Assert.True(HostFutex.WaitFor(ref _word, 0, long.MaxValue));
    }

    [Fact]
    public void A_relative_time_passes()
    {
        var start = Stopwatch.GetTimestamp();
        while (HostFutex.WaitFor(ref _word, 0, 20_000_000))
        {
            // Spurious: wait again.
        }
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 19, 10_000);
    }

    [Fact]
    public void An_absolute_deadline_passes()
    {
        var deadline = HostClock.MonotonicNanoseconds() + 20_000_000;
        while (HostFutex.WaitUntil(ref _word, 0, deadline))
        {
            // Spurious: wait again.
        }
        Assert.True(HostClock.MonotonicNanoseconds() >= deadline);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    public void A_deadline_in_the_past_passes_at_once(long deadline)
    {
        Assert.False(HostFutex.WaitUntil(ref _word, 0, deadline));
        Assert.False(HostFutex.WaitFor(ref _word, 0, deadline));
    }

    [Fact]
    public void Wake_wakes_as_many_as_asked()
    {
        const int Waiters = 3;
        var left = 0;
        var threads = Enumerable.Range(0, Waiters).Select(_ => new Thread(() =>
        {
            while (Volatile.Read(ref _word) == 0)
                HostFutex.Wait(ref _word, 0);
            Interlocked.Increment(ref left);
        })).ToList();
        threads.ForEach(thread => thread.Start());

        // The word still says "wait", so a woken thread goes back to sleep: wake until all were seen asleep at once.
        var limit = HostClock.MonotonicNanoseconds() + (10 * HostClock.NanosecondsPerSecond);
        while (HostFutex.Wake(ref _word, int.MaxValue) < Waiters)
            Assert.True(HostClock.MonotonicNanoseconds() < limit, "the waiters never slept");
        Assert.Equal(0, left);
        Assert.InRange(HostFutex.Wake(ref _word, 1), 0, 1);
        Volatile.Write(ref _word, 1);
        HostFutex.Wake(ref _word, int.MaxValue);
        threads.ForEach(thread => Assert.True(thread.Join(10_000)));
        Assert.Equal(Waiters, left);
    }

    [Fact]
    public void A_waiting_word_stays_where_it_is_while_the_heap_moves()
    {
        var holder = new Holder();
        var waiter = new Thread(() =>
        {
            while (Volatile.Read(ref holder.Word) == 0)
                HostFutex.Wait(ref holder.Word, 0);
        });
        waiter.Start();
        for (var i = 0; i < 5; i++)
        {
            GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
            Thread.Sleep(2);
        }
        Volatile.Write(ref holder.Word, 1);
        HostFutex.Wake(ref holder.Word, 1);
        Assert.True(waiter.Join(10_000));
    }

    [Fact]
    public void Waking_nobody_answers_zero() => Assert.Equal(0, HostFutex.Wake(ref _word, int.MaxValue));

    private sealed class Holder
    {
        public int Word;
    }
}
