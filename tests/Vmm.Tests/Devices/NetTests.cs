using System.Net;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Devices.Net;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Devices;

public sealed unsafe partial class NetTests : IDisposable
{
    private const ulong Packet = TestRam.HighStart;
    private const ulong Inbox = TestRam.HighStart + 0x4_0000;
    private static readonly byte[] s_mac = [2, 0xaa, 0xbb, 0xcc, 0xdd, 0xee];

    private readonly TestRam _memory = new();
    private readonly List<FileDescriptor> _hosts = [];
    private readonly List<Link> _links = [];
    private TestDriver? _driver;

    public void Dispose()
    {
        _driver?.Dispose();
        _hosts.ForEach(file => file.Dispose());
        _memory.Dispose();
    }

    private TestDriver Driver => _driver!;

    private NetMetrics Metrics => (NetMetrics)Driver.Device.Metrics;

    /// <summary>A link whose other end is a socket of packets.</summary>
    private sealed class Link(FileDescriptor file) : PacketLink(file)
    {
        public List<(uint Offloads, bool IsUsed)> Configurations { get; } = [];

        public bool Fails { get; set; }

        public override int Configure(uint offloads, bool isUsed)
        {
            Configurations.Add((offloads, isUsed));
            return Fails ? -Libc.EINVAL : 0;
        }
    }

    private Link MakeLink()
    {
        int* ends = stackalloc int[2];
        Assert.Equal(0, Libc.socketpair(
            Libc.AF_UNIX, Libc.SOCK_SEQPACKET | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0, ends));
        _hosts.Add(new FileDescriptor(ends[0]));
        _links.Add(new Link(new FileDescriptor(ends[1])));
        return _links[^1];
    }

    /// <summary>Of an interface whose guest may get long packets.</summary>
    private const ushort Mtu = 9000;

    private RateLimit _receive;
    private int _changes = 4;

    private TestDriver Start(ulong without = 0, int pairs = 1, RateLimit send = default, params IPAddress[] addresses)
    {
        _driver = new TestDriver(
            new NetDevice(_memory.Ram, new NetOptions
            {
                Links = [.. Enumerable.Range(0, pairs).Select(_ => MakeLink())],
                Mac = s_mac,
                Addresses = addresses,
                Mtu = Mtu,
                SendLimit = send,
                ReceiveLimit = _receive,
                ChangesPerSecond = _changes,
            }),
            _memory);
        return _driver.Start(_driver.OfferedFeatures() & ~without);
    }

    private static byte[] Frame(int length, byte first = 1)
    {
        byte[] frame = new byte[length];
        for (int i = 0; i < length; i++)
            frame[i] = (byte)(i * 7 + first);
        s_mac.CopyTo(frame, 6);
        return frame;
    }

    private void Send(ReadOnlySpan<byte> frame, virtio_net_hdr_v1 header = default, int queue = 1)
    {
        _memory.At<virtio_net_hdr_v1>(Packet) = header;
        frame.CopyTo(_memory.Bytes(Packet + 12, frame.Length));
        uint first = Math.Min(20u, 12 + (uint)frame.Length);
        Driver.Queues[queue].Send(new Piece(Packet, first), new Piece(Packet + first, 12 + (uint)frame.Length - first));
        Driver.NotifyAndRun(queue);
    }

    private byte[] HostReads(int link = 0)
    {
        byte[] bytes = new byte[70_000];
        nint count = _hosts[link].Read(bytes);
        return count < 0 ? [] : bytes[..(int)count];
    }

    private void HostSends(ReadOnlySpan<byte> frame, int link = 0, virtio_net_hdr_v1 header = default)
    {
        ReadOnlySpan<byte> head = MemoryMarshal.AsBytes(new ReadOnlySpan<virtio_net_hdr_v1>(in header));
        Assert.Equal(12 + frame.Length, _hosts[link].Write([.. head, .. frame]));
        Driver.Run();
    }

