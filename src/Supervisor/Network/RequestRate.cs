namespace Sandbox.Supervisor.Network;

/// <summary>
/// So many requests a second in the long run, and as many at once after a pause. Who sends more is not read meanwhile,
/// so that it waits in its own sends, and costs nobody anything.
/// </summary>
/// <param name="perSecond">At least 1.</param>
sealed class RequestRate(int perSecond)
{
    const long Millisecond = 1_000_000, Second = 1000 * Millisecond;

    readonly long _cost = Second / perSecond;

    /// <summary>When the requests served so far are paid for.</summary>
    long _paidAt = long.MinValue;

    /// <summary>How long the next request has to wait: 0 for not at all.</summary>
    /// <param name="now">Nanoseconds of a clock that never goes back.</param>
    public int MillisecondsUntilRoom(long now) =>
        (int)((Math.Max(Math.Max(_paidAt, now) + _cost - Second - now, 0) + Millisecond - 1) / Millisecond);

    /// <summary>Counts a request that is served, with room or without.</summary>
    /// <inheritdoc cref="MillisecondsUntilRoom"/>
    public void Take(long now) => _paidAt = Math.Max(_paidAt, now) + _cost;
}
