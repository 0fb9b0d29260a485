using System.Net.Sockets;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.SystemCalls;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>TCP sockets of a guest: over brokered sockets of the host, and inside.</summary>
public sealed class InternetStreamTests : IDisposable
{
    private const ulong Data = InternetGuest.Data, Unmapped = DirectGuest.Unmapped;

    private readonly InternetGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private (ulong Socket, Socket Server) Connected(int family = AF_INET, string endpoint = "192.0.2.1:80")
    {
        ulong socket = _guest.Socket(SOCK_STREAM, family);
        Assert.Equal(0, _guest.Connect(socket, endpoint));
        return (socket, _guest.Broker.Streams.AcceptSocket());
    }

    [Theory]
    [InlineData(AF_INET, SOCK_STREAM, 0, 0)]
    [InlineData(AF_INET, SOCK_STREAM, IPPROTO_TCP, 0)]
    [InlineData(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, 0)]
    [InlineData(AF_INET, SOCK_STREAM, IPPROTO_UDP, -EPROTONOSUPPORT)]
    [InlineData(AF_INET, SOCK_DGRAM, IPPROTO_ICMP, -EPROTONOSUPPORT)]
    [InlineData(AF_INET, SOCK_RAW, IPPROTO_ICMP, -EPERM)]
    [InlineData(AF_INET, SOCK_SEQPACKET, 0, -ESOCKTNOSUPPORT)]
    [InlineData(AF_INET, SOCK_STREAM | 0x100, 0, -EINVAL)]
    [InlineData(AF_NETLINK, SOCK_RAW, 0, -EAFNOSUPPORT)]
    [InlineData(AF_PACKET, SOCK_RAW, 0, -EAFNOSUPPORT)]
    public void Kinds_of_sockets(int family, int type, int protocol, long result)
    {
        long made = _guest.Call(SYS_socket, (ulong)family, (ulong)type, (ulong)protocol);
        Assert.Equal(result, Math.Min(made, 0));
        if (made < 0)
            return;
        Assert.Equal(family, _guest.Get((ulong)made, SOL_SOCKET, SO_DOMAIN));
        Assert.Equal(type, _guest.Get((ulong)made, SOL_SOCKET, SO_TYPE));
        Assert.Equal(type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP, _guest.Get((ulong)made, SOL_SOCKET, SO_PROTOCOL));
        Assert.Equal(-EOPNOTSUPP, _guest.Call(SYS_socketpair, (ulong)family, (ulong)type, (ulong)protocol, Data));
    }

    [Fact]
    public void A_connection_to_the_outside()
    {
        (ulong socket, Socket server) = Connected();
        Assert.Equal(["connect Tcp 192.0.2.1:80"], _guest.Broker.Asked);
        Assert.Equal("192.0.2.1:80", _guest.Name(SYS_getpeername, socket));
        Assert.Equal($"127.0.0.1:{_guest.Broker.BoundPort}", _guest.Name(SYS_getsockname, socket));
        Assert.Equal(5, _guest.Send(socket, "hello"));
        byte[] buffer = new byte[10];
        Assert.Equal(5, server.Receive(buffer));
        Assert.Equal("-11", _guest.Receive(socket, flags: MSG_DONTWAIT));
        server.Send("answer"u8);
        Assert.Equal(POLLIN, _guest.Poll(socket, POLLIN, 5000));
        Assert.Equal("ans", _guest.ReceiveFrom(socket, out string? from, 3, MSG_PEEK));
        // A stream's bytes come without an address.
        Assert.Null(from);
        Assert.Equal(0, _guest.Call(SYS_ioctl, socket, FIONREAD, Data));
        Assert.Equal(6, _guest.Guest.Read<int>(Data));
        Assert.Equal("answer", _guest.Receive(socket));
        Assert.Equal(-EISCONN, _guest.Connect(socket, "192.0.2.1:80"));
        Assert.Equal(-EINVAL, _guest.Call(SYS_listen, socket, 1));
        Assert.Equal(0, _guest.Call(SYS_shutdown, socket, SHUT_WR));
        Assert.Equal(0, server.Receive(buffer));
        server.Dispose();
        Assert.Equal("", _guest.Receive(socket));
    }

