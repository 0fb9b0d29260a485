using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Net;

/// <summary>What a network interface counts, over all its queues.</summary>
public sealed class NetMetrics(int queues, RateLimiter send, RateLimiter receive) : DeviceMetrics(queues)
{
    private readonly long[] _counts = new long[Enum.GetValues<NetCount>().Length];

    public long Count(NetCount count) => Volatile.Read(ref _counts[(int)count]);

    public override void Report(Action<string, long> tell)
    {
        base.Report(tell);
        tell("packets_sent", Count(NetCount.Sent));
        tell("sent_bytes", Count(NetCount.SentBytes));
        tell("packets_received", Count(NetCount.Received));
        tell("received_bytes", Count(NetCount.ReceivedBytes));
        tell("dropped_spoofed_mac", Count(NetCount.SpoofedMac));
        tell("dropped_spoofed_address", Count(NetCount.SpoofedAddress));
        tell("dropped_malformed", Count(NetCount.Malformed));
        tell("dropped_by_host", Count(NetCount.HostDropped));
        tell("link_failed", Count(NetCount.LinkFailed));
        tell("dropped_too_long", Count(NetCount.TooLong));
        tell("send_throttled", send.Throttled);
        tell("receive_throttled", receive.Throttled);
    }

    internal void Add(NetCount count, long value = 1) => Interlocked.Add(ref _counts[(int)count], value);
}

public enum NetCount
{
    Sent,
    SentBytes,
    Received,
    ReceivedBytes,

    /// <summary>Not sent: see <see cref="SourceVerdict.Mac"/>.</summary>
    SpoofedMac,

    /// <summary>Not sent: see <see cref="SourceVerdict.Address"/>.</summary>
    SpoofedAddress,

    /// <summary>Not sent: too short, too long, or with a header that asks for what was not negotiated.</summary>
    Malformed,

    /// <summary>Not sent: the host would not take it.</summary>
    HostDropped,

    /// <summary>The host would not change a link as the guest wanted it.</summary>
    LinkFailed,

    /// <summary>
    /// Not received: longer than the guest has room for at all, or than it can take: by its MTU, or as a segment that
    /// was not negotiated.
    /// </summary>
    TooLong,
}
