using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Rng;

/// <summary>What a random number device counts.</summary>
public sealed class RngMetrics(RateLimiter limiter) : DeviceMetrics(queues: 1)
{
    private long _bytes;

    /// <summary>Random bytes that the guest got.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    public override void Report(Action<string, long> tell)
    {
        base.Report(tell);
        tell("random_bytes", Bytes);
        tell("throttled", limiter.Throttled);
    }

    internal void CountBytes(uint bytes) => Interlocked.Add(ref _bytes, bytes);
}
