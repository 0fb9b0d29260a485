using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Sandbox.Vmm.Devices.Net;

/// <summary>Why a packet of the guest's is not sent.</summary>
public enum SourceVerdict
{
    Pass,

    /// <summary>The sender's MAC address is not the guest's.</summary>
    Mac,

    /// <summary>The sender's IP address, or an address that it announces, is not the guest's.</summary>
    Address,
}

/// <summary>
/// Holds a guest to its own addresses: in Ethernet, ARP, IPv4, IPv6 and neighbour discovery. Where IP addresses are
/// given, other protocols do not pass, since nobody could say whose they are.
/// </summary>
public sealed class SourceFilter
{
    /// <summary>All that is ever looked at; the rest of a packet may be anything.</summary>
    public const int HeadBytes = 128;

    /// <summary>A packet is at least this long.</summary>
    public const int EthernetBytes = 14;

    private const int MacBytes = 6;
    private const int Ipv6Bytes = 40;

    private const byte HopByHop = 0, Tcp = 6, Udp = 17, Fragment = 44, Icmpv6 = 58;

    private readonly byte[] _mac;
    private readonly uint[] _four;
    private readonly UInt128[] _six;

    /// <param name="mac">6 bytes.</param>
    /// <param name="addresses">Of both kinds; none to let all pass.</param>
    public SourceFilter(ReadOnlySpan<byte> mac, IReadOnlyList<IPAddress> addresses)
    {
        _mac = mac.ToArray();
        _four = [.. addresses.Where(a => a.AddressFamily == AddressFamily.InterNetwork)
            .Select(a => BinaryPrimitives.ReadUInt32BigEndian(a.GetAddressBytes()))];
        _six = [.. addresses.Where(a => a.AddressFamily == AddressFamily.InterNetworkV6)
            .Select(a => BinaryPrimitives.ReadUInt128BigEndian(a.GetAddressBytes()))];
        HoldsAddresses = addresses.Count > 0;
    }

    public bool HoldsAddresses { get; }

    /// <param name="head">The packet from its Ethernet head on: <see cref="HeadBytes"/>, or all of it.</param>
    public SourceVerdict Judge(ReadOnlySpan<byte> head)
    {
        if (head.Length < EthernetBytes || !head.Slice(MacBytes, MacBytes).SequenceEqual(_mac))
            return SourceVerdict.Mac;
        if (!HoldsAddresses)
            return SourceVerdict.Pass;
        ReadOnlySpan<byte> rest = head[EthernetBytes..];
        bool isOwn = BinaryPrimitives.ReadUInt16BigEndian(head[12..]) switch
        {
            0x0800 => rest.Length >= 20 && IsOwn(BinaryPrimitives.ReadUInt32BigEndian(rest[12..])),
            0x0806 => MayAnnounce(rest),
            0x86dd => MaySend(rest),
            _ => false,
        };
        return isOwn ? SourceVerdict.Pass : SourceVerdict.Address;
    }

    private bool IsOwn(uint address) => _four.AsSpan().Contains(address);

    private bool IsOwn(UInt128 address) => _six.AsSpan().Contains(address);

    // ARP over Ethernet for IPv4. A probe (RFC 5227) has no address yet.
    private bool MayAnnounce(ReadOnlySpan<byte> packet)
    {
        if (packet.Length < 28 || BinaryPrimitives.ReadUInt64BigEndian(packet) >> 16 != 0x0001_0800_0604)
            return false;
        uint sender = BinaryPrimitives.ReadUInt32BigEndian(packet[14..]);
        return packet.Slice(8, MacBytes).SequenceEqual(_mac) && (sender == 0 || IsOwn(sender));
    }

    private bool MaySend(ReadOnlySpan<byte> packet)
    {
        if (packet.Length < Ipv6Bytes)
            return false;
        UInt128 source = BinaryPrimitives.ReadUInt128BigEndian(packet[8..]);
        byte next = packet[6];
        ReadOnlySpan<byte> payload = packet[Ipv6Bytes..];
        // Reports of multicast groups (RFC 3810) have one such head. More of them, or others, nobody needs.
        if (next == HopByHop)
        {
            int length = payload.Length < 2 ? int.MaxValue : (payload[1] + 1) * 8;
            if (payload.Length < length || payload[0] != Icmpv6)
                return false;
            next = Icmpv6;
            payload = payload[length..];
        }
        return next switch
        {
            Icmpv6 => MayDiscover(source, payload),
            // In pieces, nobody could see what is discovered.
            Fragment => IsOwn(source) && payload.Length >= 8 && payload[0] is Tcp or Udp,
            Tcp or Udp => IsOwn(source),
            _ => false,
        };
    }

    private bool MayDiscover(UInt128 source, ReadOnlySpan<byte> message)
    {
        const byte RouterAdvertisement = 134, NeighbourSolicitation = 135, NeighbourAdvertisement = 136, Redirect = 137;
        const byte MulticastReport = 143;
        if (message.IsEmpty)
            return false;
        return message[0] switch
        {
            RouterAdvertisement or Redirect => false,
            NeighbourAdvertisement => IsOwn(source) && message.Length >= 24
                && IsOwn(BinaryPrimitives.ReadUInt128BigEndian(message[8..])),
            // Before an address is taken (RFC 4862), it is asked for, from no address.
            NeighbourSolicitation or MulticastReport => source == 0 || IsOwn(source),
            _ => IsOwn(source),
        };
    }
}
