using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.SystemCalls;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

public sealed class SocketCallsTests : IDisposable
{
    private const ulong Data = DirectGuest.Data, Unmapped = DirectGuest.Unmapped;

    private const ulong Header = Data + 0x1000, Vector = Data + 0x1100, Control = Data + 0x1200, Bytes = Data + 0x2000;

    private readonly DirectGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private long Call(int number, ulong a0 = 0, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0, ulong a4 = 0, ulong a5 = 0) =>
        _guest.Call(number, a0, a1, a2, a3, a4, a5);

    private ulong Socket(int type) => (ulong)Call(SYS_socket, AF_UNIX, (ulong)type, 0);

    private int Address(ulong at, string name)
    {
        byte[] bytes = [1, 0, .. Encoding.Latin1.GetBytes(name.Replace('@', '\0'))];
        _guest.Write(at, bytes);
        return bytes.Length;
    }

    private long Bind(ulong socket, string name) => Call(SYS_bind, socket, Data, (ulong)Address(Data, name));

    private long Connect(ulong socket, string name) => Call(SYS_connect, socket, Data, (ulong)Address(Data, name));

    /// <summary>A struct msghdr with one vector of <paramref name="length"/> bytes at <see cref="Bytes"/>.</summary>
    private void Message(ulong length, ulong controlLength)
    {
        _guest.WriteWords(Vector, Bytes, length);
        _guest.WriteWords(Header, 0, 0, Vector, 1, Control, controlLength, 0);
    }

    [Theory]
    [InlineData(AF_INET, SOCK_STREAM, 0, -EAFNOSUPPORT)]
    [InlineData(AF_INET6, SOCK_DGRAM, 0, -EAFNOSUPPORT)]
    [InlineData(AF_NETLINK, SOCK_RAW, 0, -EAFNOSUPPORT)]
    [InlineData(9999, SOCK_STREAM, 0, -EAFNOSUPPORT)]
    [InlineData(AF_UNIX, 0, 0, -EINVAL)]
    [InlineData(AF_UNIX, SOCK_RDM, 0, -ESOCKTNOSUPPORT)]
    [InlineData(AF_UNIX, SOCK_STREAM, 5, -EPROTONOSUPPORT)]
    [InlineData(AF_UNIX, SOCK_STREAM | 0x100, 0, -EINVAL)]
    public void There_are_unix_sockets_only(int family, int type, int protocol, long result) =>
        Assert.Equal(result, Call(SYS_socket, (ulong)family, (ulong)type, (ulong)protocol));

    [Theory]
    [InlineData("@name", SOCK_STREAM)]
    [InlineData("/tmp/socket", SOCK_STREAM)]
    [InlineData("/tmp/socket", SOCK_SEQPACKET)]
    public void A_server_and_a_client(string name, int type)
    {
        ulong server = Socket(type), client = Socket(type | SOCK_CLOEXEC);
        Assert.Equal(-EINVAL, Call(SYS_listen, server, 5));
        Assert.Equal(0, Bind(server, name));
        Assert.Equal(-EINVAL, Bind(server, "@other"));
        Assert.Equal(-EADDRINUSE, Bind(client, name));
        Assert.Equal(-ECONNREFUSED, Connect(client, name));
        Assert.Equal(0, Call(SYS_listen, server, 5));
        PendingCall accept = _guest.CallAside(SYS_accept4, server, Data + 0x800, Data + 0x900, SOCK_CLOEXEC);
        _guest.Write(Data + 0x900, 110);
        Assert.True(accept.IsWaiting(30));
        Assert.Equal(0, Connect(client, name));
        ulong connection = (ulong)accept.Result();
        Assert.Equal(2, _guest.Read<int>(Data + 0x900));
        Assert.Equal(FD_CLOEXEC, Call(SYS_fcntl, connection, F_GETFD));

        _guest.Write(Data, "hello"u8);
        Assert.Equal(5, Call(SYS_write, client, Data, 5));
        Assert.Equal(5, Call(SYS_read, connection, Data + 0x100, 100));
        Assert.Equal("hello"u8, _guest.Read(Data + 0x100, 5));
        _guest.Write(Data, 110);
        Assert.Equal(0, Call(SYS_getpeername, client, Data + 0x100, Data));
        Assert.Equal(2 + name.Length + (name[0] == '/' ? 1 : 0), _guest.Read<int>(Data));
        Assert.Equal(0, Call(SYS_shutdown, client, SHUT_WR));
        Assert.Equal(0, Call(SYS_read, connection, Data, 100));
        Assert.Equal(-EINVAL, Call(SYS_shutdown, client, 3));
    }

