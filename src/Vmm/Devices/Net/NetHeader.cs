using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Sandbox.Host;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Net;

/// <summary>
/// What the header of a packet may ask for, by what driver and device agreed on: virtio 1.2, 5.1.6.2 and 5.1.6.4. What
/// passes says nothing else.
/// </summary>
static class NetHeader
{
    private const int TypeOffset = 12;
    private const ushort Tagged = 0x8100, TaggedTwice = 0x88a8;
    private const int TagBytes = 4;

    /// <summary>Makes a header of the guest's one that the link takes. False when the packet cannot be sent.</summary>
    /// <param name="frameBytes">Of the packet behind it.</param>
    public static bool TryAccept(ref virtio_net_hdr_v1 header, uint frameBytes, ulong features)
    {
        // Other bits are ignored, and so is where a checksum would begin that nobody asks for (5.1.6.2.2).
        header.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
        bool needsChecksum = header.flags != 0;
        if (!needsChecksum)
            header.csum_start = header.csum_offset = 0;
        // A hint that may be wrong; a link would refuse one that is longer than the packet.
        header.hdr_len = (ushort)Math.Min(header.hdr_len, frameBytes);
        header.num_buffers = 0;
        if (needsChecksum && !Has(features, VIRTIO_NET_F_CSUM))
            return false;
        if (header.gso_type == VIRTIO_NET_HDR_GSO_NONE)
            return true;
        return needsChecksum && IsSegment(
            header, features, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_ECN);
    }

    /// <summary>Makes a header of the link's one for the guest. False when the guest cannot have the packet.</summary>
    /// <param name="packet">With its header: longer than that.</param>
    public static bool TryAdmit(Span<byte> packet, ulong features, ushort mtu)
    {
        ref virtio_net_hdr_v1 header = ref MemoryMarshal.AsRef<virtio_net_hdr_v1>(packet);
        bool needsChecksum = (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;
        bool mayLackChecksum = Has(features, VIRTIO_NET_F_GUEST_CSUM);
        if (needsChecksum && !mayLackChecksum)
            return false;
        header.flags &= (byte)(mayLackChecksum ? VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID : 0);
        if (header.gso_type == VIRTIO_NET_HDR_GSO_NONE)
            return !Has(features, VIRTIO_NET_F_MTU) || Fits(packet[(int)NetSender.HeaderBytes..], mtu);
        return needsChecksum && header.gso_size != 0 && IsSegment(
            header, features, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_ECN);
    }

    private static bool IsSegment(in virtio_net_hdr_v1 header, ulong features, int four, int six, int ecn)
    {
        if ((header.gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0 && !Has(features, ecn))
            return false;
        return (header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) switch
        {
            VIRTIO_NET_HDR_GSO_TCPV4 => Has(features, four),
            VIRTIO_NET_HDR_GSO_TCPV6 => Has(features, six),
            _ => false,
        };
    }

    private static bool Fits(ReadOnlySpan<byte> frame, ushort mtu)
    {
        if (frame.Length <= SourceFilter.EthernetBytes + mtu)
            return true;
        return BinaryPrimitives.ReadUInt16BigEndian(frame[TypeOffset..]) is Tagged or TaggedTwice
            && frame.Length <= SourceFilter.EthernetBytes + TagBytes + mtu;
    }

    private static bool Has(ulong features, int feature) => (features & (1UL << feature)) != 0;
}
