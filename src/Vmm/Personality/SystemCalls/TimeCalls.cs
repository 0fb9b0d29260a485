using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Time;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>Clocks and sleeping. Timers are in TimeCalls.Timers.cs.</summary>
static partial class TimeCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_clock_gettime, "clock_gettime", ClockGettime, "enum:clock timespec_out");
        table.Add(SYS_clock_getres, "clock_getres", ClockGetres, "enum:clock timespec_out");
        table.Add(SYS_clock_settime, "clock_settime", ClockSettime, "enum:clock timespec");
        table.Add(SYS_clock_adjtime, "clock_adjtime", ClockAdjtime, "enum:clock ptr");
        table.Add(SYS_adjtimex, "adjtimex", Adjtimex, "ptr");
        table.Add(SYS_settimeofday, "settimeofday", static (t, in a) => -EPERM, "ptr ptr");
        table.Add(SYS_gettimeofday, "gettimeofday", Gettimeofday, "ptr ptr");
        table.Add(SYS_time, "time", CurrentTime, "ptr");
        table.Add(SYS_times, "times", Times, "ptr");
        table.Add(SYS_nanosleep, "nanosleep", Nanosleep, "timespec timespec_out", atExit: true);
        table.Add(SYS_clock_nanosleep, "clock_nanosleep", ClockNanosleep, "enum:clock int timespec timespec_out", atExit: true);
        RegisterTimers(table);
    }

    /// <summary>A CPU clock's owner: the calling thread or process, or one named by clock_getcpuclockid(3).</summary>
    /// <returns>False when there is no such clock.</returns>
    internal static bool TryReadCpuClock(GuestThread thread, int clock, out long nanoseconds)
    {
        const int perThread = 4, kindMask = 3, scheduler = 2;
        nanoseconds = 0;
        if (clock == CLOCK_THREAD_CPUTIME_ID)
        {
            nanoseconds = thread.CpuNanoseconds;
            return true;
        }
        if (clock == CLOCK_PROCESS_CPUTIME_ID)
        {
            nanoseconds = thread.Process.CpuNanoseconds;
            return true;
        }
        if (clock >= 0 || (clock & kindMask) > scheduler)
            return false;
        int id = ~(clock >> 3);
        lock (thread.Personality.TaskLock)
        {
            if ((clock & perThread) != 0)
            {
                GuestThread? target = id == 0 ? thread : thread.Personality.FindThread(id);
                if (target is null || target.Process != thread.Process)
                    return false;
                nanoseconds = target.CpuNanoseconds;
                return true;
            }
            Process? process = id == 0 ? thread.Process : thread.Personality.FindProcess(id);
            nanoseconds = process?.CpuNanoseconds ?? 0;
            return process is not null;
        }
    }

    /// <summary>Any clock's time; false is EINVAL.</summary>
    internal static bool TryReadClock(GuestThread thread, int clock, out long nanoseconds)
    {
        if (!GuestClock.IsTimeOfDay(clock))
            return TryReadCpuClock(thread, clock, out nanoseconds);
        nanoseconds = thread.Personality.Clock.Read(clock);
        return true;
    }

    private static long ClockGettime(GuestThread thread, in SystemCallArguments a)
    {
        if (!TryReadClock(thread, a.Int0, out long now))
            return -EINVAL;
        return thread.Memory.TryWrite(new VirtualAddress(a.A1), GuestClock.ToTimespec(now)) ? 0 : -EFAULT;
    }

    private static long ClockGetres(GuestThread thread, in SystemCallArguments a)
    {
        if (!TryReadClock(thread, a.Int0, out _))
            return -EINVAL;
        long resolution = GuestClock.IsTimeOfDay(a.Int0) ? thread.Personality.Clock.Resolution(a.Int0) : 1;
        return a.A1 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A1), GuestClock.ToTimespec(resolution))
            ? 0 : -EFAULT;
    }

    private static long ClockSettime(GuestThread thread, in SystemCallArguments a) =>
        a.Int0 == CLOCK_REALTIME ? -EPERM : -EINVAL;

    private static long ClockAdjtime(GuestThread thread, in SystemCallArguments a) =>
        a.Int0 != CLOCK_REALTIME ? -EINVAL : ReadAdjustment(thread, a.A1);

    private static long Adjtimex(GuestThread thread, in SystemCallArguments a) => ReadAdjustment(thread, a.A0);

    /// <summary>struct timex, read-only: an unsynchronised clock that nobody may adjust.</summary>
    private static long ReadAdjustment(GuestThread thread, ulong address)
    {
        // Offsets in struct timex of linux/timex.h, which is 208 bytes.
        const int size = 208, status = 40, precision = 56, tolerance = 64, time = 72, tick = 88;
        const int unsynchronised = 0x40, errorState = 5;
        Span<byte> timex = stackalloc byte[size];
        if (!thread.Memory.TryRead(new VirtualAddress(address), timex))
            return -EFAULT;
        if (System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(timex) != 0)
            return -EPERM;
        timex.Clear();
        System.Buffers.Binary.BinaryPrimitives.WriteInt32LittleEndian(timex[status..], unsynchronised);
        System.Buffers.Binary.BinaryPrimitives.WriteInt64LittleEndian(timex[precision..], 1);
        System.Buffers.Binary.BinaryPrimitives.WriteInt64LittleEndian(timex[tolerance..], 32_768_000);
        timeval now = GuestClock.ToTimeval(thread.Personality.Clock.Realtime);
        System.Runtime.InteropServices.MemoryMarshal.Write(timex[time..], in now);
        System.Buffers.Binary.BinaryPrimitives.WriteInt64LittleEndian(timex[tick..], 10_000);
        return thread.Memory.TryWrite(new VirtualAddress(address), timex) ? errorState : -EFAULT;
    }

    private static long Gettimeofday(GuestThread thread, in SystemCallArguments a)
    {
        timeval now = GuestClock.ToTimeval(thread.Personality.Clock.Realtime);
        if (a.A0 != 0 && !thread.Memory.TryWrite(new VirtualAddress(a.A0), now))
            return -EFAULT;
        return a.A1 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A1), default(timezone)) ? 0 : -EFAULT;
    }

    private static long CurrentTime(GuestThread thread, in SystemCallArguments a)
    {
        long now = thread.Personality.Clock.Realtime / GuestClock.NanosecondsPerSecond;
        return a.A0 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A0), now) ? now : -EFAULT;
    }

    private static long Times(GuestThread thread, in SystemCallArguments a)
    {
        Process process = thread.Process;
        tms times = new()
        {
            tms_utime = process.CpuNanoseconds / GuestClock.NanosecondsPerTick,
            tms_cutime = process.ChildrenCpuNanoseconds / GuestClock.NanosecondsPerTick,
        };
        if (a.A0 != 0 && !thread.Memory.TryWrite(new VirtualAddress(a.A0), times))
            return -EFAULT;
        return thread.Personality.Clock.Monotonic / GuestClock.NanosecondsPerTick;
    }

    private static long Nanosleep(GuestThread thread, in SystemCallArguments a)
    {
        if (!thread.Memory.TryRead(new VirtualAddress(a.A0), out timespec request))
            return -EFAULT;
        if (!GuestClock.TryToNanoseconds(request, out long nanoseconds))
            return -EINVAL;
        return SleepRelative(thread, new RestartState
        {
            Clock = CLOCK_MONOTONIC, Deadline = thread.Personality.Clock.After(nanoseconds), Address = a.A1,
        });
    }

    private static long ClockNanosleep(GuestThread thread, in SystemCallArguments a)
    {
        int clock = a.Int0;
        if (clock is CLOCK_THREAD_CPUTIME_ID or CLOCK_MONOTONIC_RAW
            or CLOCK_REALTIME_COARSE or CLOCK_MONOTONIC_COARSE)
            return clock == CLOCK_THREAD_CPUTIME_ID ? -EINVAL : -EOPNOTSUPP;
        if (!TryReadClock(thread, clock, out long now))
            return -EINVAL;
        if (!thread.Memory.TryRead(new VirtualAddress(a.A2), out timespec request))
            return -EFAULT;
        if (!GuestClock.TryToNanoseconds(request, out long nanoseconds))
            return -EINVAL;
        bool absolute = (a.Int1 & TIMER_ABSTIME) != 0;
        GuestClock guestClock = thread.Personality.Clock;
        if (!GuestClock.IsTimeOfDay(clock))
            return SleepOnCpuClock(thread, clock, absolute ? nanoseconds : GuestClock.SaturatingAdd(now, nanoseconds));
        if (absolute)
            return Sleep(thread, guestClock.ToMonotonic(clock, nanoseconds)) ? 0 : Restart.NoHandler;
        return SleepRelative(thread, new RestartState
        {
            Clock = CLOCK_MONOTONIC, Deadline = guestClock.After(nanoseconds), Address = a.A3,
        });
    }

    private static long SleepRelative(GuestThread thread, in RestartState sleep)
    {
        if (Sleep(thread, sleep.Deadline))
            return 0;
        if (sleep.Address != 0)
        {
            long left = Math.Max(sleep.Deadline - thread.Personality.Clock.Monotonic, 0);
            if (!thread.Memory.TryWrite(new VirtualAddress(sleep.Address), GuestClock.ToTimespec(left)))
                return -EFAULT;
        }
        thread.RestartState = sleep;
        thread.RestartFunction = static t => SleepRelative(t, t.RestartState);
        return Restart.Block;
    }

    /// <summary>False when a signal came before the deadline.</summary>
    private static bool Sleep(GuestThread thread, long deadline)
    {
        while (true)
        {
            if (thread.HasPendingSignal)
                return deadline != Parker.Forever && thread.Personality.Clock.Monotonic >= deadline;
            if (!thread.Parker.Park(deadline))
                return true;
        }
    }

    /// <summary>CPU clocks of other threads of the process or of other processes: looked at now and then.</summary>
    private static long SleepOnCpuClock(GuestThread thread, int clock, long target)
    {
        const long step = 5_000_000;
        while (TryReadCpuClock(thread, clock, out long now) && now < target)
        {
            long wait = Math.Max((target - now) / Environment.ProcessorCount, step);
            if (!Sleep(thread, thread.Personality.Clock.After(wait)))
                return Restart.NoHandler;
        }
        return 0;
    }
}
