using System.Net;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>UDP sockets of a guest: over brokered sockets of the host, one for each destination, and inside.</summary>
public sealed class InternetDatagramTests : IDisposable
{
    private const ulong Data = InternetGuest.Data;

    private readonly InternetGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    /// <summary>What reached the server outside, and from where.</summary>
    private string AtServer(out IPEndPoint sender)
    {
        IPEndPoint? from = null;
        string text = System.Text.Encoding.ASCII.GetString(_guest.Broker.Datagrams.Receive(ref from));
        sender = from!;
        return text;
    }

    [Fact]
    public void Several_destinations_over_one_socket()
    {
        ulong socket = _guest.Socket(SOCK_DGRAM);
        Assert.Equal(5, _guest.SendTo(socket, "first", "192.0.2.1:53"));
        Assert.Equal("first", AtServer(out IPEndPoint first));
        Assert.Equal(6, _guest.SendTo(socket, "second", "192.0.2.2:53"));
        Assert.Equal("second", AtServer(out IPEndPoint second));
        Assert.NotEqual(first, second);
        Assert.Equal(5, _guest.SendTo(socket, "again", "192.0.2.1:53"));
        Assert.Equal("again", AtServer(out IPEndPoint again));
        Assert.Equal(first, again);
        Assert.Equal(["connect Udp 192.0.2.1:53", "connect Udp 192.0.2.2:53"], _guest.Broker.Asked);

        _guest.Broker.Datagrams.Send("to the second"u8, second);
        Assert.Equal("to the second", _guest.ReceiveFrom(socket, out string? from));
        Assert.Equal("192.0.2.2:53", from);
        _guest.Broker.Datagrams.Send("to the first"u8, first);
        Assert.Equal("to t", _guest.ReceiveFrom(socket, out from, 4, MSG_PEEK));
        Assert.Equal(12, _guest.Call(SYS_recvfrom, socket, Data, 4, MSG_TRUNC));
        Assert.Equal("-11", _guest.Receive(socket, flags: MSG_DONTWAIT));
    }

    [Fact]
    public void A_read_waits_for_any_of_them()
    {
        ulong socket = _guest.Socket(SOCK_DGRAM);
        _guest.SendTo(socket, "x", "192.0.2.1:53");
        AtServer(out IPEndPoint client);
        for (int round = 0; round < 3; round++)
        {
            PendingCall read = _guest.Guest.CallAside(SYS_recvfrom, socket, Data + 0x100, 100);
            Assert.True(read.IsWaiting(20));
            _guest.Broker.Datagrams.Send("answer"u8, client);
            Assert.Equal(6, read.Result());
        }

        Assert.Equal(POLLOUT, _guest.Poll(socket, POLLIN | POLLOUT));
        _guest.Broker.Datagrams.Send("answer"u8, client);
        Assert.Equal(POLLIN, _guest.Poll(socket, POLLIN, 5000));
    }

    [Fact]
    public void The_longest_unused_destination_makes_room()
    {
        const int limit = 32;
        ulong socket = _guest.Socket(SOCK_DGRAM);
        for (int i = 0; i < limit; i++)
            Assert.Equal(1, _guest.SendTo(socket, "x", $"192.0.2.{i}:53"));
        Assert.Equal(1, _guest.SendTo(socket, "x", "192.0.2.0:53"));
        Assert.Equal(limit, _guest.Broker.Asked.Count);
        Assert.Equal(1, _guest.SendTo(socket, "x", "192.0.2.100:53"));
        Assert.Equal(limit, _guest.Guest.Personality.Network!.HostSockets.Used);
        Assert.Equal(1, _guest.SendTo(socket, "x", "192.0.2.0:53"));
        Assert.Equal(limit + 1, _guest.Broker.Asked.Count);
        Assert.Equal(1, _guest.SendTo(socket, "x", "192.0.2.1:53"));
        Assert.Equal(limit + 2, _guest.Broker.Asked.Count);
        Assert.Equal(0, _guest.Call(SYS_close, socket));
        Assert.Equal(0, _guest.Guest.Personality.Network.HostSockets.Used);
    }

