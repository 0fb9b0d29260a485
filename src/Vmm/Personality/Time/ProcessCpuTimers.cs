using Sandbox.Vmm.Personality.Signals;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Time;

/// <summary>
/// ITIMER_VIRTUAL and ITIMER_PROF. Both count all CPU time of the process, since user and system time are not told
/// apart.
/// </summary>
sealed class CpuIntervalTimer(Process process, int signal) : CpuAlarm(process.Personality)
{
    private long _interval;

    protected override long Clock => process.CpuNanoseconds;

    public (long Value, long Interval) Get()
    {
        lock (Personality.TaskLock)
            return (Target == 0 ? 0 : Math.Max(Target - Clock, 1000), _interval);
    }

    public (long Value, long Interval) Arm(long value, long interval)
    {
        lock (Personality.TaskLock)
        {
            (long Value, long Interval) old = Get();
            _interval = value == 0 ? 0 : interval;
            Set(value == 0 ? 0 : GuestClock.SaturatingAdd(Clock, value));
            return old;
        }
    }

    protected override void GoOff()
    {
        process.SendSignalLocked(signal, SignalInfo.Kernel(signal), null);
        if (_interval != 0 && !process.IsDead)
            Set(GuestClock.SaturatingAdd(Clock, _interval));
    }
}

/// <summary>RLIMIT_CPU: SIGXCPU at the soft limit and every second after it, SIGKILL at the hard one.</summary>
sealed class CpuResourceLimit(Process process) : CpuAlarm(process.Personality)
{
    protected override long Clock => process.CpuNanoseconds;

    /// <summary>After setrlimit(2), fork and execve.</summary>
    public void Update()
    {
        ulong soft = process.Limits.Soft(RLIMIT_CPU);
        Set(soft >= long.MaxValue / GuestClock.NanosecondsPerSecond
            ? 0 : Math.Max((long)soft, 1) * GuestClock.NanosecondsPerSecond);
    }

    protected override void GoOff()
    {
        if (process.IsDead)
            return;
        ulong hard = process.Limits.Hard(RLIMIT_CPU);
        long used = Clock;
        if (hard < long.MaxValue / GuestClock.NanosecondsPerSecond
            && used >= (long)hard * GuestClock.NanosecondsPerSecond)
        {
            process.SendSignalLocked(SIGKILL, SignalInfo.Kernel(SIGKILL), null);
            return;
        }
        process.SendSignalLocked(SIGXCPU, SignalInfo.Kernel(SIGXCPU), null);
        Set(used + GuestClock.NanosecondsPerSecond);
    }
}