    private void OfferRoom(int queue, int count, uint bytes)
    {
        for (int i = 0; i < count; i++)
        {
            uint slot = Driver.Queues[queue].AvailableIndex % 64u;
            Driver.Queues[queue].Send(new Piece(Inbox + (slot * 0x1000), bytes, true));
        }
        Driver.NotifyAndRun(queue);
    }

    [Fact]
    public void Packets_go_out_as_they_are()
    {
        Start();
        byte[] frame = Frame(1514);
        Send(frame);
        Assert.Equal([.. new byte[12], .. frame], HostReads());
        Send(Frame(14));
        Assert.Equal(26, HostReads().Length);
        Assert.Equal((2, 1528), (Metrics.Count(NetCount.Sent), Metrics.Count(NetCount.SentBytes)));
        Assert.Equal(2, Driver.Queues[1].UsedIndex);
    }

    [Requirement("2.7.8.2b")]
    [Requirement("5.1.6.3.2a")]
    [Requirement("5.1.6.4.1b")]
    [Requirement("5.1.6.4.1c")]
    [Fact]
    public void Packets_come_in_and_say_in_how_many_buffers()
    {
        Start();
        byte[] frame = Frame(3000);
        OfferRoom(0, 4, 1000);
        HostSends(frame);
        Assert.Equal(4, Driver.Queues[0].UsedIndex);
        byte[] got = [.. Enumerable.Range(0, 4).SelectMany(i =>
            _memory.Bytes(Inbox + ((ulong)i * 0x1000), (int)Driver.Queues[0].UsedElement(i).len).ToArray())];
        Assert.Equal(4, got[10]);
        Assert.Equal(frame, got[12..]);
        Assert.Equal((1, 3000), (Metrics.Count(NetCount.Received), Metrics.Count(NetCount.ReceivedBytes)));
    }

    [Flaw("lost-notification")]
    [Requirement("5.1.6.4.1d")]
    [Fact]
    public void A_packet_waits_until_all_of_it_has_room()
    {
        Start();
        HostSends(Frame(2500));
        HostSends(Frame(60));
        Assert.Equal(0, Driver.Queues[0].UsedIndex);
        OfferRoom(0, 2, 1000);
        Assert.Equal(0, Driver.Queues[0].UsedIndex);
        OfferRoom(0, 1, 1000);
        Assert.Equal(3, Driver.Queues[0].UsedIndex);
        OfferRoom(0, 1, 1000);
        Assert.Equal(72u, Driver.Queues[0].UsedElement(3).len);
        Assert.Equal(1, _memory.At<ushort>(Inbox + 0x3000 + 10));
    }

    /// <summary>As long as the one before, longer, and shorter.</summary>
    [Fact]
    public void Packets_of_all_lengths_come_in_one_after_the_other()
    {
        Start();
        int first = 0;
        foreach (int length in (int[])[60, 3000, 3000, 8900, 14, 8900, 13, 2962, 988, 989, 60])
        {
            OfferRoom(0, 10, 1000);
            byte[] frame = Frame(length, (byte)length);
            HostSends(frame);
            int count = (length + 12 + 999) / 1000;
            Assert.Equal((ushort)(first + count), Driver.Queues[0].UsedIndex);
            byte[] got = [.. Enumerable.Range(first, count).SelectMany(i =>
                _memory.Bytes(Inbox + ((ulong)i % 64 * 0x1000), (int)Driver.Queues[0].UsedElement(i).len).ToArray())];
            Assert.Equal(count, got[10]);
            Assert.Equal(frame, got[12..]);
            first += count;
            // The rest of the room stays for the next.
            Driver.Queues[0].AvailableIndex = (ushort)first;
        }
    }

