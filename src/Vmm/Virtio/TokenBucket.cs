using Sandbox.Host;

namespace Sandbox.Vmm.Virtio;

/// <summary>
/// So much a second, and so much at once after a rest. Time is kept instead of tokens, so that nothing is lost to
/// rounding and nothing wraps. What is more than a burst passes when the bucket is full, and is waited for afterwards.
/// </summary>
/// <param name="perSecond">More than 0.</param>
/// <param name="burst">More than 0; the same unit.</param>
public sealed class TokenBucket(long perSecond, long burst)
{
    /// <summary>No wait is longer: 30 years.</summary>
    private const long Forever = 1_000_000_000_000_000_000;

    private readonly long _burst = Cost(burst, perSecond);

    /// <summary>When the bucket will be full, of the monotonic clock.</summary>
    private long _fullAt;

    /// <summary>When this much can be taken; not after <paramref name="now"/> when it can be at once.</summary>
    public long AvailableAt(long amount, long now)
    {
        long cost = Cost(amount, perSecond);
        return Math.Max(_fullAt, now) + cost - Math.Max(_burst, cost);
    }

    /// <summary>Takes, whether it is there or not.</summary>
    public void Take(long amount, long now) =>
        _fullAt = Math.Min(Math.Max(_fullAt, now), Forever) + Cost(amount, perSecond);

    private static long Cost(long amount, long perSecond)
    {
        UInt128 product = (UInt128)(ulong)amount * (ulong)HostClock.NanosecondsPerSecond;
        UInt128 cost = (product + (ulong)perSecond - 1) / (ulong)perSecond;
        return cost > Forever ? Forever : (long)cost;
    }
}