    [Fact]
    public void A_path_without_a_socket()
    {
        ulong client = Socket(SOCK_STREAM), server = Socket(SOCK_STREAM);
        Assert.Equal(-ENOENT, Connect(client, "/tmp/none"));
        Assert.Equal(-ECONNREFUSED, Connect(client, "/tmp"));
        Assert.Equal(-ECONNREFUSED, Connect(client, "@none"));
        Assert.Equal(0, Bind(server, "/tmp/s"));
        Assert.Equal(0, Call(SYS_listen, server, 1));
        Assert.Equal(0, Call(SYS_close, server));
        // The name stays and leads nowhere.
        Assert.Equal(-ECONNREFUSED, Connect(client, "/tmp/s"));
        Assert.Equal(-EADDRINUSE, Bind(client, "/tmp/s"));
        Assert.Equal(-EINVAL, Call(SYS_connect, client, Data, 1));
        Assert.Equal(-EFAULT, Call(SYS_connect, client, Unmapped, 10));
        (ulong reader, _) = _guest.Pipe();
        Assert.Equal(-ENOTSOCK, Connect(reader, "@x"));
        Assert.Equal(-EBADF, Connect(99, "@x"));
    }

    [Fact]
    public void Datagrams_with_addresses()
    {
        ulong server = Socket(SOCK_DGRAM), client = Socket(SOCK_DGRAM);
        Assert.Equal(0, Bind(server, "@server"));
        Assert.Equal(0, Call(SYS_bind, client, Data, (ulong)Address(Data, "")));
        Assert.Equal(-ENOTCONN, Call(SYS_sendto, client, Data, 1, 0, 0, 0));
        int length = Address(Data, "@server");
        _guest.Write(Bytes, "hello"u8);
        Assert.Equal(5, Call(SYS_sendto, client, Bytes, 5, 0, Data, (ulong)length));
        _guest.Write(Data, 110);
        Assert.Equal(5, Call(SYS_recvfrom, server, Bytes, 3, MSG_TRUNC, Data + 0x100, Data));
        // Autobind: a zero byte and five digits.
        Assert.Equal(8, _guest.Read<int>(Data));
        Assert.Equal(-EAGAIN, Call(SYS_recvfrom, server, Bytes, 3, MSG_DONTWAIT, 0, 0));
        Assert.Equal(0, Connect(client, "@server"));
        Assert.Equal(0, Call(SYS_write, client, Bytes, 0));
        Assert.Equal(0, Call(SYS_read, server, Bytes, 100));
    }

    [Fact]
    public void Descriptors_and_credentials_travel()
    {
        (ulong a, ulong b) = _guest.SocketPair(SOCK_STREAM);
        (ulong reader, ulong writer) = _guest.Pipe();
        _guest.Write(Data, 1);
        Assert.Equal(0, Call(SYS_setsockopt, b, SOL_SOCKET, SO_PASSCRED, Data, 4));
        Message(3, 20);
        _guest.Write(Bytes, "abc"u8);
        _guest.WriteWords(Control, 20, SOL_SOCKET | (ulong)SCM_RIGHTS << 32, writer);
        Assert.Equal(3, Call(SYS_sendmsg, a, Header, 0));
        Assert.Equal(0, Call(SYS_close, writer));

        Message(100, 64);
        Assert.Equal(3, Call(SYS_recvmsg, b, Header, MSG_CMSG_CLOEXEC));
        Assert.Equal(56UL, _guest.Read<ulong>(Header + 40));
        Assert.Equal(28UL, _guest.Read<ulong>(Control));
        Assert.Equal(SCM_CREDENTIALS, _guest.Read<int>(Control + 12));
        Assert.Equal(2, _guest.Read<int>(Control + 16));
        Assert.Equal(SCM_RIGHTS, _guest.Read<int>(Control + 32 + 12));
        ulong received = _guest.Read<uint>(Control + 32 + 16);
        Assert.Equal(FD_CLOEXEC, Call(SYS_fcntl, received, F_GETFD));
        Assert.Equal(3, Call(SYS_write, received, Bytes, 3));
        Assert.Equal(3, Call(SYS_read, reader, Data, 10));
        Assert.Equal(0, _guest.Personality.Sockets.InFlight.Count);
    }

