using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Devices.Vsock;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Devices;

public sealed unsafe partial class VsockTests : IDisposable, IVsockHost
{
    private const ulong Cid = 5;
    private const uint ServicePort = 1000;
    private const uint SlowPort = 2000;

    /// <summary>The first that the device takes for a client of the host.</summary>
    private const uint ClientPort = (1 << 30) + 1;
    private const ulong Packet = TestRam.HighStart;
    private const ulong Inbox = TestRam.HighStart + 0x4_0000;
    private const uint InboxBytes = 0x1000;

    private readonly TestRam _memory = new();
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"vsock-{Guid.NewGuid():n}");
    private readonly List<FileDescriptor> _open = [];
    private readonly List<ulong> _asked = [];
    private readonly VsockDevice _device;
    private readonly TestDriver _driver;
    private int _taken;

    public VsockTests()
    {
        _device = new VsockDevice(_memory.Ram, Cid, this, Listen());
        _driver = new TestDriver(_device, _memory).Start();
    }

    public void Dispose()
    {
        _driver.Dispose();
        _open.ForEach(file => file.Dispose());
        File.Delete(_path);
        _memory.Dispose();
    }

    private VsockMetrics Metrics => (VsockMetrics)_device.Metrics;

    VsockReply IVsockHost.Connect(uint port, ulong number, out FileDescriptor? file)
    {
        file = port == ServicePort ? Pair() : null;
        if (port is SlowPort or ClientPort)
            _asked.Add(number);
        return port is SlowPort or ClientPort ? VsockReply.Later
            : file is null ? VsockReply.Refused : VsockReply.Connected;
    }

    private FileDescriptor Host => _open[^1];

    /// <summary>The device's end; the other is <see cref="Host"/>.</summary>
    private FileDescriptor Pair()
    {
        int* ends = stackalloc int[2];
        Assert.Equal(0, Libc.socketpair(
            Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0, ends));
        _open.Add(new FileDescriptor(ends[0]));
        return new FileDescriptor(ends[1]);
    }

    private FileDescriptor Listen()
    {
        FileDescriptor socket = Socket();
        sockaddr_un address = Address();
        Assert.Equal(0, Libc.bind(socket.Value, &address, (uint)sizeof(sockaddr_un)));
        Assert.Equal(0, Libc.listen(socket.Value, 16));
        return socket;
    }

    private FileDescriptor Dial()
    {
        FileDescriptor socket = Socket();
        sockaddr_un address = Address();
        Assert.Equal(0, Libc.connect(socket.Value, &address, (uint)sizeof(sockaddr_un)));
        _open.Add(socket);
        return socket;
    }

    private static FileDescriptor Socket() =>
        new(Libc.socket(Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0));

    private sockaddr_un Address()
    {
        sockaddr_un address = new() { sun_family = Libc.AF_UNIX };
        Encoding.ASCII.GetBytes(_path).CopyTo(new Span<byte>(address.sun_path, 100));
        return address;
    }

    private virtio_vsock_hdr Head(int operation, uint guestPort, uint hostPort = ServicePort, uint length = 0) => new()
    {
        src_cid = Cid,
        dst_cid = 2,
        src_port = guestPort,
        dst_port = hostPort,
        len = length,
        type = VIRTIO_VSOCK_TYPE_STREAM,
        op = (ushort)operation,
        buf_alloc = 64 << 10,
    };

    private void Send(in virtio_vsock_hdr head, ReadOnlySpan<byte> data = default)
    {
        _memory.At<virtio_vsock_hdr>(Packet) = head;
        data.CopyTo(_memory.Bytes(Packet + 44, data.Length));
        _driver.Queues[1].Send(new Piece(Packet, 44 + (uint)data.Length));
        _driver.NotifyAndRun(1);
    }

    private void OfferRoom(int count, uint bytes = InboxBytes)
    {
        for (int i = 0; i < count; i++)
        {
            uint slot = (uint)_driver.Queues[0].AvailableIndex % 64;
            _driver.Queues[0].Send(new Piece(Inbox + (slot * InboxBytes), bytes, true));
        }
        _driver.NotifyAndRun(0);
    }

    /// <summary>The next packet that the guest got, after offering room for it; op 0 when there was none.</summary>
    private (virtio_vsock_hdr Head, byte[] Data) Receive()
    {
        if (_driver.Queues[0].UsedIndex == _taken)
            OfferRoom(1);
        _driver.Run();
        if (_driver.Queues[0].UsedIndex == _taken)
            return default;
        ulong at = Inbox + ((uint)_taken % 64 * InboxBytes);
        virtio_vsock_hdr head = _memory.At<virtio_vsock_hdr>(at);
        Assert.Equal(44 + head.len, _driver.Queues[0].UsedElement(_taken++).len);
        Assert.Equal((2ul, Cid), (head.src_cid, head.dst_cid));
        return (head, _memory.Bytes(at + 44, (int)head.len).ToArray());
    }

    private void AssertNext(int operation, uint guestPort, uint hostPort = ServicePort)
    {
        virtio_vsock_hdr head = Receive().Head;
        Assert.Equal((operation, guestPort, hostPort), (head.op, head.dst_port, head.src_port));
    }

    private void AssertNothing() => Assert.Equal(0, Receive().Head.op);

    /// <summary>A connection from port 77 of the guest; its other end is <see cref="Host"/>.</summary>
    private void Open()
    {
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 77));
        AssertNext(VIRTIO_VSOCK_OP_RESPONSE, 77);
    }

    private byte[] HostReads(int length)
    {
        byte[] bytes = new byte[length];
        nint count = Host.Read(bytes);
        return count < 0 ? [] : bytes[..(int)count];
    }

    [Requirement("5.10.6.3.2b")]
    [Fact]
    public void The_guest_connects_and_talks()
    {
        Assert.Equal(Cid, _driver.Configuration<ulong>(0));
        Open();
        Send(Head(VIRTIO_VSOCK_OP_RW, 77, length: 5), "hello"u8);
        Assert.Equal("hello"u8.ToArray(), HostReads(10));
        Host.Write("there"u8);
        (virtio_vsock_hdr head, byte[] data) = Receive();
        Assert.Equal((VIRTIO_VSOCK_OP_RW, 5u, 64u << 10), (head.op, head.fwd_cnt, head.buf_alloc));
        Assert.Equal("there"u8.ToArray(), data);
        Assert.Equal((1, 5, 5), (Metrics.Opened, Metrics.BytesFromGuest, Metrics.BytesToGuest));
    }

    [Requirement("5.10.6.4.2a")]
    [Theory]
    [InlineData(0ul)]
    [InlineData(1ul)]
    [InlineData(2ul)]
    [InlineData((ulong)uint.MaxValue)]
    [InlineData(ulong.MaxValue)]
    public void Reserved_addresses_are_no_guests(ulong cid) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new VsockDevice(_memory.Ram, cid, this, null));

    [Requirement("2.7.4.1a")]
    [Fact]
    public void Packets_may_be_in_any_pieces()
    {
        Open();
        _memory.At<virtio_vsock_hdr>(Packet) = Head(VIRTIO_VSOCK_OP_RW, 77, length: 5);
        "hello"u8.CopyTo(_memory.Bytes(Packet + 44, 5));
        for (uint cut = 1; cut < 49; cut++)
        {
            _driver.Queues[1].Send(new Piece(Packet, cut), new Piece(Packet + cut, 49 - cut));
            _driver.NotifyAndRun(1);
            Assert.Equal("hello"u8.ToArray(), HostReads(10));
        }
    }

    [Fact]
    public void A_service_that_takes_time_is_connected_when_it_answers()
    {
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 77, SlowPort));
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 78, SlowPort));
        AssertNothing();
        _device.Answer(_asked[1], null);
        AssertNext(VIRTIO_VSOCK_OP_RST, 78, SlowPort);
        _device.Answer(_asked[0], Pair());
        AssertNext(VIRTIO_VSOCK_OP_RESPONSE, 77, SlowPort);
        Send(Head(VIRTIO_VSOCK_OP_RW, 77, SlowPort, length: 5), "hello"u8);
        Assert.Equal("hello"u8.ToArray(), HostReads(10));
        Assert.Equal((1, 1), (Metrics.Opened, Metrics.Refused));
    }

    [Theory]
    [InlineData(VIRTIO_VSOCK_OP_RST)]
    [InlineData(VIRTIO_VSOCK_OP_REQUEST)]
    [InlineData(VIRTIO_VSOCK_OP_RW)]
    [InlineData(VIRTIO_VSOCK_OP_SHUTDOWN)]
    public void What_is_said_before_a_slow_service_has_answered_ends_the_connection(int operation)
    {
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 77, SlowPort));
        Send(Head(operation, 77, SlowPort));
        if (operation != VIRTIO_VSOCK_OP_RST)
            AssertNext(VIRTIO_VSOCK_OP_RST, 77, SlowPort);
        _device.Answer(_asked[0], Pair());
        AssertNothing();
        Assert.Equal(0, Host.Read(new byte[1]));
        Assert.Equal(0, _device.Connections);
    }

    [Fact]
    public void Not_more_than_64_connections_wait_for_slow_services_and_a_reset_forgets_them()
    {
        for (uint port = 1; port <= 65; port++)
            Send(Head(VIRTIO_VSOCK_OP_REQUEST, port, SlowPort));
        Assert.Equal(64, _asked.Count);
        AssertNext(VIRTIO_VSOCK_OP_RST, 65, SlowPort);
        _driver.Write(VIRTIO_MMIO_STATUS, 0);
        _driver.Run();
        _device.Answer(_asked[0], Pair());
        _driver.Run();
        // No answer to what another driver has asked before.
        Assert.Equal(0, _device.Connections);
    }

    [Fact]
    public void What_the_guest_withdraws_or_forgets_is_asked_until_it_is_answered()
    {
        void AskAndWithdraw()
        {
            for (uint port = 1; port <= 1000; port++)
            {
                Send(Head(VIRTIO_VSOCK_OP_REQUEST, port, SlowPort));
                Send(Head(VIRTIO_VSOCK_OP_RST, port, SlowPort));
            }
        }

        AskAndWithdraw();
        Assert.Equal(64, _asked.Count);
        foreach (ulong number in _asked.ToArray())
            _device.Answer(number, Pair());
        _driver.Run();
        Assert.Equal(0, _device.Connections);
        Assert.All(_open, file => Assert.Equal(0, file.Read(new byte[1])));
        AskAndWithdraw();
        Assert.Equal(128, _asked.Count);
        _memory.Clear();
        _driver.Start();
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 1, SlowPort));
        Assert.Equal(128, _asked.Count);
        _device.Answer(_asked[^1], null);
        _driver.Run();
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 1, SlowPort));
        Assert.Equal(129, _asked.Count);
    }

    [Fact]
    public void The_host_connects_and_talks()
    {
        FileDescriptor client = Dial();
        client.Write("CONNECT 52\nrest"u8);
        virtio_vsock_hdr request = Receive().Head;
        Assert.Equal((VIRTIO_VSOCK_OP_REQUEST, 52u), (request.op, request.dst_port));
        Assert.Empty(HostReads(100));
        Send(Head(VIRTIO_VSOCK_OP_RESPONSE, 52, request.src_port));
        Assert.Equal($"OK {request.src_port}\n", Encoding.ASCII.GetString(HostReads(100)));
        (virtio_vsock_hdr head, byte[] data) = Receive();
        Assert.Equal((VIRTIO_VSOCK_OP_RW, "rest"), (head.op, Encoding.ASCII.GetString(data)));
        Send(Head(VIRTIO_VSOCK_OP_RW, 52, request.src_port, 2), "ok"u8);
        Assert.Equal("ok"u8.ToArray(), HostReads(100));
    }

    /// <summary>A service may have a port that is also taken for a client: only one can have both ports.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Two_connections_with_the_same_ports_are_one(bool clientFirst)
    {
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 77, ClientPort));
        FileDescriptor client = Dial();
        _driver.Run();
        if (clientFirst)
        {
            client.Write("CONNECT 77\n"u8);
            AssertNext(VIRTIO_VSOCK_OP_REQUEST, 77, ClientPort);
        }
        _device.Answer(_asked[0], Pair());
        FileDescriptor service = Host;
        AssertNext(clientFirst ? VIRTIO_VSOCK_OP_RST : VIRTIO_VSOCK_OP_RESPONSE, 77, ClientPort);
        if (!clientFirst)
            client.Write("CONNECT 77\n"u8);
        AssertNothing();
        Assert.Equal(1, _device.Connections);
        Assert.True((clientFirst ? service : client).Read(new byte[1]) is 0 or -Libc.ECONNRESET);
        Assert.Equal(-Libc.EAGAIN, (clientFirst ? client : service).Read(new byte[1]));
        Assert.Equal(1, Metrics.Refused);
    }

    /// <summary>Both are told in one turn: the end of a socket, and before it what gives its place to another.</summary>
    [Fact]
    public void The_end_of_a_socket_is_not_that_of_the_next_in_its_place()
    {
        OfferRoom(8);
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 77));
        AssertNext(VIRTIO_VSOCK_OP_RESPONSE, 77);
        FileDescriptor first = Host;
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 78, SlowPort));
        _memory.At<virtio_vsock_hdr>(Packet) = Head(VIRTIO_VSOCK_OP_RST, 77);
        _driver.Queues[1].Send(new Piece(Packet, 44));
        _driver.Notify(1);
        _device.Answer(_asked[0], Pair());
        first.Dispose();
        AssertNext(VIRTIO_VSOCK_OP_RESPONSE, 78, SlowPort);
        AssertNothing();
        Send(Head(VIRTIO_VSOCK_OP_RW, 78, SlowPort, length: 1), "x"u8);
        Assert.Equal("x"u8.ToArray(), HostReads(1));
    }

    [Theory]
    [InlineData("CONNECT \n")]
    [InlineData("CONNECT x\n")]
    [InlineData("CONNECT 1 \n")]
    [InlineData("CONNECT -1\n")]
    [InlineData("CONNECT 4294967296\n")]
    [InlineData("CONNECT52\n")]
    [InlineData("\n")]
    [InlineData("connect 52\n")]
    [InlineData("CONNECT 52                                      \n")]
    public void A_greeting_that_is_none_ends_the_client(string greeting)
    {
        FileDescriptor client = Dial();
        client.Write(Encoding.ASCII.GetBytes(greeting));
        AssertNothing();
        Assert.Equal(0, _device.Connections);
        Assert.True(client.Read(new byte[1]) is 0 or -Libc.ECONNRESET);
    }

    [Fact]
    public void A_greeting_may_come_in_pieces_and_not_at_all()
    {
        FileDescriptor client = Dial();
        client.Write("CONN"u8);
        AssertNothing();
        client.Write("ECT 7\n"u8);
        Assert.Equal(VIRTIO_VSOCK_OP_REQUEST, Receive().Head.op);
        Dial().Dispose();
        _open.RemoveAt(_open.Count - 1);
        _driver.Run();
        Assert.Equal(1, _device.Connections);
    }

    [Fact]
    public void Ports_without_a_service_are_refused()
    {
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 77, 1001));
        AssertNext(VIRTIO_VSOCK_OP_RST, 77, 1001);
        Assert.Equal(1, Metrics.Refused);
    }

    [Fact]
    public void A_guest_that_refuses_ends_the_client()
    {
        FileDescriptor client = Dial();
        client.Write("CONNECT 52\n"u8);
        virtio_vsock_hdr request = Receive().Head;
        Send(Head(VIRTIO_VSOCK_OP_RST, 52, request.src_port));
        Assert.Equal(0, client.Read(new byte[1]));
        AssertNothing();
    }

    [Fact]
    public void A_guest_that_does_not_answer_in_time_ends_the_client()
    {
        FileDescriptor client = Dial();
        client.Write("CONNECT 52\n"u8);
        uint port = Receive().Head.src_port;
        while (_device.Connections > 0)
            _device.Workers[0].RunOnce(3000);
        Assert.Equal(0, client.Read(new byte[1]));
        AssertNext(VIRTIO_VSOCK_OP_RST, 52, port);
    }

    [Fact]
    public void The_guest_closes()
    {
        Open();
        Send(Head(VIRTIO_VSOCK_OP_RW, 77, length: 3), "end"u8);
        Send(Head(VIRTIO_VSOCK_OP_SHUTDOWN, 77) with { flags = 3 });
        AssertNext(VIRTIO_VSOCK_OP_RST, 77);
        Assert.Equal("end"u8.ToArray(), HostReads(3));
        Assert.Equal(0, Host.Read(new byte[1]));
        Assert.Equal(0, _device.Connections);
    }

    [Fact]
    public void The_guest_closes_one_half()
    {
        Open();
        Send(Head(VIRTIO_VSOCK_OP_SHUTDOWN, 77) with { flags = VIRTIO_VSOCK_SHUTDOWN_SEND });
        Assert.Equal(0, Host.Read(new byte[1]));
        Host.Write("still"u8);
        Assert.Equal("still"u8.ToArray(), Receive().Data);
        Send(Head(VIRTIO_VSOCK_OP_RW, 77, length: 1), "x"u8);
        AssertNext(VIRTIO_VSOCK_OP_RST, 77);
    }

    [Fact]
    public void The_host_closes_one_half_and_then_the_other()
    {
        Open();
        Host.Write("last"u8);
        Libc.shutdown(Host.Value, Libc.SHUT_WR);
        Assert.Equal("last"u8.ToArray(), Receive().Data);
        virtio_vsock_hdr end = Receive().Head;
        Assert.Equal((VIRTIO_VSOCK_OP_SHUTDOWN, (uint)VIRTIO_VSOCK_SHUTDOWN_SEND), (end.op, end.flags));
        Send(Head(VIRTIO_VSOCK_OP_RW, 77, length: 1), "x"u8);
        Assert.Equal("x"u8.ToArray(), HostReads(1));
        Host.Dispose();
        end = Receive().Head;
        Assert.Equal((VIRTIO_VSOCK_OP_SHUTDOWN, 3u), (end.op, end.flags));
        Send(Head(VIRTIO_VSOCK_OP_SHUTDOWN, 77) with { flags = 3 });
        AssertNext(VIRTIO_VSOCK_OP_RST, 77);
        Assert.Equal(0, _device.Connections);
    }

    [Fact]
    public void What_the_host_wrote_before_it_closed_arrives_first()
    {
        Open();
        Host.Write(new byte[5000]);
        Host.Dispose();
        Assert.Equal(InboxBytes - 44, (uint)Receive().Data.Length);
        Assert.Equal(5000 - (InboxBytes - 44), (uint)Receive().Data.Length);
        AssertNext(VIRTIO_VSOCK_OP_SHUTDOWN, 77);
    }

    /// <summary>The device's thread once looked at such a buffer for ever.</summary>
    [Fact]
    public void Room_for_a_head_alone_goes_back_with_one()
    {
        Open();
        OfferRoom(1, bytes: 44);
        Host.Write("data"u8);
        AssertNext(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 77);
        Assert.Equal("data"u8.ToArray(), Receive().Data);
    }

    [Requirement("5.10.6.3.2a")]
    [Fact]
    public void No_more_is_sent_than_the_guest_has_room_for()
    {
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 77) with { buf_alloc = 10 });
        AssertNext(VIRTIO_VSOCK_OP_RESPONSE, 77);
        Host.Write("0123456789abcdef"u8);
        Assert.Equal("0123456789"u8.ToArray(), Receive().Data);
        AssertNext(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 77);
        AssertNothing();
        Send(Head(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 77) with { buf_alloc = 10, fwd_cnt = 4 });
        Assert.Equal("abcd"u8.ToArray(), Receive().Data);
        // It cannot have read more than it was sent: that is no credit at all.
        Send(Head(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 77) with { buf_alloc = 10, fwd_cnt = 15 });
        AssertNext(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 77);
        AssertNothing();
        Send(Head(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 77) with { buf_alloc = 10, fwd_cnt = 14 });
        Assert.Equal("ef"u8.ToArray(), Receive().Data);
    }

    [Fact]
    public void What_the_host_does_not_read_waits_and_no_more_than_was_promised()
    {
        Open();
        byte[] piece = new byte[32 << 10];
        long sent = 0;
        // Into the socket's own buffer, until it takes no more; then two pieces wait here.
        while (Metrics.PacketsReset == 0 && sent < 64 << 20)
        {
            Array.Fill(piece, (byte)(sent / piece.Length));
            Send(Head(VIRTIO_VSOCK_OP_RW, 77, length: (uint)piece.Length), piece);
            sent += piece.Length;
        }
        Assert.InRange(sent, 64 << 10, 8 << 20);
        (virtio_vsock_hdr Head, byte[] Data) packet;
        do
            packet = Receive();
        while (packet.Head.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
        Assert.Equal(VIRTIO_VSOCK_OP_RST, packet.Head.op);
        Assert.Equal(0, _device.Connections);
    }

    [Fact]
    public void What_waits_arrives_in_order_and_credit_comes_back()
    {
        Open();
        byte[] piece = new byte[32 << 10];
        int credit = 64 << 10, sent = 0, read = 0;
        uint forwarded = 0;
        Random random = new(1);
        while (read < 4 << 20)
        {
            while (credit - (sent - (int)forwarded) >= piece.Length && sent < 4 << 20)
            {
                for (int i = 0; i < piece.Length; i++)
                    piece[i] = (byte)((sent + i) * 31 >> 3);
                Send(Head(VIRTIO_VSOCK_OP_RW, 77, length: (uint)piece.Length), piece);
                sent += piece.Length;
            }
            byte[] got = HostReads(random.Next(1, 20_000));
            for (int i = 0; i < got.Length; i++)
                Assert.Equal((byte)((read + i) * 31 >> 3), got[i]);
            read += got.Length;
            if (got.Length > 0 && sent == read)
                Send(Head(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 77));
            virtio_vsock_hdr head = Receive().Head;
            if (head.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
                forwarded = head.fwd_cnt;
        }
        Assert.Equal(0, Metrics.PacketsReset);
    }

    [Requirement("5.10.6.4.2b")]
    [Fact]
    public void Packets_that_make_no_sense_are_reset_and_counted()
    {
        foreach (virtio_vsock_hdr head in (virtio_vsock_hdr[])
        [
            Head(VIRTIO_VSOCK_OP_RW, 77, length: 10), // shorter than it says
            Head(VIRTIO_VSOCK_OP_RW, 77, length: uint.MaxValue),
            Head(0, 77), Head(8, 77), Head(VIRTIO_VSOCK_OP_REQUEST, 77), Head(VIRTIO_VSOCK_OP_RESPONSE, 77),
            Head(VIRTIO_VSOCK_OP_RW, 77) with { type = 2 },
        ])
        {
            Open();
            long before = Metrics.PacketsReset;
            Send(head);
            AssertNext(VIRTIO_VSOCK_OP_RST, 77);
            Assert.Equal((0, before + 1), (_device.Connections, Metrics.PacketsReset));
        }
        Send(Head(VIRTIO_VSOCK_OP_RW, 3));
        AssertNext(VIRTIO_VSOCK_OP_RST, 3);
        Send(Head(VIRTIO_VSOCK_OP_RST, 3));
        Send(Head(VIRTIO_VSOCK_OP_RST, 3) with { type = 9 });
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 3) with { src_cid = 6 });
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 3) with { dst_cid = 1 });
        AssertNothing();
        Assert.Equal(2, Metrics.Dropped);
    }

    [Flaw("amplification")]
    [Requirement("5.10.6.1.2a")]
    [Fact]
    public void A_guest_that_takes_no_answers_makes_nothing_grow()
    {
        for (uint i = 0; i < 2000; i++)
            Send(Head(VIRTIO_VSOCK_OP_RW, i));
        Assert.Equal(2000 - 256, Metrics.Dropped);
        for (uint i = 0; i < 256; i++)
            AssertNext(VIRTIO_VSOCK_OP_RST, i);
        AssertNothing();
    }

    [Fact]
    public void A_guest_that_takes_no_answers_and_closes_makes_nothing_grow()
    {
        for (int i = 0; i < 10_000; i++)
        {
            Send(Head(VIRTIO_VSOCK_OP_REQUEST, 77));
            Send(Head(VIRTIO_VSOCK_OP_RST, 77));
            Host.Dispose();
            _open.Clear();
        }
        Assert.InRange(_device.Ready, 0, 256);
        Assert.Equal((0, 10_000), (_device.Connections, Metrics.Opened));
        // The next one in the same slot is told.
        Open();
        AssertNothing();
        Assert.Equal(0, _device.Ready);
    }

    [Fact]
    public void There_are_256_connections_and_no_more()
    {
        for (uint i = 0; i < 300; i++)
            Send(Head(VIRTIO_VSOCK_OP_REQUEST, i));
        Assert.Equal((256, 44), (_device.Connections, Metrics.Refused));
        FileDescriptor client = Dial();
        _driver.Run();
        Assert.Equal(0, client.Read(new byte[1]));
        int[] answers = new int[8];
        for (int i = 0; i < 300; i++)
            answers[Receive().Head.op]++;
        Assert.Equal((256, 44), (answers[VIRTIO_VSOCK_OP_RESPONSE], answers[VIRTIO_VSOCK_OP_RST]));
        Send(Head(VIRTIO_VSOCK_OP_RST, 0));
        Send(Head(VIRTIO_VSOCK_OP_REQUEST, 999));
        AssertNext(VIRTIO_VSOCK_OP_RESPONSE, 999);
    }

    [Fact]
    public void Packets_and_room_without_a_head_break_the_device()
    {
        _driver.Queues[1].Send(new Piece(Packet, 43));
        _driver.NotifyAndRun(1);
        Assert.True(_driver.NeedsReset);
        _memory.Clear();
        _driver.Start();
        _driver.Queues[0].Send(new Piece(Inbox, 43, true));
        Send(Head(VIRTIO_VSOCK_OP_RW, 1));
        Assert.True(_driver.NeedsReset);
        Assert.Equal(2, Metrics.Count(QueueFault.Request));
    }

    [Fact]
    public void A_reset_closes_everything()
    {
        Open();
        FileDescriptor service = Host;
        _memory.Clear();
        _driver.Start();
        _taken = 0;
        Assert.Equal(0, service.Read(new byte[1]));
        Assert.Equal(0, _device.Connections);
        Open();
    }

    [Fact]
    public void A_guest_that_was_restored_is_told_that_its_connections_are_gone()
    {
        Open();
        _driver.Queues[2].Send(new Piece(Packet + 0x2000, 4, true));
        _memory.At<uint>(Packet + 0x2000) = 99;
        _driver.NotifyAndRun(2);
        _driver.Transport.Pause();
        TransportState transport = _driver.Transport.Save();
        VsockState state = _device.Save();
        VsockDevice device = new(_memory.Ram, Cid, this, null);
        using TestDriver other = new(device, _memory);
        other.Transport.Pause();
        Assert.True(other.Transport.TryRestore(transport));
        Assert.True(device.TryRestore(state));
        other.Transport.Resume();
        other.Run();
        Assert.Equal(1, _driver.Queues[2].UsedIndex);
        Assert.Equal(0u, _memory.At<uint>(Packet + 0x2000));
        Assert.False(device.TryRestore(new VsockState(Cid + 1)));
    }
}
