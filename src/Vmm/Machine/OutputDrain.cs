using Sandbox.Host;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// What goes to the caller, for whoever waits for its end. Its reader may take his time, as with any other program; but
/// not beyond the guest's own, and not once the caller has had enough.
/// </summary>
sealed class OutputDrain
{
    /// <summary>What a reader has not taken so soon after either, he does not take.</summary>
    private const int LastMilliseconds = 1000;

    /// <summary>
    /// When nothing has gone to the caller for so long, nothing will: the guest left its device so that nobody says that
    /// this was all.
    /// </summary>
    internal int IdleMilliseconds { get; init; } = 5000;

    private const int LookMilliseconds = 500;

    private readonly object _changed = new();
    private bool _isDone;
    private bool _isGivenUp;
    private long _writes;

    /// <summary>Counted when a write to the caller begins and when it ends, so odd meanwhile.</summary>
    public long Writes => Volatile.Read(ref _writes);

    /// <summary>A write begins, or ends. For one thread.</summary>
    public void CountWrite() => Volatile.Write(ref _writes, _writes + 1);

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
    /// <returns>False when something may be left that the reader has not taken.</returns>
    public bool Wait(long milliseconds)
    {
        long now = Milliseconds(), idleSince = now, first = Writes, seen = first;
        long until = milliseconds < 0 ? long.MaxValue : now + Math.Max(milliseconds, LastMilliseconds);
        lock (_changed)
        {
            for (bool isSoon = false; !_isDone && now < until; now = Milliseconds())
            {
                if (long.IsOddInteger(Writes) || Writes != seen)
                    (seen, idleSince) = (Writes, now);
                else if (now - idleSince >= IdleMilliseconds)
                    return true;
                if (_isGivenUp && !isSoon)
                    until = Math.Min(until, now + LastMilliseconds);
                isSoon = _isGivenUp;
                Monitor.Wait(_changed, (int)Math.Min(until - now, LookMilliseconds));
            }
            // What was never begun is nobody's who takes his time.
            return _isDone || (long.IsEvenInteger(first) && Writes == first);
        }
    }

    private static long Milliseconds() => HostClock.MonotonicNanoseconds() / 1_000_000;
}