    [Fact]
    public void A_read_waits_for_data_and_takes_all_where_it_is_asked_to()
    {
        (ulong socket, Socket server) = Connected();
        PendingCall read = _guest.Guest.CallAside(SYS_recvfrom, socket, Data, 6, MSG_WAITALL);
        Assert.True(read.IsWaiting(30));
        server.Send("abc"u8);
        Assert.True(read.IsWaiting(30));
        server.Send("def"u8);
        Assert.Equal(6, read.Result());
        Assert.Equal("abcdef"u8, _guest.Guest.Read(Data, 6));
        server.Dispose();
    }

    [Fact]
    public void A_read_gives_up_at_its_time_limit()
    {
        (ulong socket, Socket server) = Connected();
        _guest.Guest.WriteWords(Data, 0, 50_000);
        Assert.Equal(0, _guest.Call(SYS_setsockopt, socket, SOL_SOCKET, SO_RCVTIMEO, Data, 16));
        Assert.Equal("-11", _guest.Receive(socket));
        server.Dispose();
    }

    [Fact]
    public void A_write_to_a_closed_connection_is_a_broken_pipe()
    {
        (ulong socket, Socket server) = Connected();
        _guest.Guest.WriteWords(Data, SignalSet.Of(SIGPIPE));
        Assert.Equal(0, _guest.Call(SYS_rt_sigprocmask, 0, Data, 0, 8));
        server.LingerState = new LingerOption(true, 0);
        server.Dispose();
        Assert.NotEqual(0, _guest.Poll(socket, POLLIN, 5000) & POLLIN);
        Assert.Equal($"{-ECONNRESET}", _guest.Receive(socket));
        Assert.Equal(-EPIPE, _guest.Send(socket, "x", MSG_NOSIGNAL));
        Assert.False(IsPending(SIGPIPE));
        Assert.Equal(-EPIPE, _guest.Send(socket, "x"));
        Assert.True(IsPending(SIGPIPE));
    }

    private bool IsPending(int signal) => SignalSet.Contains(_guest.Guest.Thread.PendingSet, signal);

    private void Interrupt()
    {
        _guest.Guest.Thread.SetWork(ThreadWork.Signal);
        _guest.Guest.Thread.Parker.Unpark();
    }

    private void InterruptConnect(ulong socket)
    {
        PendingCall connect = _guest.ConnectAside(socket, "192.0.2.1:80");
        Assert.True(connect.IsWaiting(30));
        Interrupt();
        Assert.Equal(Restart.System, connect.Result());
        _guest.Guest.Thread.ClearWork(ThreadWork.Signal);
    }

    [Theory]
    [InlineData("192.0.2.1:80", EACCES, -EACCES)]
    [InlineData("192.0.2.1:80", ENETUNREACH, -ENETUNREACH)]
    [InlineData("127.0.0.1:80", EACCES, -ECONNREFUSED)]
    [InlineData("0.0.0.0:80", EACCES, -ECONNREFUSED)]
    public void What_the_supervisor_refuses(string endpoint, int verdict, long result)
    {
        _guest.Broker.Verdict = _ => verdict;
        foreach (int type in (int[])[SOCK_STREAM, SOCK_STREAM | SOCK_NONBLOCK, SOCK_DGRAM])
        {
            ulong socket = _guest.Socket(type);
            if (type == SOCK_DGRAM && result == -ECONNREFUSED)
            {
                // As Linux: that nobody is there, a datagram finds out.
                Assert.Equal(0, _guest.Connect(socket, endpoint));
                Assert.Equal(result, _guest.Send(socket, "x"));
                continue;
            }
            Assert.Equal(result, _guest.Connect(socket, endpoint));
            Assert.Equal($"{-ENOTCONN}", _guest.Name(SYS_getpeername, socket));
        }

        // To no address is to the guest's own, and is asked for as such.
        Assert.DoesNotContain(_guest.Broker.Asked, asked => asked.Contains("0.0.0.0"));
    }

    [Fact]
    public void A_connection_that_does_not_wait()
    {
        ulong socket = _guest.Socket(SOCK_STREAM | SOCK_NONBLOCK);
        Assert.Contains(_guest.Connect(socket, "192.0.2.1:80"), new long[] { 0, -EINPROGRESS });
        Assert.Equal(POLLOUT, _guest.Poll(socket, POLLOUT, 5000));
        Assert.Equal(0, _guest.Get(socket, SOL_SOCKET, SO_ERROR));
        Assert.Equal(-EISCONN, _guest.Connect(socket, "192.0.2.1:80"));
        Assert.Equal("-11", _guest.Receive(socket));
    }

