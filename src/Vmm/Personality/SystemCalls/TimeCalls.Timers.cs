using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.Time;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// setitimer(2), alarm(2), timer_create(2) and its relatives.
static partial class TimeCalls
{
    private static void RegisterTimers(SystemCallTable table)
    {
        table.Add(SYS_alarm, "alarm", Alarm, "uint");
        table.Add(SYS_getitimer, "getitimer", Getitimer, "enum:itimer ptr");
        table.Add(SYS_setitimer, "setitimer", Setitimer, "enum:itimer itimerval ptr");
        table.Add(SYS_timer_create, "timer_create", TimerCreate, "enum:clock ptr ptr");
        table.Add(SYS_timer_settime, "timer_settime", TimerSettime, "int int itimerspec ptr");
        table.Add(SYS_timer_gettime, "timer_gettime", TimerGettime, "int ptr");
        table.Add(SYS_timer_getoverrun, "timer_getoverrun", TimerGetoverrun, "int");
        table.Add(SYS_timer_delete, "timer_delete", TimerDelete, "int");
    }

    private static long Alarm(GuestThread thread, in SystemCallArguments a)
    {
        long nanoseconds = (uint)a.A0 * GuestClock.NanosecondsPerSecond;
        (long left, _) = thread.Process.IntervalTimer.Set(nanoseconds, 0);
        if (left == 0)
            return 0;
        // Rounded, but an alarm that is due within half a second is still one second away.
        return Math.Max((left + GuestClock.NanosecondsPerSecond / 2) / GuestClock.NanosecondsPerSecond, 1);
    }

    private static long Getitimer(GuestThread thread, in SystemCallArguments a)
    {
        Process process = thread.Process;
        (long Value, long Interval) timer;
        switch (a.Int0)
        {
            case ITIMER_REAL: timer = process.IntervalTimer.Get(); break;
            case ITIMER_VIRTUAL: timer = process.VirtualTimer.Get(); break;
            case ITIMER_PROF: timer = process.ProfilingTimer.Get(); break;
            default: return -EINVAL;
        }
        return thread.Memory.TryWrite(new VirtualAddress(a.A1), ToItimerval(timer)) ? 0 : -EFAULT;
    }

    private static long Setitimer(GuestThread thread, in SystemCallArguments a)
    {
        Process process = thread.Process;
        itimerval setting = default;
        // Without a value the timer is stopped, as the kernel still allows.
        if (a.A1 != 0 && !thread.Memory.TryRead(new VirtualAddress(a.A1), out setting))
            return -EFAULT;
        if (!GuestClock.TryToNanoseconds(setting.it_value, out long value)
            || !GuestClock.TryToNanoseconds(setting.it_interval, out long interval))
            return -EINVAL;
        (long Value, long Interval) old;
        switch (a.Int0)
        {
            case ITIMER_REAL: old = process.IntervalTimer.Set(value, interval); break;
            case ITIMER_VIRTUAL: old = process.VirtualTimer.Arm(value, interval); break;
            case ITIMER_PROF: old = process.ProfilingTimer.Arm(value, interval); break;
            default: return -EINVAL;
        }
        return a.A2 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A2), ToItimerval(old)) ? 0 : -EFAULT;
    }

    private static itimerval ToItimerval((long Value, long Interval) timer) => new()
    {
        it_value = GuestClock.ToTimeval(timer.Value), it_interval = GuestClock.ToTimeval(timer.Interval),
    };

    private static long TimerCreate(GuestThread thread, in SystemCallArguments a)
    {
        int clock = a.Int0;
        if (clock is CLOCK_REALTIME_COARSE or CLOCK_MONOTONIC_COARSE or CLOCK_MONOTONIC_RAW)
            return -EOPNOTSUPP;
        // Only the CPU clocks of the process and of the thread itself can be waited for.
        if (!GuestClock.IsTimeOfDay(clock) && clock is not (CLOCK_PROCESS_CPUTIME_ID or CLOCK_THREAD_CPUTIME_ID))
            return clock < 0 && TryReadCpuClock(thread, clock, out _) ? -EOPNOTSUPP : -EINVAL;
        sigevent notification = new() { sigev_signo = SIGALRM, sigev_notify = SIGEV_SIGNAL };
        bool isDefault = a.A1 == 0;
        if (!isDefault && !thread.Memory.TryRead(new VirtualAddress(a.A1), out notification))
            return -EFAULT;
        GuestThread? target = null;
        switch (notification.sigev_notify)
        {
            case SIGEV_NONE:
                notification.sigev_signo = 0;
                break;
            case SIGEV_SIGNAL | SIGEV_THREAD_ID:
                target = thread.Personality.FindThread(notification.sigev_notify_thread_id);
                if (target is null || target.Process != thread.Process)
                    return -EINVAL;
                goto case SIGEV_SIGNAL;
            case SIGEV_SIGNAL:
            case SIGEV_THREAD:
                if (!SignalSet.IsValid(notification.sigev_signo))
                    return -EINVAL;
                break;
            default:
                return -EINVAL;
        }
        PosixTimer timer = new(
            thread.Process, clock, notification.sigev_signo, notification.sigev_value.sival_ptr, target,
            valueIsId: isDefault, measured: clock == CLOCK_THREAD_CPUTIME_ID ? thread : null);
        int id = thread.Process.PosixTimers.Add(timer);
        if (id < 0)
            return id;
        if (thread.Memory.TryWrite(new VirtualAddress(a.A2), id))
            return 0;
        thread.Process.PosixTimers.Remove(id);
        return -EFAULT;
    }

    private static long TimerSettime(GuestThread thread, in SystemCallArguments a)
    {
        if (!thread.Memory.TryRead(new VirtualAddress(a.A2), out itimerspec setting))
            return a.A2 == 0 ? -EINVAL : -EFAULT;
        if (!GuestClock.TryToNanoseconds(setting.it_value, out long value)
            || !GuestClock.TryToNanoseconds(setting.it_interval, out long interval))
            return -EINVAL;
        if (thread.Process.PosixTimers.Find(a.Int0) is not { } timer)
            return -EINVAL;
        (long Value, long Interval) old = timer.Set(value, interval, (a.Int1 & TIMER_ABSTIME) != 0);
        return a.A3 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A3), ToItimerspec(old)) ? 0 : -EFAULT;
    }

    private static long TimerGettime(GuestThread thread, in SystemCallArguments a)
    {
        if (thread.Process.PosixTimers.Find(a.Int0) is not { } timer)
            return -EINVAL;
        return thread.Memory.TryWrite(new VirtualAddress(a.A1), ToItimerspec(timer.Get())) ? 0 : -EFAULT;
    }

    private static itimerspec ToItimerspec((long Value, long Interval) timer) => new()
    {
        it_value = GuestClock.ToTimespec(timer.Value), it_interval = GuestClock.ToTimespec(timer.Interval),
    };

    private static long TimerGetoverrun(GuestThread thread, in SystemCallArguments a) =>
        thread.Process.PosixTimers.Find(a.Int0)?.Overrun ?? -EINVAL;

    private static long TimerDelete(GuestThread thread, in SystemCallArguments a) =>
        thread.Process.PosixTimers.Remove(a.Int0) ? 0 : -EINVAL;
}
