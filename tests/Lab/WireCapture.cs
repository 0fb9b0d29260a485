using System.Buffers.Binary;
using System.Net;

namespace Sandbox.Lab;

/// <summary>What a capture of a network interface shows of two hosts' TCP: pcap-savefile(5), Ethernet, little endian.</summary>
sealed class WireCapture
{
    const int FileHeader = 24, RecordHeader = 16, Ethernet = 14, Ip = 20, TypeIp = 0x0800, TypeArp = 0x0806, Syn = 2;

    /// <summary>Streams with less are not what was measured, but talk about it.</summary>
    const long LeastBulk = 1 << 20;

    readonly Dictionary<(bool FromGuest, int From, int To), Stream> _streams = [];

    /// <summary>Of one direction of a connection, in sequence numbers.</summary>
    struct Stream
    {
        public uint First;
        public long Bytes;
    }

    public int Packets { get; private set; }

    /// <summary>Packets that neither host sent to the other.</summary>
    public int Strangers { get; private set; }

    /// <summary>IP headers whose checksum is wrong.</summary>
    public int BadHeaders { get; private set; }

    public int FromGuest { get; private set; }

    /// <summary>The largest packet's bytes.</summary>
    public int LargestFromGuest { get; private set; }

    public int LargestFromHost { get; private set; }

    /// <summary>What each large stream of a direction carried, what was sent twice counted once.</summary>
    public long[] Bulk(bool fromGuest) =>
        [.. _streams.Where(each => each.Key.FromGuest == fromGuest && each.Value.Bytes >= LeastBulk).Select(each => each.Value.Bytes)];

    public static WireCapture Parse(ReadOnlySpan<byte> file, string host, string guest)
    {
        WireCapture capture = new();
        Assert.Equal(0xa1b2c3d4, BinaryPrimitives.ReadUInt32LittleEndian(file));
        byte[] here = IPAddress.Parse(host).GetAddressBytes(), there = IPAddress.Parse(guest).GetAddressBytes();
        for (ReadOnlySpan<byte> rest = file[FileHeader..]; rest.Length > 0;)
        {
            int kept = BinaryPrimitives.ReadInt32LittleEndian(rest[8..]);
            capture.Add(rest.Slice(RecordHeader, kept), BinaryPrimitives.ReadInt32LittleEndian(rest[12..]), here, there);
            rest = rest[(RecordHeader + kept)..];
        }

        return capture;
    }

    void Add(ReadOnlySpan<byte> packet, int size, ReadOnlySpan<byte> host, ReadOnlySpan<byte> guest)
    {
        Packets++;
        int type = BinaryPrimitives.ReadUInt16BigEndian(packet[12..]);
        // Of ARP the sender's address.
        int at = type == TypeArp ? 14 : 12;
        ReadOnlySpan<byte> sender = packet.Slice(Ethernet + at, 4);
        bool fromGuest = sender.SequenceEqual(guest);
        if (type is not (TypeIp or TypeArp) || (!fromGuest && !sender.SequenceEqual(host)))
        {
            Strangers++;
            return;
        }

        if (fromGuest)
            (FromGuest, LargestFromGuest) = (FromGuest + 1, Math.Max(LargestFromGuest, size));
        else
            LargestFromHost = Math.Max(LargestFromHost, size);
        if (type == TypeIp)
            AddTcp(packet[Ethernet..], fromGuest);
    }

    void AddTcp(ReadOnlySpan<byte> packet, bool fromGuest)
    {
        if (Sum(packet[..Ip]) != 0xffff || packet[0] != 0x45 || packet[9] != 6)
        {
            BadHeaders++;
            return;
        }

        ReadOnlySpan<byte> tcp = packet[Ip..];
        var key = (fromGuest, (int)BinaryPrimitives.ReadUInt16BigEndian(tcp), (int)BinaryPrimitives.ReadUInt16BigEndian(tcp[2..]));
        uint sequence = BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]);
        int payload = BinaryPrimitives.ReadUInt16BigEndian(packet[2..]) - Ip - (tcp[12] >> 4) * 4;
        if ((tcp[13] & Syn) != 0)
            _streams[key] = new Stream { First = sequence + 1 };
        else if (payload > 0 && _streams.TryGetValue(key, out Stream stream))
            _streams[key] = stream with { Bytes = Math.Max(stream.Bytes, (long)(sequence - stream.First) + payload) };
    }

    /// <summary>RFC 1071.</summary>
    static int Sum(ReadOnlySpan<byte> header)
    {
        int sum = 0;
        for (int i = 0; i < header.Length; i += 2)
            sum += BinaryPrimitives.ReadUInt16BigEndian(header[i..]);
        return (sum & 0xffff) + (sum >> 16);
    }
}