    [Fact]
    public void A_connection_that_does_not_wait_and_fails()
    {
        _guest.Broker.Streams.Stop();
        ulong socket = _guest.Socket(SOCK_STREAM | SOCK_NONBLOCK);
        long begun = _guest.Connect(socket, "192.0.2.1:80");
        if (begun == -EINPROGRESS)
        {
            Assert.NotEqual(0, _guest.Poll(socket, POLLOUT, 5000) & (POLLOUT | POLLERR));
            begun = -_guest.Get(socket, SOL_SOCKET, SO_ERROR);
        }

        Assert.Equal(-ECONNREFUSED, begun);
        Assert.Equal(0, _guest.Get(socket, SOL_SOCKET, SO_ERROR));
        // The socket can be used again.
        _guest.Broker.Streams.Start();
        Assert.Contains(_guest.Connect(socket, "192.0.2.1:80"), new long[] { 0, -EINPROGRESS });
        Assert.Equal(POLLOUT, _guest.Poll(socket, POLLOUT, 5000));
    }

    [Fact]
    public void A_connection_to_nobody_is_refused()
    {
        _guest.Broker.Streams.Stop();
        Assert.Equal(-ECONNREFUSED, _guest.Connect(_guest.Socket(SOCK_STREAM), "192.0.2.1:80"));
    }

    /// <summary>A signal cuts the question short; when the call is repeated, the answer to the first is used.</summary>
    [Fact]
    public void An_interrupted_connect_is_continued()
    {
        _guest.Broker.MayAnswer.Reset();
        ulong socket = _guest.Socket(SOCK_STREAM);
        InterruptConnect(socket);
        _guest.Broker.MayAnswer.Set();
        Assert.Equal(0, _guest.Connect(socket, "192.0.2.1:80"));
        Assert.Single(_guest.Broker.Asked);
        // One that is never repeated leaves nothing behind.
        _guest.Broker.MayAnswer.Reset();
        ulong other = _guest.Socket(SOCK_STREAM);
        InterruptConnect(other);
        Assert.Equal(0, _guest.Call(SYS_close, other));
        _guest.Broker.MayAnswer.Set();
        // Answers come in order: after this one, the other has come too.
        Assert.Equal(0, _guest.Connect(_guest.Socket(SOCK_STREAM), "192.0.2.1:80"));
        Assert.Equal(2, _guest.Guest.Personality.Network!.HostSockets.Used);
    }

    /// <summary>The place of a socket is taken before it is asked for, and given back if nobody wants it.</summary>
    [Fact]
    public void An_interrupted_connect_counts()
    {
        Personality.Ipc.HostSocketBudget budget = _guest.Guest.Personality.Network!.HostSockets;
        _guest.Broker.MayAnswer.Reset();
        ulong socket = _guest.Socket(SOCK_STREAM);
        InterruptConnect(socket);
        _guest.Broker.MayAnswer.Set();
        Assert.Equal(1, budget.Used);
        _guest.Broker.Verdict = port => port == 81 ? EACCES : 0;
        // This takes the first one's socket back, and gets none itself.
        Assert.Equal(-EACCES, _guest.Connect(socket, "192.0.2.1:81"));
        Assert.Equal(0, budget.Used);
        while (budget.TryTake())
        {
        }
        Assert.Equal(-ENOBUFS, _guest.Connect(socket, "192.0.2.1:80"));
        Assert.Equal(2, _guest.Broker.Asked.Count);
    }

    [Fact]
    public void Without_a_supervisor_there_is_no_network()
    {
        ulong socket = _guest.Socket(SOCK_STREAM);
        _guest.Broker.MayAnswer.Reset();
        PendingCall connect = _guest.ConnectAside(socket, "192.0.2.1:80");
        Assert.True(connect.IsWaiting(30));
        _guest.Broker.Leave();
        Assert.Contains(connect.Result(), new long[] { 0, -ENETDOWN });
        Assert.Equal(-ENOBUFS, _guest.Connect(_guest.Socket(SOCK_STREAM), "192.0.2.1:80"));
    }

