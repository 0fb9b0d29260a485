namespace Sandbox.Vmm.Personality.Time;

/// <summary>
/// Goes off when a CPU clock reaches a value. CPU clocks cannot be waited for, so it looks again when the value could
/// have been reached at the earliest, with every CPU of the host at work.
/// </summary>
abstract class CpuAlarm(LinuxPersonality personality) : ITimerCallback
{
    /// <summary>The precision, in nanoseconds.</summary>
    private const long Step = 10_000_000;

    private TimerHandle _handle;
    private long _target;

    protected LinuxPersonality Personality { get; } = personality;

    /// <summary>The clock's value at which it goes off; 0 when not set. Guarded by TaskLock.</summary>
    public long Target => _target;

    protected abstract long Clock { get; }

    /// <summary>Under TaskLock.</summary>
    protected abstract void GoOff();

    /// <param name="target">The value, or 0 for never.</param>
    public void Set(long target)
    {
        lock (Personality.TaskLock)
        {
            Personality.Timers.Cancel(_handle);
            _handle = default;
            _target = target;
            if (target != 0)
                Look();
        }
    }

    private void Look()
    {
        long wait = Math.Max((_target - Clock) / Environment.ProcessorCount, Step);
        _handle = Personality.Timers.Schedule(Personality.Clock.After(wait), this);
    }

    void ITimerCallback.OnTimer()
    {
        lock (Personality.TaskLock)
        {
            if (_target == 0)
                return;
            if (Clock < _target)
            {
                Personality.Timers.Cancel(_handle);
                Look();
                return;
            }
            _target = 0;
            GoOff();
        }
    }
}
