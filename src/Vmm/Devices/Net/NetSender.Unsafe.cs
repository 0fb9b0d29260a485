using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

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
        header.num_buffers = 0;
        if (!IsNegotiated(header, features))
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

    /// <summary>Whether a header asks for nothing but what the device offered and the driver took (5.1.6.2).</summary>
    private static bool IsNegotiated(in virtio_net_hdr_v1 header, ulong features)
    {
        bool needsChecksum = (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;
        if ((header.flags & ~(VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0
            || (needsChecksum && !Has(VIRTIO_NET_F_CSUM)))
            return false;
        bool hasEcn = (header.gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0;
        return (header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) switch
        {
            VIRTIO_NET_HDR_GSO_NONE => !hasEcn,
            VIRTIO_NET_HDR_GSO_TCPV4 => Has(VIRTIO_NET_F_HOST_TSO4) && needsChecksum && EcnFits(),
            VIRTIO_NET_HDR_GSO_TCPV6 => Has(VIRTIO_NET_F_HOST_TSO6) && needsChecksum && EcnFits(),
            _ => false,
        };

        bool Has(int feature) => (features & (1UL << feature)) != 0;
        bool EcnFits() => !hasEcn || Has(VIRTIO_NET_F_HOST_ECN);
    }

    private RequestResult Drop(NetCount reason)
    {
        metrics.Add(reason);
        return RequestResult.Done(0);
    }
}