    [Fact]
    public void Bad_addresses()
    {
        ulong socket = _guest.Socket(SOCK_STREAM), six = _guest.Socket(SOCK_STREAM, AF_INET6);
        foreach (int call in (int[])[SYS_bind, SYS_connect])
        {
            (ulong pointer, ulong length) = _guest.Put("192.0.2.1:80");
            Assert.Equal(-EFAULT, _guest.Call(call, socket, Unmapped, length));
            Assert.Equal(-EINVAL, _guest.Call(call, socket, pointer, length - 1));
            Assert.Equal(-EINVAL, _guest.Call(call, socket, pointer, ulong.MaxValue));
            Assert.Equal(-EINVAL, _guest.Call(call, socket, pointer, 129));
            Assert.Equal(-EINVAL, _guest.Call(call, six, pointer, length));
            (pointer, length) = _guest.Put("[2001:db8::1]:80");
            Assert.Equal(-EAFNOSUPPORT, _guest.Call(call, socket, pointer, length));
        }

        Assert.Empty(_guest.Broker.Asked);
        Assert.Equal(-EADDRNOTAVAIL, _guest.Bind(socket, "192.0.2.1:0"));
        Assert.Equal(-EPIPE, _guest.Send(socket, "x", MSG_NOSIGNAL));
        Assert.Equal($"{-ENOTCONN}", _guest.Receive(socket));
        Assert.Equal(-ENOTCONN, _guest.Call(SYS_shutdown, socket, SHUT_RDWR));
        Assert.Equal(-EINVAL, _guest.Call(SYS_accept, socket));
        Assert.Equal(-EOPNOTSUPP, _guest.Call(SYS_listen, _guest.Socket(SOCK_DGRAM), 1));
    }

    [Fact]
    public void A_server_and_a_client_inside_ask_nobody()
    {
        ulong server = _guest.Socket(SOCK_STREAM), client = _guest.Socket(SOCK_STREAM);
        Assert.Equal(0, _guest.Bind(server, "127.0.0.1:0"));
        int port = _guest.Port(server);
        Assert.InRange(port, 32768, 60999);
        Assert.Equal(0, _guest.Call(SYS_listen, server, 5));
        Assert.Equal(1, _guest.Get(server, SOL_SOCKET, SO_ACCEPTCONN));
        Assert.Equal(0, _guest.Connect(client, $"127.0.0.1:{port}"));
        Assert.NotEqual(0, _guest.Poll(server, POLLIN));
        ulong accepted = (ulong)_guest.Call(SYS_accept, server);
        Assert.Equal($"127.0.0.1:{port}", _guest.Name(SYS_getpeername, client));
        Assert.Equal(_guest.Name(SYS_getsockname, client), _guest.Name(SYS_getpeername, accepted));
        Assert.Equal($"127.0.0.1:{port}", _guest.Name(SYS_getsockname, accepted));
        Assert.Equal(2, _guest.Send(client, "hi"));
        Assert.Equal("hi", _guest.Receive(accepted));
        Assert.Equal(0, _guest.Call(SYS_shutdown, client, SHUT_WR));
        Assert.Equal("", _guest.Receive(accepted));
        Assert.Empty(_guest.Broker.Asked);
    }

    [Theory]
    [InlineData("127.0.0.1:0")]
    [InlineData("0.0.0.0:8080")]
    public void Shutdown_ends_listening(string address)
    {
        ulong server = _guest.Socket(SOCK_STREAM), early = _guest.Socket(SOCK_STREAM);
        Assert.Equal(0, _guest.Bind(server, address));
        Assert.Equal(0, _guest.Call(SYS_listen, server, 5));
        string port = $"127.0.0.1:{_guest.Port(server)}";
        PendingCall accept = _guest.Guest.CallByAnother(SYS_accept, server);
        Assert.True(accept.IsWaiting(30));
        Assert.Equal(0, _guest.Call(SYS_shutdown, server, SHUT_WR));
        Assert.True(accept.IsWaiting(30));
        Assert.Equal(0, _guest.Call(SYS_shutdown, server, SHUT_RD));
        Assert.Equal(-EINVAL, accept.Result());
        Assert.Equal(0, _guest.Get(server, SOL_SOCKET, SO_ACCEPTCONN));
        Assert.Equal(0, _guest.Guest.Personality.Network!.HostSockets.Used);
        Assert.Equal(-ENOTCONN, _guest.Call(SYS_shutdown, server, SHUT_RD));

        Assert.Equal(0, _guest.Call(SYS_listen, server, 5));
        Assert.Equal(0, _guest.Connect(early, port));
        Assert.Equal(0, _guest.Call(SYS_shutdown, server, SHUT_RDWR));
        Assert.Equal($"{-ECONNRESET}", _guest.Receive(early));
        Assert.Equal(-EINVAL, _guest.Call(SYS_accept, server));
    }