    [Fact]
    public void A_connected_socket_hears_its_peer_alone()
    {
        ulong socket = _guest.Socket(SOCK_DGRAM);
        Assert.Equal(-EDESTADDRREQ, _guest.Send(socket, "x"));
        _guest.SendTo(socket, "x", "192.0.2.1:53");
        AtServer(out IPEndPoint before);
        Assert.Equal(0, _guest.Connect(socket, "192.0.2.2:53"));
        Assert.Equal("192.0.2.2:53", _guest.Name(SYS_getpeername, socket));
        Assert.Equal(4, _guest.Send(socket, "peer"));
        Assert.Equal("peer", AtServer(out IPEndPoint after));
        _guest.Broker.Datagrams.Send("old"u8, before);
        _guest.Broker.Datagrams.Send("new"u8, after);
        Assert.Equal("new", _guest.Receive(socket));
        Assert.Equal("-11", _guest.Receive(socket, flags: MSG_DONTWAIT));
        // AF_UNSPEC
        _guest.Guest.Write(Data, 0L);
        Assert.Equal(0, _guest.Call(SYS_connect, socket, Data, 16));
        Assert.Equal(-EDESTADDRREQ, _guest.Send(socket, "x"));
        Assert.Equal($"{-ENOTCONN}", _guest.Name(SYS_getpeername, socket));
    }

    [Fact]
    public void Bad_datagrams()
    {
        ulong socket = _guest.Socket(SOCK_DGRAM);
        Assert.Equal(-EINVAL, _guest.SendTo(socket, "x", "192.0.2.1:0"));
        (ulong pointer, ulong length) = _guest.Put("[2001:db8::1]:53");
        Assert.Equal(-EAFNOSUPPORT, _guest.Call(SYS_sendto, socket, Data, 1, 0, pointer, length));
        (pointer, length) = _guest.Put("192.0.2.1:53");
        Assert.Equal(-EFAULT, _guest.Call(SYS_sendto, socket, Data, 1, 0, DirectGuest.Unmapped, length));
        Assert.Equal(-EINVAL, _guest.Call(SYS_sendto, socket, Data, 1, 0, pointer, 15));
        Assert.Equal(-EOPNOTSUPP, _guest.Call(SYS_sendto, socket, Data, 1, MSG_OOB, pointer, length));
        Assert.Equal(-EMSGSIZE, _guest.Call(SYS_sendto, socket, Data, 65508, 0, pointer, length));
        Assert.Equal(-EOPNOTSUPP, _guest.Call(SYS_accept, socket));
        ulong six = _guest.Socket(SOCK_DGRAM, AF_INET6);
        Assert.Equal(0, _guest.Set(six, SOL_IPV6, IPV6_V6ONLY, 1));
        Assert.Equal(-ENETUNREACH, _guest.SendTo(six, "x", "[::ffff:192.0.2.1]:53"));
        _guest.Broker.Verdict = port => port == 99 ? EACCES : 0;
        Assert.Equal(-EACCES, _guest.SendTo(socket, "x", "192.0.2.1:99"));
        Assert.Equal(1, _guest.SendTo(socket, "x", "192.0.2.1:53"));
    }

    [Fact]
    public void Inside_nobody_is_asked()
    {
        ulong server = _guest.Socket(SOCK_DGRAM), client = _guest.Socket(SOCK_DGRAM);
        Assert.Equal(0, _guest.Bind(server, "0.0.0.0:0"));
        int port = _guest.Port(server);
        Assert.Equal(5, _guest.SendTo(client, "hello", $"127.0.0.1:{port}"));
        Assert.Equal("hello", _guest.ReceiveFrom(server, out string? from));
        Assert.Equal($"127.0.0.1:{_guest.Port(client)}", from);
        Assert.Equal(6, _guest.SendTo(server, "answer", from!));
        Assert.Equal("answer", _guest.ReceiveFrom(client, out from));
        Assert.Equal($"127.0.0.1:{port}", from);
        Assert.Equal(0, _guest.Connect(client, $"127.0.0.1:{port}"));
        Assert.Equal(4, _guest.Send(client, "more"));
        Assert.Equal("more", _guest.Receive(server));
        Assert.Equal(0, _guest.Call(SYS_ioctl, server, FIONREAD, Data));
        Assert.Equal(0, _guest.Guest.Read<int>(Data));
        Assert.Empty(_guest.Broker.Asked);
    }

    /// <summary>A datagram for which there is no room is lost: the sender does not wait.</summary>
    [Fact]
    public void A_full_queue_loses_datagrams()
    {
        ulong server = _guest.Socket(SOCK_DGRAM), client = _guest.Socket(SOCK_DGRAM);
        Assert.Equal(0, _guest.Bind(server, "127.0.0.1:0"));
        int port = _guest.Port(server);
        for (int i = 0; i < 2000; i++)
            Assert.Equal(1, _guest.SendTo(client, "x", $"127.0.0.1:{port}"));
        int received = 0;
        while (_guest.Receive(server, flags: MSG_DONTWAIT) == "x")
            received++;
        Assert.InRange(received, 1, 1999);
    }