    [Fact]
    public void A_packet_with_room_for_half_of_it_waits_whole()
    {
        Start();
        OfferRoom(0, 3, 1000);
        HostSends(Frame(2900));
        OfferRoom(0, 2, 1000);
        byte[] frame = Frame(2800, first: 77);
        HostSends(frame);
        Assert.Equal(3, Driver.Queues[0].UsedIndex);
        _memory.Bytes(Inbox + 0x3000, 0x2000).Clear();
        OfferRoom(0, 1, 1000);
        Assert.Equal(6, Driver.Queues[0].UsedIndex);
        byte[] got = [.. Enumerable.Range(3, 3).SelectMany(i =>
            _memory.Bytes(Inbox + ((ulong)i * 0x1000), (int)Driver.Queues[0].UsedElement(i).len).ToArray())];
        Assert.Equal(frame, got[12..]);
    }

    [Requirement("5.1.6.3.2b")]
    [Requirement("5.1.6.4.1a")]
    [Fact]
    public void Without_merging_a_packet_has_one_buffer_or_is_dropped()
    {
        Start(without: 1UL << VIRTIO_NET_F_MRG_RXBUF);
        OfferRoom(0, 2, 1000);
        HostSends(Frame(1200));
        Assert.Equal((0L, 1L), (Driver.Queues[0].UsedIndex, Metrics.Count(NetCount.TooLong)));
        HostSends(Frame(900));
        Assert.Equal((912u, 1), (Driver.Queues[0].UsedElement(0).len, _memory.At<ushort>(Inbox + 10)));
    }

    [Fact]
    public void A_guest_with_tiny_buffers_loses_packets_and_nothing_else()
    {
        Start();
        OfferRoom(0, 100, 12);
        HostSends(Frame(1500));
        Assert.Equal((0L, 1L), (Driver.Queues[0].UsedIndex, Metrics.Count(NetCount.TooLong)));
        HostSends(Frame(60));
        Assert.Equal((6, 6), (Driver.Queues[0].UsedIndex, _memory.At<ushort>(Inbox + 10)));
    }

    [Theory]
    [InlineData(11u)]
    [InlineData(1u)]
    public void Room_without_a_header_breaks_the_device(uint bytes)
    {
        Start();
        OfferRoom(0, 1, bytes);
        HostSends(Frame(60));
        Assert.True(Driver.NeedsReset);
    }

    [Fact]
    public void What_is_too_short_or_too_long_is_not_sent()
    {
        Start();
        Send(Frame(14).AsSpan(0, 13));
        Driver.Queues[1].Send(new Piece(Packet, 11));
        Driver.Queues[1].Send(new Piece(Packet, 12 + 65535 + 15));
        Driver.NotifyAndRun(1);
        Assert.Equal((3, 0), (Metrics.Count(NetCount.Malformed), Metrics.Count(NetCount.Sent)));
        Assert.Equal(3, Driver.Queues[1].UsedIndex);
        Assert.Empty(HostReads());
    }

    [Fact]
    public void Spoofed_senders_are_not_sent()
    {
        Start(addresses: IPAddress.Parse("10.0.0.2"));
        byte[] frame = Frame(60);
        (frame[12], frame[13]) = (8, 0);
        byte[] own = [10, 0, 0, 2];
        own.CopyTo(frame, 26);
        Send(frame);
        Assert.Equal(72, HostReads().Length);
        frame[29] = 3;
        Send(frame);
        frame[29] = 2;
        frame[11]++;
        Send(frame);
        Assert.Empty(HostReads());
        Assert.Equal((1, 1, 1), (Metrics.Count(NetCount.Sent),
            Metrics.Count(NetCount.SpoofedAddress), Metrics.Count(NetCount.SpoofedMac)));
    }