    private long Disconnect(ulong socket)
    {
        // AF_UNSPEC
        _guest.Guest.Write(Data, 0L);
        return _guest.Call(SYS_connect, socket, Data, 16);
    }

    [Fact]
    public void A_connection_outside_is_dissolved()
    {
        (ulong socket, Socket server) = Connected();
        Assert.Equal(0, Disconnect(socket));
        Assert.Equal(0, Disconnect(socket));
        Assert.Equal($"{-ENOTCONN}", _guest.Name(SYS_getpeername, socket));
        Assert.Equal("0.0.0.0:0", _guest.Name(SYS_getsockname, socket));
        Assert.Equal(0, server.Receive(new byte[1]));
        Assert.Equal(0, _guest.Guest.Personality.Network!.HostSockets.Used);
        Assert.Equal(0, _guest.Connect(socket, "192.0.2.1:81"));
        server.Dispose();
    }

    [Fact]
    public void A_connection_inside_is_dissolved()
    {
        ulong server = _guest.Socket(SOCK_STREAM), client = _guest.Socket(SOCK_STREAM);
        Assert.Equal(0, _guest.Bind(server, "127.0.0.1:0"));
        Assert.Equal(0, _guest.Call(SYS_listen, server, 5));
        string port = $"127.0.0.1:{_guest.Port(server)}";
        for (int round = 0; round < 2; round++)
        {
            Assert.Equal(0, _guest.Connect(client, port));
            ulong accepted = (ulong)_guest.Call(SYS_accept, server);
            Assert.Equal(6, _guest.Send(accepted, "unread"));
            Assert.Equal(0, Disconnect(client));
            Assert.Equal($"{-ENOTCONN}", _guest.Receive(client));
            Assert.Equal($"{-ECONNRESET}", _guest.Receive(accepted));
            Assert.Equal("", _guest.Receive(accepted));
            Assert.Equal(-EPIPE, _guest.Send(accepted, "x", MSG_NOSIGNAL));
            Assert.Equal(0, _guest.Call(SYS_close, accepted));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Binding_and_connecting_at_the_same_time_leave_nothing_behind(bool bindFirst)
    {
        _guest.Broker.MayAnswer.Reset();
        ulong socket = _guest.Socket(SOCK_STREAM);
        (ulong pointer, ulong length) = _guest.Put(bindFirst ? "192.0.2.9:9000" : "192.0.2.1:80");
        PendingCall first = _guest.Guest.CallByAnother(bindFirst ? SYS_bind : SYS_connect, socket, pointer, length);
        Assert.True(first.IsWaiting(30));
        (pointer, length) = _guest.Put(bindFirst ? "192.0.2.1:80" : "192.0.2.9:9000");
        PendingCall second = _guest.Guest.CallAside(bindFirst ? SYS_connect : SYS_bind, socket, pointer, length);
        Assert.True(second.IsWaiting(30));
        _guest.Broker.MayAnswer.Set();
        Assert.Equal((0, 0), (first.Result(), second.Result()));
        Assert.Equal("192.0.2.1:80", _guest.Name(SYS_getpeername, socket));
        Assert.Equal(1, _guest.Guest.Personality.Network!.HostSockets.Used);
        Assert.Equal(0, _guest.Call(SYS_close, socket));
        Assert.Equal(0, _guest.Guest.Personality.Network.HostSockets.Used);
    }

    [Theory]
    [InlineData("0.0.0.0", "127.0.0.1", "127.0.0.1")]
    [InlineData("0.0.0.0", "127.9.9.9", "127.0.0.1")]
    [InlineData("[::]", "[::1]", "[::1]")]
    [InlineData("[::]", "127.0.0.1", "[::ffff:127.0.0.1]")]
    [InlineData("0.0.0.0", "0.0.0.0", "127.0.0.1")]
    public void What_listens_everywhere_is_found_inside(string bound, string reached, string local)
    {
        int family = bound.StartsWith('[') ? AF_INET6 : AF_INET;
        ulong server = _guest.Socket(SOCK_STREAM, family);
        Assert.Equal(0, _guest.Bind(server, $"{bound}:0"));
        Assert.Equal(0, _guest.Call(SYS_listen, server, 5));
        int port = _guest.Port(server);
        ulong client = _guest.Socket(SOCK_STREAM, reached.StartsWith('[') ? AF_INET6 : AF_INET);
        Assert.Equal(0, _guest.Connect(client, $"{reached}:{port}"));
        ulong accepted = (ulong)_guest.Call(SYS_accept, server);
        Assert.Equal($"{local}:{port}", _guest.Name(SYS_getsockname, accepted));
        Assert.Empty(_guest.Broker.Asked);
    }

    [Fact]
    public void An_address_belongs_to_one_socket()
    {
        ulong first = _guest.Socket(SOCK_STREAM), six = _guest.Socket(SOCK_STREAM, AF_INET6);
        _guest.Broker.Verdict = _ => EACCES;
        Assert.Equal(0, _guest.Bind(first, "127.0.0.1:5000"));
        Assert.Equal(-EINVAL, _guest.Bind(first, "127.0.0.1:5001"));
        Assert.Equal(-EADDRINUSE, _guest.Bind(_guest.Socket(SOCK_STREAM), "127.0.0.1:5000"));
        Assert.Equal(-EADDRINUSE, _guest.Bind(_guest.Socket(SOCK_STREAM), "0.0.0.0:5000"));
        Assert.Equal(-EADDRINUSE, _guest.Bind(six, "[::]:5000"));
        Assert.Equal(0, _guest.Bind(_guest.Socket(SOCK_STREAM), "127.0.0.2:5000"));
        Assert.Equal(0, _guest.Bind(_guest.Socket(SOCK_DGRAM), "127.0.0.1:5000"));
        Assert.Equal(0, _guest.Set(six, SOL_IPV6, IPV6_V6ONLY, 1));
        // Now it is another address, which the rules do not allow.
        Assert.Equal(-EACCES, _guest.Bind(six, "[::]:5000"));
        Assert.Equal(0, _guest.Call(SYS_close, first));
        Assert.Equal(0, _guest.Bind(_guest.Socket(SOCK_STREAM), "127.0.0.1:5000"));
    }

    [Fact]
    public void Listening_outside_takes_connections_from_both_sides()
    {
        ulong server = _guest.Socket(SOCK_STREAM);
        Assert.Equal(0, _guest.Bind(server, "0.0.0.0:8080"));
        Assert.Equal(["listen Tcp 0.0.0.0:8080"], _guest.Broker.Asked);
        Assert.Equal(0, _guest.Call(SYS_listen, server, 5));
        PendingCall accept = _guest.Guest.CallAside(SYS_accept, server);
        Assert.True(accept.IsWaiting(30));
        using TcpClient outside = new();
        outside.Connect(System.Net.IPAddress.Loopback, _guest.Broker.BoundPort);
        ulong accepted = (ulong)accept.Result();
        outside.Client.Send("outside"u8);
        Assert.Equal("outside", _guest.Receive(accepted));
        int port = ((System.Net.IPEndPoint)outside.Client.LocalEndPoint!).Port;
        Assert.Equal($"127.0.0.1:{port}", _guest.Name(SYS_getpeername, accepted));
        Assert.Equal("127.0.0.1:8080", _guest.Name(SYS_getsockname, accepted));

        ulong inside = _guest.Socket(SOCK_STREAM);
        Assert.Equal(0, _guest.Connect(inside, "127.0.0.1:8080"));
        accepted = (ulong)_guest.Call(SYS_accept, server);
        Assert.Equal(6, _guest.Send(inside, "inside"));
        Assert.Equal("inside", _guest.Receive(accepted));
        Assert.Single(_guest.Broker.Asked);
    }

    [Fact]
    public void A_denied_port_can_be_bound_afterwards_elsewhere()
    {
        _guest.Broker.Verdict = _ => EACCES;
        ulong socket = _guest.Socket(SOCK_STREAM);
        Assert.Equal(-EACCES, _guest.Bind(socket, "0.0.0.0:8080"));
        Assert.Equal("0.0.0.0:0", _guest.Name(SYS_getsockname, socket));
        Assert.Equal(0, _guest.Bind(socket, "127.0.0.1:8080"));
    }

    [Fact]
    public void Options_are_kept_shown_and_told_to_the_host()
    {
        ulong socket = _guest.Socket(SOCK_STREAM);
        Assert.Equal(0, _guest.Set(socket, SOL_TCP, TCP_NODELAY, 1));
        Assert.Equal(0, _guest.Set(socket, SOL_SOCKET, SO_KEEPALIVE, 1));
        Assert.Equal(0, _guest.Set(socket, SOL_SOCKET, SO_REUSEADDR, 1));
        Assert.Equal(0, _guest.Set(socket, SOL_SOCKET, SO_SNDBUF, 10_000));
        Assert.Equal(0, _guest.Connect(socket, "192.0.2.1:80"));
        Assert.Equal(1, _guest.Get(socket, SOL_TCP, TCP_NODELAY));
        Assert.Equal(1, _guest.Get(socket, SOL_SOCKET, SO_KEEPALIVE));
        Assert.Equal(1, _guest.Get(socket, SOL_SOCKET, SO_REUSEADDR));
        Assert.Equal(20_000, _guest.Get(socket, SOL_SOCKET, SO_SNDBUF));
        Assert.Equal(7200, _guest.Get(socket, SOL_TCP, TCP_KEEPIDLE));
        Assert.Equal(0, _guest.Set(socket, SOL_TCP, TCP_KEEPIDLE, 30));
        Assert.Equal(30, _guest.Get(socket, SOL_TCP, TCP_KEEPIDLE));
        Assert.Equal(-EINVAL, _guest.Set(socket, SOL_TCP, TCP_KEEPIDLE, -1));
        Assert.Equal(-EINVAL, _guest.Set(socket, SOL_TCP, TCP_KEEPCNT, 1000));
        Assert.Equal(-ENOPROTOOPT, _guest.Set(socket, SOL_TCP, 999, 1));
        Assert.Equal(-ENOPROTOOPT, _guest.Get(socket, SOL_TCP, 999));
        Assert.Equal(-ENOPROTOOPT, _guest.Set(socket, SOL_IPV6, IPV6_V6ONLY, 1));
        Assert.Equal(-ENOPROTOOPT, _guest.Get(socket, SOL_SOCKET, SO_PEERCRED));
        // Go sets it on each of its datagram sockets.
        Assert.Equal(0, _guest.Set(socket, SOL_SOCKET, SO_BROADCAST, 1));
        Assert.Equal(1, _guest.Get(socket, SOL_SOCKET, SO_BROADCAST));
        Assert.Equal(-ENOPROTOOPT, _guest.Get(_guest.Socket(SOCK_DGRAM), SOL_TCP, TCP_NODELAY));
        Assert.Equal(0, _guest.Set(_guest.Socket(SOCK_DGRAM), SOL_IP, IP_RECVERR, 1));
    }

    [Fact]
    public void Epoll_hears_of_what_comes_from_outside()
    {
        (ulong socket, Socket server) = Connected();
        ulong epoll = (ulong)_guest.Call(SYS_epoll_create1);
        _guest.Guest.Write(Data, EPOLLIN | EPOLLET);
        _guest.Guest.Write(Data + 4, 42UL);
        Assert.Equal(0, _guest.Call(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, socket, Data));
        Assert.Equal(0, _guest.Call(SYS_epoll_wait, epoll, Data + 0x100, 1, 0));
        for (int round = 0; round < 3; round++)
        {
            PendingCall wait = _guest.Guest.CallAside(SYS_epoll_wait, epoll, Data + 0x100, 1, 5000);
            Assert.True(wait.IsWaiting(20));
            server.Send("x"u8);
            Assert.Equal(1, wait.Result());
            Assert.Equal("x", _guest.Receive(socket));
            Assert.Equal("-11", _guest.Receive(socket, flags: MSG_DONTWAIT));
        }

        server.Dispose();
    }

    [Fact]
    public void What_is_closed_gives_everything_back()
    {
        long memory = _guest.Guest.Personality.KernelMemory.Used;
        for (int round = 0; round < 100; round++)
        {
            (ulong socket, Socket server) = Connected();
            server.Dispose();
            Assert.Equal(0, _guest.Call(SYS_close, socket));
        }

        Assert.Equal(memory, _guest.Guest.Personality.KernelMemory.Used);
        Assert.Equal(0, _guest.Guest.Personality.Network!.HostSockets.Used);
    }

    [Fact]
    public void A_guest_holds_only_so_many_sockets_of_the_host()
    {
        Sandbox.Vmm.Personality.Ipc.HostSocketBudget budget = new(2);
        Assert.True(budget.TryTake());
        Assert.True(budget.TryTake());
        Assert.False(budget.TryTake());
        budget.GiveBack();
        Assert.True(budget.TryTake());
    }
}