    [Fact]
    public void A_server_answers_from_its_port()
    {
        ulong server = _guest.Socket(SOCK_DGRAM);
        Assert.Equal(0, _guest.Bind(server, "192.0.2.9:9000"));
        using System.Net.Sockets.UdpClient outside = new(new IPEndPoint(IPAddress.Loopback, 0));
        outside.Send("question"u8, new IPEndPoint(IPAddress.Loopback, _guest.Broker.BoundPort));
        Assert.Equal("question", _guest.ReceiveFrom(server, out string? from));
        Assert.Equal($"{outside.Client.LocalEndPoint}", from);
        Assert.Equal(6, _guest.SendTo(server, "answer", "192.0.2.1:1234"));
        Assert.Equal(["listen Udp 192.0.2.9:9000", "connect Udp 192.0.2.1:1234"], _guest.Broker.Asked);
        Assert.Equal(9000, _guest.Broker.LastFrom);
    }

    /// <summary>As a server does that keeps to the first who speaks to it (nc -u -l).</summary>
    [Fact]
    public void A_bound_socket_keeps_what_its_peer_sent_before_it_was_connected()
    {
        ulong server = _guest.Socket(SOCK_DGRAM);
        Assert.Equal(0, _guest.Bind(server, "192.0.2.9:9000"));
        IPEndPoint port = new(IPAddress.Loopback, _guest.Broker.BoundPort);
        string peer = $"{_guest.Broker.Datagrams.Client.LocalEndPoint}";
        using System.Net.Sockets.UdpClient stranger = new(new IPEndPoint(IPAddress.Loopback, 0));
        _guest.Broker.Datagrams.Send("first"u8, port);
        stranger.Send("strange"u8, port);
        _guest.Broker.Datagrams.Send("second"u8, port);
        Assert.Equal("first", _guest.ReceiveFrom(server, out string? from, flags: MSG_PEEK));
        Assert.Equal(peer, from);
        Assert.Equal(0, _guest.Connect(server, peer));
        Assert.Equal(POLLIN, _guest.Poll(server, POLLIN));
        Assert.Equal("first", _guest.Receive(server));
        Assert.Equal("second", _guest.ReceiveFrom(server, out from));
        Assert.Equal(peer, from);

        stranger.Send("strange"u8, port);
        Assert.Equal(0, _guest.Poll(server, POLLIN, 50));
        Assert.Equal("-11", _guest.Receive(server, flags: MSG_DONTWAIT));
        PendingCall read = _guest.Guest.CallAside(SYS_recvfrom, server, Data + 0x100, 100);
        for (int i = 0; i < 100; i++)
            stranger.Send("strange"u8, port);
        Assert.True(read.IsWaiting(30));
        _guest.Broker.Datagrams.Send("third"u8, port);
        Assert.Equal(5, read.Result());
    }

    [Fact]
    public void A_read_hears_a_destination_that_another_thread_sends_to_first()
    {
        ulong socket = _guest.Socket(SOCK_DGRAM);
        PendingCall read = _guest.Guest.CallByAnother(SYS_recvfrom, socket, Data + 0x100, 100);
        Assert.True(read.IsWaiting(30));
        Assert.Equal(1, _guest.SendTo(socket, "x", "192.0.2.1:53"));
        AtServer(out IPEndPoint client);
        _guest.Broker.Datagrams.Send("answer"u8, client);
        Assert.Equal(6, read.Result());
    }

    /// <summary>-ENOTCONN, and who waits is sent away: as in the kernel.</summary>
    [Fact]
    public void Shutdown_without_a_peer_ends_a_read()
    {
        ulong socket = _guest.Socket(SOCK_DGRAM);
        PendingCall read = _guest.Guest.CallByAnother(SYS_recvfrom, socket, Data + 0x100, 100);
        Assert.True(read.IsWaiting(30));
        Assert.Equal(-ENOTCONN, _guest.Call(SYS_shutdown, socket, SHUT_RDWR));
        Assert.Equal(0, read.Result());
    }