    [Requirement("5.1.6.2.2a")]
    [Theory]
    [InlineData(1, 0, 0ul, true)]
    [InlineData(2, 0, 0ul, true)]
    [InlineData(4, 0, 0ul, true)] // flags of others mean nothing
    [InlineData(0xfe, 0, 0ul, true)]
    [InlineData(0xff, 1, 0ul, true)]
    [InlineData(1, 1, 0ul, true)]
    [InlineData(0, 1, 0ul, false)] // segments have checksums to fill in
    [InlineData(1, 4, 0ul, true)]
    [InlineData(1, 0x81, 0ul, true)]
    [InlineData(1, 0x80, 0ul, false)]
    [InlineData(1, 3, 0ul, false)] // UFO
    [InlineData(1, 5, 0ul, false)]
    [InlineData(1, 1, 1ul << VIRTIO_NET_F_HOST_TSO4 | 1ul << VIRTIO_NET_F_HOST_ECN, false)]
    [InlineData(1, 4, 1ul << VIRTIO_NET_F_HOST_TSO6 | 1ul << VIRTIO_NET_F_HOST_ECN, false)]
    [InlineData(1, 0x81, 1ul << VIRTIO_NET_F_HOST_ECN, false)]
    [InlineData(1, 0,
        1ul << VIRTIO_NET_F_CSUM | 1ul << VIRTIO_NET_F_HOST_TSO4 | 1ul << VIRTIO_NET_F_HOST_TSO6
        | 1ul << VIRTIO_NET_F_HOST_ECN, false)]
    public void A_header_asks_for_what_was_negotiated(byte flags, byte segments, ulong without, bool isSent)
    {
        Start(without);
        Send(Frame(60), new virtio_net_hdr_v1 { flags = flags, gso_type = segments, num_buffers = 99 });
        Assert.Equal(isSent ? 1 : 0, Metrics.Count(NetCount.Sent));
        Assert.Equal(isSent ? 0 : 1, Metrics.Count(NetCount.Malformed));
        if (isSent)
            Assert.Equal([(byte)(flags & 1), segments, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], HostReads()[..12]);
    }

    [Requirement("5.1.6.2.2b")]
    [Requirement("5.1.6.2.2d")]
    [Fact]
    public void Where_a_checksum_begins_means_nothing_without_one()
    {
        Start();
        virtio_net_hdr_v1 header = new() { csum_start = 0x1234, csum_offset = 0x5678 };
        // Its contents are no packet of any kind, and no checksum in it is right.
        Send(Frame(60), header);
        Assert.Equal(new byte[12], HostReads()[..12]);
        Send(Frame(60), header with { flags = VIRTIO_NET_HDR_F_NEEDS_CSUM });
        Assert.Equal([1, 0, 0, 0, 0, 0, 0x34, 0x12, 0x78, 0x56, 0, 0], HostReads()[..12]);
    }

    [Requirement("5.1.6.2.2c")]
    [Theory]
    [InlineData(0, 0)]
    [InlineData(54, 54)]
    [InlineData(60, 60)]
    [InlineData(61, 60)]
    [InlineData(ushort.MaxValue, 60)]
    public void The_length_of_heads_may_be_wrong(ushort told, byte passedOn)
    {
        Start();
        Send(Frame(60), new virtio_net_hdr_v1 { hdr_len = told });
        Assert.Equal([0, 0, passedOn, 0], HostReads()[..4]);
        Assert.Equal(1, Metrics.Count(NetCount.Sent));
    }

