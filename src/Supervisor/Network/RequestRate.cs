namespace Sandbox.Supervisor.Network;

/// <summary>So many requests a second in the long run, and as many at once after a pause.</summary>
/// <param name="perSecond">At least 1.</param>
sealed class RequestRate(int perSecond)
{
    const long Second = 1_000_000_000;

    readonly long _cost = Second / perSecond;

    /// <summary>When the requests granted so far are paid for.</summary>
    long _paidAt = long.MinValue;

    /// <param name="now">Nanoseconds of a clock that never goes back.</param>
    public bool TryTake(long now)
    {
        long paidAt = Math.Max(_paidAt, now) + _cost;
        if (paidAt - now > Second)
            return false;
        _paidAt = paidAt;
        return true;
    }
}
