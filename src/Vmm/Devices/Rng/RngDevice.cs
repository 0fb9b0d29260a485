using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Rng;

/// <summary>Random bytes of the host's generator: virtio 1.2, 5.4. So many a second, and so many a request.</summary>
public sealed class RngDevice : RequestDevice
{
    private const ushort QueueSize = 64;

    private readonly RateLimiter _limiter;
    private readonly RngRequests _requests;

    /// <param name="limit">Operations are requests.</param>
    public RngDevice(GuestRam ram, RateLimit limit)
        : this(ram, new RateLimiter(limit))
    {
    }

    private RngDevice(GuestRam ram, RateLimiter limiter)
        : base("virtio-rng", VIRTIO_ID_RNG, 0, 0, ram, new RngMetrics(limiter), QueueSize)
    {
        _limiter = limiter;
        _requests = new RngRequests((RngMetrics)Metrics);
        AddWorker(0);
    }

    protected override RequestResult Serve(int queue, DescriptorChain chain)
    {
        uint bytes = RngRequests.Length(chain);
        if (bytes == 0)
            return RequestResult.Broken(QueueFault.Request);
        return _limiter.TryPass(bytes, out long readyAt) ? _requests.Fill(chain, bytes) : RequestResult.Later(readyAt);
    }
}
