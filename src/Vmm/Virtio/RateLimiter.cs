using Sandbox.Host;

namespace Sandbox.Vmm.Virtio;

/// <summary>What a device may move a second, 0 for no limit. A burst is a tenth of it.</summary>
public readonly record struct RateLimit(long BytesPerSecond, long OperationsPerSecond)
{
    public static RateLimit None => default;
}

/// <summary>Holds requests to a <see cref="RateLimit"/>. Shared by a device's queues.</summary>
public sealed class RateLimiter(RateLimit limit)
{
    private readonly Lock _lock = new();
    private readonly TokenBucket? _bytes = Bucket(limit.BytesPerSecond);
    private readonly TokenBucket? _operations = Bucket(limit.OperationsPerSecond);
    private long _throttled;

    /// <summary>Requests that had to wait, counted each time.</summary>
    public long Throttled => Volatile.Read(ref _throttled);

    /// <summary>Lets one operation pass, or says when to ask again.</summary>
    /// <param name="readyAt">Of the monotonic clock, when the answer is false.</param>
    public bool TryPass(long bytes, out long readyAt)
    {
        readyAt = 0;
        if (_bytes is null && _operations is null)
            return true;
        lock (_lock)
        {
            long now = HostClock.MonotonicNanoseconds();
            readyAt = Math.Max(_bytes?.AvailableAt(bytes, now) ?? now, _operations?.AvailableAt(1, now) ?? now);
            if (readyAt > now)
            {
                _throttled++;
                return false;
            }
            _bytes?.Take(bytes, now);
            _operations?.Take(1, now);
            return true;
        }
    }

    private static TokenBucket? Bucket(long perSecond) =>
        perSecond == 0 ? null : new TokenBucket(perSecond, Math.Max(perSecond / 10, 1));
}