    [Requirement("5.1.6.4.1e")]
    [Requirement("5.1.6.4.1f")]
    [Requirement("5.1.6.4.1g")]
    [Theory]
    [InlineData(0, 0, 0, 0ul, 0)]
    [InlineData(2, 0, 0, 0ul, 2)]
    [InlineData(1, 0, 0, 0ul, 1)]
    [InlineData(7, 0, 0, 0ul, 3)] // nothing else is known
    [InlineData(1, 1, 1400, 0ul, 1)]
    [InlineData(1, 4, 1400, 0ul, 1)]
    [InlineData(1, 0x81, 1400, 0ul, 1)]
    [InlineData(0, 1, 1400, 0ul, -1)] // a segment without a checksum to fill in, or without a length
    [InlineData(1, 1, 0, 0ul, -1)]
    [InlineData(1, 3, 1400, 0ul, -1)]
    [InlineData(1, 5, 1400, 0ul, -1)]
    [InlineData(1, 0x80, 1400, 0ul, -1)]
    [InlineData(2, 0, 0, NoGuestOffloads, 0)]
    [InlineData(1, 0, 0, NoGuestOffloads, -1)]
    [InlineData(1, 1, 1400, NoGuestOffloads, -1)]
    [InlineData(1, 1, 1400, 1ul << VIRTIO_NET_F_GUEST_TSO4 | 1ul << VIRTIO_NET_F_GUEST_ECN, -1)]
    [InlineData(1, 4, 1400, 1ul << VIRTIO_NET_F_GUEST_TSO6 | 1ul << VIRTIO_NET_F_GUEST_ECN, -1)]
    [InlineData(1, 0x81, 1400, 1ul << VIRTIO_NET_F_GUEST_ECN, -1)]
    public void A_guest_gets_what_was_negotiated(byte flags, byte segments, ushort size, ulong without, int told)
    {
        Start(without);
        OfferRoom(0, 2, 1000);
        HostSends(Frame(60), header: new virtio_net_hdr_v1 { flags = flags, gso_type = segments, gso_size = size });
        Assert.Equal(told < 0 ? 1 : 0, Metrics.Count(NetCount.TooLong));
        Assert.Equal(told < 0 ? 0 : 1, Driver.Queues[0].UsedIndex);
        if (told >= 0)
            Assert.Equal([(byte)told, segments], _memory.Bytes(Inbox, 2).ToArray());
    }

    private const ulong NoGuestOffloads = 1ul << VIRTIO_NET_F_GUEST_CSUM | 1ul << VIRTIO_NET_F_GUEST_TSO4
        | 1ul << VIRTIO_NET_F_GUEST_TSO6 | 1ul << VIRTIO_NET_F_GUEST_ECN;

    [Requirement("5.1.4.1d")]
    [Theory]
    [InlineData(Mtu + 14, false, 0ul, true)]
    [InlineData(Mtu + 15, false, 0ul, false)]
    [InlineData(Mtu + 18, true, 0ul, true)]
    [InlineData(Mtu + 19, true, 0ul, false)]
    [InlineData(Mtu + 15, false, 1ul << VIRTIO_NET_F_MTU, true)]
    public void What_is_longer_than_the_MTU_does_not_come_in(int length, bool isTagged, ulong without, bool comesIn)
    {
        Start(without);
        byte[] frame = Frame(length);
        (frame[12], frame[13]) = isTagged ? ((byte)0x81, (byte)0) : ((byte)8, (byte)0);
        OfferRoom(0, 16, 1000);
        HostSends(frame);
        Assert.Equal(comesIn ? 1 : 0, Metrics.Count(NetCount.Received));
        Assert.Equal(comesIn ? 0 : 1, Metrics.Count(NetCount.TooLong));
        // Segments are cut by the guest.
        OfferRoom(0, 16, 1000);
        HostSends(frame, header: new virtio_net_hdr_v1 { flags = 1, gso_type = 1, gso_size = 1400 });
        Assert.Equal(comesIn ? 2 : 1, Metrics.Count(NetCount.Received));
    }

    [Requirement("5.1.4.1e")]
    [Fact]
    public void What_is_as_long_as_the_MTU_goes_out_whole()
    {
        Start();
        byte[] frame = Frame(Mtu + 14);
        Send(frame);
        Assert.Equal([.. new byte[12], .. frame], HostReads());
    }