    [Fact]
    public void Descriptors_without_room_are_closed_and_the_loss_is_shown()
    {
        (ulong a, ulong b) = _guest.SocketPair(SOCK_STREAM);
        (ulong reader, ulong writer) = _guest.Pipe();
        Message(1, 20);
        _guest.WriteWords(Control, 20, SOL_SOCKET | (ulong)SCM_RIGHTS << 32, writer);
        Assert.Equal(1, Call(SYS_sendmsg, a, Header, 0));
        Assert.Equal(0, Call(SYS_close, writer));
        Message(100, 16);
        Assert.Equal(1, Call(SYS_recvmsg, b, Header, 0));
        Assert.Equal(MSG_CTRUNC, _guest.Read<int>(Header + 48));
        Assert.Equal(0UL, _guest.Read<ulong>(Header + 40));
        Assert.Equal(0, Call(SYS_read, reader, Data, 10));
    }

    [Fact]
    public void Control_messages_are_checked()
    {
        (ulong a, _) = _guest.SocketPair(SOCK_STREAM);
        Message(1, 20);
        foreach ((ulong[] words, long result) in new (ulong[], long)[]
        {
            ([20, SOL_SOCKET | (ulong)SCM_RIGHTS << 32, 99], -EBADF),
            ([21, SOL_SOCKET | (ulong)SCM_RIGHTS << 32, 0], -EINVAL),
            ([15, SOL_SOCKET | (ulong)SCM_RIGHTS << 32, 0], -EINVAL),
            ([ulong.MaxValue, SOL_SOCKET | (ulong)SCM_RIGHTS << 32, 0], -EINVAL),
            ([20, SOL_SOCKET | 77UL << 32, 0], -EINVAL),
            ([20, SOL_SOCKET | (ulong)SCM_CREDENTIALS << 32, 0], -EINVAL),
        })
        {
            _guest.WriteWords(Control, words);
            Assert.Equal(result, Call(SYS_sendmsg, a, Header, 0));
        }
        Message(1, 28);
        _guest.WriteWords(Control, 28, SOL_SOCKET | (ulong)SCM_CREDENTIALS << 32, 1, 0);
        Assert.Equal(-EPERM, Call(SYS_sendmsg, a, Header, 0));
        Message(1, 1 << 20);
        Assert.Equal(-ENOBUFS, Call(SYS_sendmsg, a, Header, 0));
        Assert.Equal(-EFAULT, Call(SYS_sendmsg, a, Unmapped, 0));
        Assert.Equal(0, _guest.Personality.Sockets.InFlight.Count);
    }

