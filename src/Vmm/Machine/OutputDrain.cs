using Sandbox.Host;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// Waits for what a guest has written before its end. Its reader may take his time, as with any other program; but not
/// beyond the guest's own, and not once the caller has had enough.
/// </summary>
sealed class OutputDrain
{
    /// <summary>What a reader has not taken so soon after either, he does not take.</summary>
    private const int LastMilliseconds = 1000;

    private readonly object _changed = new();
    private bool _isDone;
    private bool _isGivenUp;

    /// <summary>All of it is with the reader, or he is gone.</summary>
    public void End()
    {
        lock (_changed)
        {
            _isDone = true;
            Monitor.PulseAll(_changed);
        }
    }

    /// <summary>The caller has had enough.</summary>
    public void GiveUp()
    {
        lock (_changed)
        {
            _isGivenUp = true;
            Monitor.PulseAll(_changed);
        }
    }

    /// <param name="milliseconds">How much of the guest's time is left; -1 for any.</param>
    /// <returns>Whether it has ended.</returns>
    public bool Wait(long milliseconds)
    {
        long now = Milliseconds(), until = milliseconds < 0 ? long.MaxValue : now + Math.Max(milliseconds, LastMilliseconds);
        lock (_changed)
        {
            for (bool isSoon = false; !_isDone && now < until; now = Milliseconds())
            {
                if (_isGivenUp && !isSoon)
                    until = Math.Min(until, now + LastMilliseconds);
                isSoon = _isGivenUp;
                Monitor.Wait(_changed, (int)Math.Min(until - now, int.MaxValue));
            }
            return _isDone;
        }
    }

    private static long Milliseconds() => HostClock.MonotonicNanoseconds() / 1_000_000;
}