    [Fact]
    public void Several_messages_in_one_call()
    {
        ulong socket = _guest.Socket(SOCK_DGRAM);
        (ulong pointer, ulong length) = _guest.Put("192.0.2.1:53");
        const ulong headers = Data + 0x1000, vectors = Data + 0x2000, bytes = Data + 0x3000;
        for (ulong i = 0; i < 3; i++)
        {
            _guest.Guest.WriteWords(vectors + 16 * i, bytes + 16 * i, i + 1);
            _guest.Guest.WriteWords(headers + 64 * i, pointer, length, vectors + 16 * i, 1, 0, 0, 0, 0);
        }
        _guest.Guest.Write(bytes, new byte[64]);
        Assert.Equal(3, _guest.Call(SYS_sendmmsg, socket, headers, 3));
        IPEndPoint client = null!;
        for (int i = 1; i <= 3; i++)
            Assert.Equal(i, AtServer(out client).Length);
        foreach (string text in (string[])["a", "bb"])
            _guest.Broker.Datagrams.Send(System.Text.Encoding.ASCII.GetBytes(text), client);
        for (ulong i = 0; i < 3; i++)
            _guest.Guest.WriteWords(headers + 64 * i, Data + 0x4000 + 128 * i, 128, vectors + 16 * i, 1, 0, 0, 0, 0);
        Assert.NotEqual(0, _guest.Poll(socket, POLLIN, 5000));
        Assert.Equal(2, _guest.Call(SYS_recvmmsg, socket, headers, 3, MSG_DONTWAIT));
        Assert.Equal((byte)'a', _guest.Guest.Read<byte>(bytes));
        Assert.Equal(2, _guest.Guest.Read<int>(headers + 64 + 56));
        Assert.Equal(16, _guest.Guest.Read<int>(headers + 64 + 8));
        Assert.Equal((ushort)AF_INET, _guest.Guest.Read<ushort>(Data + 0x4000 + 128));
    }

    [Fact]
    public void A_connected_socket_keeps_its_peer_however_many_others_it_sends_to()
    {
        ulong socket = _guest.Socket(SOCK_DGRAM);
        Assert.Equal(0, _guest.Connect(socket, "192.0.2.200:53"));
        Assert.Equal(4, _guest.Send(socket, "peer"));
        AtServer(out IPEndPoint peer);
        for (int i = 0; i < 40; i++)
            Assert.Equal(1, _guest.SendTo(socket, "x", $"192.0.2.{i}:53"));
        IPEndPoint other = null!;
        for (int i = 0; i < 40; i++)
            AtServer(out other);
        Assert.Equal(POLLOUT, _guest.Poll(socket, POLLIN | POLLOUT));
        Assert.Equal(0, _guest.Get(socket, SOL_SOCKET, SO_ERROR));
        // Linux hears the peer alone.
        _guest.Broker.Datagrams.Send("other"u8, other);
        Assert.Equal("-11", _guest.Receive(socket, flags: MSG_DONTWAIT));
        _guest.Broker.Datagrams.Send("peer"u8, peer);
        Assert.Equal(POLLIN, _guest.Poll(socket, POLLIN, 5000));
        Assert.Equal("peer", _guest.Receive(socket));
    }

    [Fact]
    public void Connecting_and_disconnecting_at_once_leaves_no_closed_peer()
    {
        ulong socket = _guest.Socket(SOCK_DGRAM);
        for (int round = 0; round < 300; round++)
        {
            (ulong pointer, ulong length) = _guest.Put("192.0.2.1:53");
            PendingCall connect = _guest.Guest.CallByAnother(SYS_connect, socket, pointer, length);
            _guest.Guest.Write(Data, 0L);
            Assert.Equal(0, _guest.Call(SYS_connect, socket, Data, 16));
            Assert.Equal(0, connect.Result());
            _guest.Poll(socket, POLLIN | POLLOUT);
            Assert.Equal(0, _guest.Get(socket, SOL_SOCKET, SO_ERROR));
        }
    }

    /// <summary>As clients of statsd and syslog do, which are there before their server, and after it.</summary>
    [Fact]
    public void Inside_the_peer_is_whoever_has_the_address()
    {
        _guest.Broker.Verdict = static _ => EACCES;
        ulong client = _guest.Socket(SOCK_DGRAM);
        Assert.Equal(0, _guest.Connect(client, "127.0.0.1:8125"));
        Assert.Equal(-ECONNREFUSED, _guest.Send(client, "early"));
        for (int round = 0; round < 2; round++)
        {
            ulong server = _guest.Socket(SOCK_DGRAM);
            Assert.Equal(0, _guest.Bind(server, "127.0.0.1:8125"));
            Assert.Equal(4, _guest.Send(client, "here"));
            Assert.Equal("here", _guest.ReceiveFrom(server, out string? from));
            Assert.Equal(6, _guest.SendTo(server, "answer", from!));
            Assert.Equal("answer", _guest.Receive(client));
            Assert.Equal(0, _guest.Call(SYS_close, server));
            Assert.Equal(-ECONNREFUSED, _guest.Send(client, "late"));
        }
    }
}