    [Fact]
    public void Reading_flags()
    {
        (ulong a, ulong b) = _guest.SocketPair(SOCK_STREAM);
        Assert.Equal(-EAGAIN, Call(SYS_recvfrom, b, Bytes, 10, MSG_DONTWAIT, 0, 0));
        Assert.Equal(4, Call(SYS_sendto, a, Bytes, 4, 0, 0, 0));
        Assert.Equal(4, Call(SYS_recvfrom, b, Bytes, 10, MSG_PEEK, 0, 0));
        PendingCall all = _guest.CallAside(SYS_recvfrom, b, Bytes, 10, MSG_WAITALL, 0, 0);
        Assert.True(all.IsWaiting(50));
        _guest.WriteAside(a, new byte[6]);
        Assert.Equal(10, all.Result());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_call_with_a_timeout_is_not_made_again_after_a_signal(bool hasTimeout)
    {
        (ulong a, ulong b) = _guest.SocketPair(SOCK_STREAM);
        (ulong c, _) = _guest.SocketPair(SOCK_SEQPACKET);
        ulong server = Socket(SOCK_STREAM), client = Socket(SOCK_STREAM), late = Socket(SOCK_STREAM);
        Assert.Equal(0, Bind(server, "@name"));
        Assert.Equal(0, Call(SYS_listen, server, 0));
        while (Call(SYS_sendto, a, Bytes, 4096, MSG_DONTWAIT) > 0)
        {
        }
        (_, ulong writer) = _guest.Pipe();
        foreach (ulong socket in hasTimeout ? (ulong[])[a, b, c, server, late] : [])
        {
            _guest.WriteWords(Data, 1000, 0);
            Assert.Equal(0, Call(SYS_setsockopt, socket, SOL_SOCKET, SO_RCVTIMEO, Data, 16));
            Assert.Equal(0, Call(SYS_setsockopt, socket, SOL_SOCKET, SO_SNDTIMEO, Data, 16));
        }
        _guest.Thread.SetWork(Personality.ThreadWork.Signal);
        long interrupted = hasTimeout ? -EINTR : Restart.System;
        Message(10, 0);
        Assert.Equal(interrupted, Call(SYS_recvfrom, a, Bytes, 10));
        Assert.Equal(interrupted, Call(SYS_recvmsg, c, Header));
        Assert.Equal(interrupted, Call(SYS_read, a, Bytes, 10));
        Assert.Equal(interrupted, Call(SYS_sendto, a, Bytes, 10));
        Assert.Equal(interrupted, Call(SYS_write, a, Bytes, 10));
        Assert.Equal(interrupted, Call(SYS_splice, a, 0, writer, 0, 10));
        Assert.Equal(interrupted, Call(SYS_accept4, server));
        long connected;
        do
            connected = Connect(client, "@name");
        while (connected == 0 && (client = Socket(SOCK_STREAM)) > 0);
        Assert.Equal(Restart.System, connected);
        Assert.Equal(interrupted, Connect(late, "@name"));
    }

    [Fact]
    public void A_receive_of_all_has_one_timeout_for_its_pieces()
    {
        const int sent = 30;
        (ulong a, ulong b) = _guest.SocketPair(SOCK_STREAM);
        _guest.WriteWords(Data, 0, 300_000);
        Assert.Equal(0, Call(SYS_setsockopt, b, SOL_SOCKET, SO_RCVTIMEO, Data, 16));
        Assert.Equal(1, Call(SYS_write, a, Bytes, 1));
        PendingCall all = _guest.CallAside(SYS_recvfrom, b, Bytes, 1000, MSG_WAITALL, 0, 0);
        for (int i = 0; i < sent && all.IsWaiting(50); i++)
            _guest.WriteAside(a, [1]);
        // With a timeout for each it would have had them all.
        Assert.InRange(all.Result(), 1, sent);
    }

    [Theory]
    [InlineData(SOCK_DGRAM)]
    [InlineData(SOCK_STREAM)]
    public void A_read_of_nothing_is_nothing_but_a_receive_is_one(int type)
    {
        (ulong a, ulong b) = _guest.SocketPair(type);
        Assert.Equal(0, _guest.CallAside(SYS_read, b, Bytes, 0).Result());
        Assert.Equal(0, _guest.CallAside(SYS_readv, b, Vector, 0).Result());
        Assert.Equal(-EAGAIN, Call(SYS_recvfrom, b, Bytes, 0, MSG_DONTWAIT));
        Assert.Equal(5, Call(SYS_write, a, Bytes, 5));
        Assert.Equal(0, Call(SYS_read, b, Bytes, 0));
        Assert.Equal(0, Call(SYS_recvfrom, b, Bytes, 0, MSG_DONTWAIT));
        Assert.Equal(type == SOCK_DGRAM ? -EAGAIN : 5, Call(SYS_recvfrom, b, Bytes, 100, MSG_DONTWAIT));
    }

    [Fact]
    public void A_packet_goes_to_the_peer_whatever_its_address()
    {
        (ulong a, ulong b) = _guest.SocketPair(SOCK_SEQPACKET);
        ulong length = (ulong)Address(Data, "@nobody");
        Assert.Equal(3, Call(SYS_sendto, a, Bytes, 3, 0, Data, length));
        Assert.Equal(3, Call(SYS_read, b, Bytes, 100));
        Assert.Equal(-ENOTCONN, Call(SYS_sendto, Socket(SOCK_SEQPACKET), Bytes, 3, 0, Data, length));
        (a, _) = _guest.SocketPair(SOCK_STREAM);
        length = (ulong)Address(Data, "@nobody");
        Assert.Equal(-EISCONN, Call(SYS_sendto, a, Bytes, 3, 0, Data, length));
    }

    [Fact]
    public void A_broken_connection_raises_SIGPIPE_unless_asked_not_to()
    {
        (ulong a, ulong b) = _guest.SocketPair(SOCK_STREAM);
        _guest.WriteWords(Data + 0x800, SignalSet.Of(SIGPIPE));
        Assert.Equal(0, Call(SYS_rt_sigprocmask, 0, Data + 0x800, 0, 8));
        Assert.Equal(0, Call(SYS_close, b));
        Assert.Equal(-EPIPE, Call(SYS_sendto, a, Bytes, 1, MSG_NOSIGNAL, 0, 0));
        Assert.Equal(0UL, _guest.Thread.PendingSet);
        Assert.Equal(-EPIPE, Call(SYS_write, a, Bytes, 1));
        Assert.Equal(SignalSet.Of(SIGPIPE), _guest.Thread.PendingSet);
    }

    [Fact]
    public void Many_messages_in_one_call()
    {
        (ulong a, ulong b) = _guest.SocketPair(SOCK_DGRAM);
        for (ulong i = 0; i < 3; i++)
        {
            _guest.WriteWords(Vector + i * 16, Bytes + i, 1 + i);
            _guest.WriteWords(Header + i * 64 - 0x800, 0, 0, Vector + i * 16, 1, 0, 0, 0, 0);
        }
        Assert.Equal(3, Call(SYS_sendmmsg, a, Header - 0x800, 3, 0));
        Assert.Equal(3u, _guest.Read<uint>(Header - 0x800 + 128 + 56));
        Assert.Equal(3, Call(SYS_recvmmsg, b, Header - 0x800, 10, MSG_DONTWAIT, 0));
        Assert.Equal(2u, _guest.Read<uint>(Header - 0x800 + 64 + 56));
    }

    [Fact]
    public void Options()
    {
        (ulong a, _) = _guest.SocketPair(SOCK_SEQPACKET);
        Assert.Equal(SOCK_SEQPACKET, Option(SO_TYPE));
        Assert.Equal(AF_UNIX, Option(SO_DOMAIN));
        Assert.Equal(0, Option(SO_ERROR));
        Assert.Equal(0, Option(SO_ACCEPTCONN));
        Assert.Equal(212992, Option(SO_SNDBUF));
        Assert.Equal(2, Option(SO_PEERCRED));
        _guest.Write(Data, 10_000);
        Assert.Equal(0, Call(SYS_setsockopt, a, SOL_SOCKET, SO_SNDBUF, Data, 4));
        Assert.Equal(20_000, Option(SO_SNDBUF));
        Assert.Equal(0, Call(SYS_setsockopt, a, SOL_SOCKET, SO_REUSEADDR, Data, 4));
        Assert.Equal(1, Option(SO_REUSEADDR));
        Assert.Equal(-EINVAL, Call(SYS_setsockopt, a, SOL_SOCKET, SO_SNDBUF, Data, 3));
        Assert.Equal(-EFAULT, Call(SYS_setsockopt, a, SOL_SOCKET, SO_SNDBUF, Unmapped, 4));
        Assert.Equal(-ENOPROTOOPT, Call(SYS_setsockopt, a, SOL_SOCKET, 9999, Data, 4));
        Assert.Equal(-EOPNOTSUPP, Call(SYS_setsockopt, a, IPPROTO_TCP, 1, Data, 4));
        _guest.WriteWords(Data, 0, 50_000);
        Assert.Equal(0, Call(SYS_setsockopt, a, SOL_SOCKET, SO_RCVTIMEO, Data, 16));
        long before = HostClock.MonotonicNanoseconds();
        Assert.Equal(-EAGAIN, Call(SYS_read, a, Data, 1));
        Assert.InRange(HostClock.MonotonicNanoseconds() - before, 50_000_000, 10_000_000_000);

        int Option(int option)
        {
            _guest.Write(Data, 16);
            Assert.Equal(0, Call(SYS_getsockopt, a, SOL_SOCKET, (ulong)option, Data + 16, Data));
            return _guest.Read<int>(Data + 16);
        }
    }
}