    [Requirement("5.1.4.1a")]
    [Requirement("5.1.4.1b")]
    [Requirement("5.1.4.1c")]
    [Fact]
    public void The_configuration_is_within_its_bounds_and_stays()
    {
        Start(pairs: 2);
        Driver.Transport.Write(VIRTIO_MMIO_CONFIG + 8, [7, 0]);
        Driver.Transport.Write(VIRTIO_MMIO_CONFIG + 10, [7, 0]);
        Assert.Equal(2, Metrics.Count(RegisterFault.Frozen));
        Assert.Equal((2, Mtu), (Driver.Configuration<ushort>(8), Driver.Configuration<ushort>(10)));
        NetOptions options = new() { Links = [MakeLink()], Mac = s_mac };
        Assert.Throws<ArgumentOutOfRangeException>(() => new NetDevice(_memory.Ram, options with { Mtu = 67 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new NetDevice(_memory.Ram, options with { Links = [] }));
        using NetDevice least = new(_memory.Ram, options with { Mtu = 68 });
    }

    [Requirement("2.7.4.1a")]
    [Fact]
    public void Room_for_a_packet_may_be_in_any_pieces()
    {
        Start();
        byte[] frame = Frame(60);
        Driver.Queues[0].Send(
            new Piece(Inbox, 5, true), new Piece(Inbox + 0x1000, 6, true), new Piece(Inbox + 0x2000, 90, true));
        Driver.NotifyAndRun(0);
        HostSends(frame);
        Assert.Equal([0, 0, 0, 0, 0], _memory.Bytes(Inbox, 5).ToArray());
        Assert.Equal([0, 0, 0, 0, 0, 1], _memory.Bytes(Inbox + 0x1000, 6).ToArray());
        Assert.Equal([0, .. frame], _memory.Bytes(Inbox + 0x2000, 61).ToArray());
        Assert.Equal(72u, Driver.Queues[0].UsedElement(0).len);
    }

    [Requirement("2.2.2b")]
    [Theory]
    [InlineData(1ul << VIRTIO_NET_F_GUEST_CSUM)]
    [InlineData(1ul << VIRTIO_NET_F_CSUM)]
    [InlineData(1ul << VIRTIO_NET_F_HOST_TSO4 | 1ul << VIRTIO_NET_F_HOST_TSO6)]
    [InlineData(1ul << VIRTIO_NET_F_CTRL_VQ)]
    public void Features_that_need_others_are_not_taken_alone(ulong without)
    {
        Start(without, pairs: 2);
        Assert.Equal(3, Driver.Status);
        Assert.Equal(1, Metrics.Count(RegisterFault.Features));
    }

    [Fact]
    public void The_link_learns_what_the_guest_understands()
    {
        Start();
        Assert.Equal([(15u, true), (15u, true)], _links[0].Configurations);
        _memory.Clear();
        Driver.Start(1UL << VIRTIO_F_VERSION_1);
        Assert.Equal((0u, true), _links[0].Configurations[^1]);
    }

    /// <summary>A tenth of a second's may go at once.</summary>
    [Theory]
    [InlineData(10_000, 0)]
    [InlineData(0, 100)]
    public void Bytes_and_packets_a_second_are_held(long bytes, long packets)
    {
        Start(send: new RateLimit(bytes, packets));
        long started = HostClock.MonotonicNanoseconds();
        for (int i = 0; i < 12; i++)
            Send(Frame(100));
        while (Metrics.Count(NetCount.Sent) < 12)
            Driver.Device.Workers[0].RunOnce(1000);
        Assert.InRange(HostClock.MonotonicNanoseconds() - started, 19_000_000, long.MaxValue);
        Assert.True(Counted("send_throttled") > 0);
        Assert.Equal(0, Counted("receive_throttled"));
    }

    /// <summary>What the guest may not have yet stays in the link, and none of it is lost.</summary>
    [Theory]
    [InlineData(10_000, 0)]
    [InlineData(0, 100)]
    public void What_the_guest_gets_is_held_as_well(long bytes, long packets)
    {
        const int Packets = 40;
        _receive = new RateLimit(bytes, packets);
        Start();
        OfferRoom(0, Packets, 200);
        long started = HostClock.MonotonicNanoseconds();
        for (int i = 0; i < Packets; i++)
            HostSends(Frame(100));
        Assert.InRange(Driver.Queues[0].UsedIndex, 1, Packets - 1);
        while (Driver.Queues[0].UsedIndex < Packets)
            Driver.Device.Workers[0].RunOnce(1000);
        Assert.InRange(HostClock.MonotonicNanoseconds() - started, 290_000_000, long.MaxValue);
        Assert.Equal(Packets, Metrics.Count(NetCount.Received));
        Assert.True(Counted("receive_throttled") > 0);
        // It is the guest's own sending that another limit is for.
        Send(Frame(100));
        Assert.Equal((1, 0), (Metrics.Count(NetCount.Sent), Counted("send_throttled")));
    }

    private long Counted(string name)
    {
        long counted = -1;
        Metrics.Report((each, value) => counted = each == name ? value : counted);
        return counted;
    }

    [Fact]
    public void What_the_host_does_not_take_is_dropped()
    {
        Start();
        _hosts[0].Dispose();
        Send(Frame(60));
        Assert.Equal(1, Metrics.Count(NetCount.HostDropped));
        Assert.Equal(1, Driver.Queues[1].UsedIndex);
    }

    [Fact]
    public void A_real_TAP_device_takes_and_gives_packets()
    {
        ifreq request = default;
        FileDescriptor tap = OpenTap(ref request, 0);
        // The interface is not up: packets to it are refused, which says that it read the header.
        _driver = new TestDriver(
            new NetDevice(_memory.Ram, new NetOptions { Links = [new TapLink(tap, false)], Mac = s_mac }), _memory);
        _driver.Start();
        Send(Frame(60));
        Assert.Equal(1, Metrics.Count(NetCount.HostDropped));
        Assert.Throws<HostException>(() => new TapLink(FileDescriptor.CreateMemory("none", 1), false));
    }

    [Fact]
    public void A_real_TAP_device_with_two_queues_uses_those_that_the_guest_does()
    {
        ifreq request = default;
        FileDescriptor[] queues =
            [OpenTap(ref request, Libc.IFF_MULTI_QUEUE), OpenTap(ref request, Libc.IFF_MULTI_QUEUE)];
        using FileDescriptor second = queues[1].Duplicate();
        _driver = new TestDriver(
            new NetDevice(_memory.Ram, new NetOptions
            {
                Links = [.. queues.Select(queue => new TapLink(queue, isOneOfSeveral: true))], Mac = s_mac,
            }),
            _memory);
        _driver.Start();
        Assert.True(IsDetached(second));
        Assert.Equal(VIRTIO_NET_OK, Control(4, 0, 2));
        Assert.False(IsDetached(second));
        Assert.Equal(VIRTIO_NET_OK, Control(4, 0, 1));
        Assert.True(IsDetached(second));
        Assert.Equal(VIRTIO_NET_ERR, Control(4, 0, 3));
        Assert.Equal(VIRTIO_NET_OK, Control(4, 0, 2));
        // A driver that starts again has one pair, until it says otherwise.
        _memory.Clear();
        Driver.Start();
        Assert.True(IsDetached(second));
        Assert.Equal(0, Metrics.Count(NetCount.LinkFailed));

        static bool IsDetached(FileDescriptor queue)
        {
            ifreq told = default;
            Assert.Equal(0, queue.Control(Libc.TUNGETIFF, &told));
            return (told.ifr_flags & Libc.IFF_DETACH_QUEUE) != 0;
        }
    }

    /// <summary>A TAP device that goes with its last descriptor, or one more queue of it.</summary>
    /// <param name="request">Empty at first; has the device's name afterwards.</param>
    private static FileDescriptor OpenTap(ref ifreq request, int flags)
    {
        FileDescriptor tap;
        try
        {
            tap = FileDescriptor.Open("/dev/net/tun", Libc.O_RDWR | Libc.O_NONBLOCK);
        }
        catch (HostException refused)
        {
            Assert.Skip(refused.Message);
            throw;
        }
        request.ifr_flags = (short)(Libc.IFF_TAP | Libc.IFF_NO_PI | Libc.IFF_VNET_HDR | flags);
        int result;
        fixed (ifreq* asked = &request)
            result = tap.Control(Libc.TUNSETIFF, asked);
        Assert.SkipWhen(result == -Libc.EPERM, "this user may make no TAP devices");
        Assert.Equal(0, result);
        return tap;
    }
}
