using System.Collections.Concurrent;
using System.Reflection;
using Sandbox.Host;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.Time;
using Sandbox.Vmm.Platforms;
using Sandbox.Vmm.Tests.Ipc;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>The timer queue, interval timers and POSIX timers.</summary>
public sealed class TimerTests
{
    private const ulong Data = ScriptedGuest.Data;

    private sealed class Recorder(int id, ConcurrentQueue<int> order) : ITimerCallback
    {
        public void OnTimer() => order.Enqueue(id);
    }

    [Fact]
    public void Timers_fire_in_the_order_of_their_deadlines_unless_cancelled()
    {
        GuestClock clock = new();
        TimerQueue queue = new(clock);
        ConcurrentQueue<int> order = [];
        long start = clock.Monotonic + 50_000_000;
        int[] ids = [.. Enumerable.Range(0, 200)];
        new Random(1).Shuffle(ids);
        TimerHandle[] handles = new TimerHandle[ids.Length];
        foreach (int id in ids)
            handles[id] = queue.Schedule(start + id * 100_000, new Recorder(id, order));
        for (int id = 0; id < ids.Length; id += 3)
            Assert.True(queue.Cancel(handles[id]));
        Assert.True(SpinWait.SpinUntil(() => queue.Count == 0, 5000));
        Assert.True(SpinWait.SpinUntil(() => order.Count == ids.Length - 67, 5000));
        Assert.Equal(Enumerable.Range(0, 200).Where(i => i % 3 != 0), order);
        Assert.False(queue.Cancel(handles[1]));
        Assert.False(queue.Cancel(default));
    }

    [Fact]
    public void The_queue_is_bounded()
    {
        TimerQueue queue = new(new GuestClock());
        Recorder recorder = new(0, []);
        long far = long.MaxValue - 1;
        for (int i = 0; i < TimerQueue.Capacity; i++)
            Assert.False(queue.Schedule(far, recorder).IsNone);
        Assert.True(queue.Schedule(far, recorder).IsNone);
    }

    [Fact]
    public void An_interval_timer_sends_SIGALRM_again_and_again()
    {
        using ScriptedGuest guest = new();
        int count = 0;
        itimerval left = default;
        Routine handler = Handler;
        ScriptedGuest.Exited(guest.Run(Program));
        // A busy host leaves time for more.
        Assert.True(count >= 3);
        Assert.True(left.it_value.tv_usec is > 0 and <= 5000);
        Assert.Equal(5000, left.it_interval.tv_usec);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Write(Data, new kernel_sigaction
            {
                sa_handler = guest.Platform.AddressOf(handler), sa_flags = SA_RESTORER, sa_restorer = 1,
            });
            yield return cpu.Call(SYS_rt_sigaction, SIGALRM, Data, 0, 8);
            cpu.Write(Data, new itimerval { it_value = new() { tv_usec = 5000 }, it_interval = new() { tv_usec = 5000 } });
            yield return cpu.Call(SYS_setitimer, ITIMER_REAL, Data, 0);
            while (count < 3)
                yield return cpu.Call(SYS_pause);
            yield return cpu.Call(SYS_getitimer, ITIMER_REAL, Data);
            left = cpu.Read<itimerval>(Data);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Handler(ScriptedCpu cpu)
        {
            count++;
            yield return cpu.ReturnFromHandler();
        }
    }

