using Sandbox.Vmm.Personality.Time;

namespace Sandbox.Vmm.Personality.Processes;

/// <summary>
/// Lets at most N guest threads be in user code at once (--cpus), first come, first served; those who wait get a turn
/// because those who run too long are interrupted. Used only when N is below the host's CPUs.
/// </summary>
public sealed class CpuGate : ITimerCallback
{
    /// <summary>How long a thread may run while others wait, in nanoseconds.</summary>
    public const long SliceNanoseconds = 4_000_000;

    private readonly Lock _lock = new();
    private readonly LinkedList<GuestThread> _waiting = new();
    private readonly List<(GuestThread Thread, long Since)> _running;
    private readonly int _limit;
    private readonly TimerQueue _timers;
    private readonly GuestClock _clock;
    private bool _slicing;

    public CpuGate(int limit, TimerQueue timers, GuestClock clock)
    {
        _limit = limit;
        _timers = timers;
        _clock = clock;
        _running = new(limit);
    }

    public int Running
    {
        get
        {
            lock (_lock)
                return _running.Count;
        }
    }

    /// <summary>Waits for a turn. False, and no turn, when the thread has work to attend to instead.</summary>
    internal bool Enter(GuestThread thread)
    {
        LinkedListNode<GuestThread>? place = null;
        while (true)
        {
            lock (_lock)
            {
                if (thread.HasPendingSignal)
                {
                    if (place is not null)
                        _waiting.Remove(place);
                    WakeFirst();
                    return false;
                }
                bool first = place is null ? _waiting.Count == 0 : _waiting.First == place;
                if (first && _running.Count < _limit)
                {
                    if (place is not null)
                        _waiting.Remove(place);
                    _running.Add((thread, _clock.Monotonic));
                    WakeFirst();
                    return true;
                }
                place ??= _waiting.AddLast(thread);
                StartSlicing();
            }
            thread.Parker.Park(Waiting.Parker.Forever);
        }
    }

    internal void Leave(GuestThread thread)
    {
        lock (_lock)
        {
            for (int i = 0; i < _running.Count; i++)
            {
                if (_running[i].Thread != thread)
                    continue;
                _running.RemoveAt(i);
                break;
            }
            WakeFirst();
        }
    }

    private void WakeFirst()
    {
        if (_running.Count < _limit)
            _waiting.First?.Value.Parker.Unpark();
    }

    private void StartSlicing()
    {
        if (_slicing)
            return;
        _slicing = !_timers.Schedule(_clock.Monotonic + SliceNanoseconds, this).IsNone;
    }

    /// <summary>A slice is over: interrupts who has had one while others wait.</summary>
    void ITimerCallback.OnTimer()
    {
        lock (_lock)
        {
            _slicing = false;
            if (_waiting.Count == 0)
                return;
            long now = _clock.Monotonic;
            foreach ((GuestThread thread, long since) in _running)
            {
                if (now - since >= SliceNanoseconds - 500_000)
                    thread.Cpu.Interrupt();
            }
            StartSlicing();
        }
    }
}
