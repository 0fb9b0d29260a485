using Sandbox.Host;

namespace Sandbox.Vmm.Personality.Waiting;

/// <summary>
/// The one place where a guest thread sleeps. A wake-up that comes before the sleep is kept (one token), so that
/// "check the condition, then park" loses nothing. Spurious wake-ups happen: callers loop.
/// </summary>
public sealed class Parker
{
    public const long Forever = long.MaxValue;

    private int _token;
    private volatile bool _parked;

    /// <summary>Asleep right now, as far as another thread can tell.</summary>
    public bool IsParked => _parked;

    /// <summary>Sleeps until <see cref="Unpark"/> or the deadline.</summary>
    /// <param name="deadline">CLOCK_MONOTONIC nanoseconds, or <see cref="Forever"/>.</param>
    /// <returns>False when the deadline passed without a wake-up.</returns>
    public bool Park(long deadline)
    {
        while (Interlocked.Exchange(ref _token, 0) == 0)
        {
            if (deadline != Forever && HostClock.MonotonicNanoseconds() >= deadline)
                return false;
            _parked = true;
            HostFutex.WaitUntil(ref _token, 0, deadline);
            _parked = false;
        }
        return true;
    }

    public void Unpark()
    {
        if (Interlocked.Exchange(ref _token, 1) == 0)
            HostFutex.Wake(ref _token, 1);
    }
}
