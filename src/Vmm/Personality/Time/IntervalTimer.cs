using Sandbox.Host;
using Sandbox.Vmm.Personality.Signals;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Time;

/// <summary>
/// ITIMER_REAL of setitimer(2), which is also alarm(2). It starts anew when its SIGALRM is taken, as in Linux, so
/// that a tiny interval cannot keep the timer thread busy. Guarded by TaskLock.
/// </summary>
sealed class IntervalTimer : ITimerCallback, ISignalSource
{
    private readonly Process _process;
    private readonly QueuedSignal _signal;
    private TimerHandle _handle;
    private long _deadline;
    private long _interval;

    public IntervalTimer(Process process)
    {
        _process = process;
        _signal = new() { Source = this };
    }

    private LinuxPersonality Personality => _process.Personality;

    /// <summary>Nanoseconds until it goes off (0: not set) and its period (0: once).</summary>
    public (long Value, long Interval) Get()
    {
        lock (Personality.TaskLock)
            return (_deadline == 0 ? 0 : Math.Max(_deadline - Personality.Clock.Monotonic, 1000), _interval);
    }

    public (long Value, long Interval) Set(long value, long interval)
    {
        lock (Personality.TaskLock)
        {
            (long Value, long Interval) old = Get();
            Personality.Timers.Cancel(_handle);
            _interval = value == 0 ? 0 : interval;
            Arm(value == 0 ? 0 : Personality.Clock.After(value));
            return old;
        }
    }

    public void Clear() => Set(0, 0);

    private void Arm(long deadline)
    {
        _deadline = deadline;
        _handle = deadline == 0 ? default : Personality.Timers.Schedule(deadline, this);
    }

    void ITimerCallback.OnTimer()
    {
        lock (Personality.TaskLock)
        {
            // Set anew between becoming due and this call.
            if (_deadline == 0 || _deadline > Personality.Clock.Monotonic)
                return;
            if (_interval == 0)
                _deadline = 0;
            if (!_signal.IsQueued)
                _process.SendSignalLocked(SIGALRM, SignalInfo.Kernel(SIGALRM), null, _signal);
        }
    }

    void ISignalSource.OnDequeued(ref siginfo_t info)
    {
        if (_interval == 0 || _deadline == 0)
            return;
        long now = Personality.Clock.Monotonic;
        if (_deadline > now)
            return;
        long missed = (now - _deadline) / _interval;
        Arm(GuestClock.SaturatingAdd(_deadline, (missed + 1) * _interval));
    }
}
