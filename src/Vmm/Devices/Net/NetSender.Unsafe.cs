using Sandbox.Host;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Net;

/// <summary>
/// Sends the guest's packets. What is checked is copied first and sent from the copy; the rest goes out of the guest's
/// memory. One for each queue, used by its worker.
/// </summary>
sealed unsafe class NetSender(PacketLink link, SourceFilter filter, RateLimiter limiter, NetMetrics metrics)
{
    public const uint HeaderBytes = 12;

    /// <summary>A segment that is cut later is at most this long, with its Ethernet head.</summary>
    public const uint MaximumFrame = 65535 + SourceFilter.EthernetBytes;

    private readonly iovec[] _pieces = new iovec[NetDevice.QueueSize + 2];

    public RequestResult Send(DescriptorChain chain, ulong features)
    {
        uint bytes = chain.ReadableBytes;
        if (bytes < HeaderBytes + SourceFilter.EthernetBytes || bytes > HeaderBytes + MaximumFrame)
            return Drop(NetCount.Malformed);
        if (!limiter.TryPass(bytes - HeaderBytes, out long readyAt))
            return RequestResult.Later(readyAt);
        chain.TryRead(0, out virtio_net_hdr_v1 header);
        if (!NetHeader.TryAccept(ref header, bytes - HeaderBytes, features))
            return Drop(NetCount.Malformed);
        byte* head = stackalloc byte[SourceFilter.HeadBytes];
        int headBytes = (int)Math.Min(SourceFilter.HeadBytes, bytes - HeaderBytes);
        Span<byte> copy = new(head, headBytes);
        chain.TryRead(HeaderBytes, copy);
        switch (filter.Judge(copy))
        {
            case SourceVerdict.Mac:
                return Drop(NetCount.SpoofedMac);
            case SourceVerdict.Address:
                return Drop(NetCount.SpoofedAddress);
        }
        _pieces[0] = new iovec { iov_base = &header, iov_len = HeaderBytes };
        _pieces[1] = new iovec { iov_base = head, iov_len = (nuint)headBytes };
        uint rest = HeaderBytes + (uint)headBytes;
        int count = 2 + chain.MapReadable(rest, bytes - rest, _pieces.AsSpan(2));
        if (link.Send(_pieces.AsSpan(0, count)) < 0)
            return Drop(NetCount.HostDropped);
        metrics.Add(NetCount.Sent);
        metrics.Add(NetCount.SentBytes, bytes - HeaderBytes);
        return RequestResult.Done(0);
    }

    private RequestResult Drop(NetCount reason)
    {
        metrics.Add(reason);
        return RequestResult.Done(0);
    }
}