    [Fact]
    public void A_POSIX_timer_counts_the_periods_that_nobody_took()
    {
        using ScriptedGuest guest = new();
        siginfo_t info = default;
        long overrun = 0, deleted = -1, gone = 0;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal((SIGUSR1, SI_TIMER, 0xabcdUL), (info.si_signo, info.si_code, info.si_ptr));
        Assert.InRange(overrun, 10, 1000);
        Assert.Equal(info.si_overrun, overrun);
        Assert.Equal(0, deleted);
        Assert.Equal(-EINVAL, gone);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Write(Data, SignalSet.Of(SIGUSR1));
            yield return cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, Data, 0, 8);
            cpu.Write(Data + 64, new sigevent
            {
                sigev_signo = SIGUSR1, sigev_notify = SIGEV_SIGNAL, sigev_value = new() { sival_ptr = 0xabcd },
            });
            yield return cpu.Call(SYS_timer_create, CLOCK_MONOTONIC, Data + 64, Data + 128);
            ulong id = cpu.Read<uint>(Data + 128);
            timespec period = new() { tv_nsec = 2_000_000 };
            cpu.Write(Data + 64, new itimerspec { it_value = period, it_interval = period });
            yield return cpu.Call(SYS_timer_settime, id, 0, Data + 64, 0);
            Thread.Sleep(60);
            yield return cpu.Call(SYS_rt_sigtimedwait, Data, Data + 256, 0, 8);
            info = cpu.Read<siginfo_t>(Data + 256);
            yield return cpu.Call(SYS_timer_getoverrun, id);
            overrun = cpu.Result;
            yield return cpu.Call(SYS_timer_delete, id);
            deleted = cpu.Result;
            yield return cpu.Call(SYS_timer_gettime, id, Data);
            gone = cpu.Result;
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Theory]
    [InlineData(CLOCK_REALTIME)]
    [InlineData(CLOCK_BOOTTIME)]
    public void A_POSIX_timer_that_comes_early_comes_again(int clock)
    {
        using DirectGuest guest = new();
        guest.Thread.SetSignalMask(SignalSet.Of(SIGUSR1));
        PosixTimer timer = new(guest.Thread.Process, clock, SIGUSR1, 0, null, valueIsId: false);
        timer.Set(guest.Personality.Clock.Read(clock) + 500_000_000, 0, absolute: true);
        // What the queue does when it is due; the clock has been set back meanwhile, or was read a moment too late.
        TakeFromQueue(timer, guest.Personality.Timers);
        ((ITimerCallback)timer).OnTimer();
        Assert.Equal(1, guest.Personality.Timers.Count);
        Assert.True(SpinWait.SpinUntil(() => guest.Thread.PendingSet == SignalSet.Of(SIGUSR1), 20_000));
    }

    private static void TakeFromQueue(PosixTimer timer, TimerQueue queue)
    {
        FieldInfo handle = typeof(PosixTimer).GetField("_handle", BindingFlags.Instance | BindingFlags.NonPublic)!;
        Assert.True(queue.Cancel((TimerHandle)handle.GetValue(timer)!));
    }

    [Fact]
    public void A_timer_on_a_threads_CPU_time_does_not_count_that_of_others()
    {
        using ScriptedGuest guest = new();
        bool idleFired = true, busyFired = false;
        Routine busy = Busy;
        ScriptedGuest.Exited(guest.Run(Idle));
        Assert.True(busyFired);
        Assert.False(idleFired);

        IEnumerable<GuestExit> Idle(ScriptedCpu cpu)
        {
            cpu.Write(Data, SignalSet.Of(SIGUSR1) | SignalSet.Of(SIGUSR2));
            yield return cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, Data, 0, 8);
            cpu.Child = guest.Platform.AddressOf(busy);
            yield return cpu.Call(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD,
                Data + 0x10000);
            foreach (GuestExit step in StartTimer(cpu, Data + 0x100, SIGUSR1, milliseconds: 100))
                yield return step;
            // Set by the other, which wakes this one.
            while (cpu.Read<int>(Data + 0x400) == 0)
                yield return cpu.Call(SYS_futex, Data + 0x400, FUTEX_WAIT, 0, 0);
            yield return cpu.Call(SYS_rt_sigpending, Data, 8);
            idleFired = SignalSet.Contains(cpu.Read<ulong>(Data), SIGUSR1);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Busy(ScriptedCpu cpu)
        {
            foreach (GuestExit step in StartTimer(cpu, Data + 0x200, SIGUSR2, milliseconds: 300))
                yield return step;
            for (int i = 0; !busyFired && i < 2000; i++)
            {
                yield return cpu.Spin(10);
                yield return cpu.Call(SYS_rt_sigpending, Data + 0x300, 8);
                busyFired = SignalSet.Contains(cpu.Read<ulong>(Data + 0x300), SIGUSR2);
            }
            cpu.Write(Data + 0x400, 1);
            yield return cpu.Call(SYS_futex, Data + 0x400, FUTEX_WAKE, 1);
            yield return cpu.Call(SYS_exit, 0);
        }

        static IEnumerable<GuestExit> StartTimer(ScriptedCpu cpu, ulong at, int signal, int milliseconds)
        {
            cpu.Write(at, new sigevent { sigev_signo = signal, sigev_notify = SIGEV_SIGNAL });
            yield return cpu.Call(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, at, at + 0x80);
            ulong id = cpu.Read<uint>(at + 0x80);
            cpu.Write(at, new itimerspec { it_value = GuestClock.ToTimespec(milliseconds * 1_000_000L) });
            yield return cpu.Call(SYS_timer_settime, id, 0, at, 0);
        }
    }

    [Fact]
    public void Alarm_kills_a_program_without_a_handler()
    {
        using ScriptedGuest guest = new();
        long left = -1;
        GuestEnd end = guest.Run(Program);
        Assert.Equal(SIGALRM, end.Value);
        Assert.Equal(100, left);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_alarm, 100);
            yield return cpu.Call(SYS_alarm, 1);
            left = cpu.Result;
            while (true)
                yield return cpu.Call(SYS_pause);
        }
    }
}
