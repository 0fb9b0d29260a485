using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Network;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.Network;

/// <summary>The broker against a VMM that says what it likes. Real sockets, on the host's loopback.</summary>
public sealed unsafe class BrokerTests : IDisposable
{
    readonly TcpListener _server = new(IPAddress.Loopback, 0);
    readonly UdpClient _datagrams = new(new IPEndPoint(IPAddress.Loopback, 0));
    readonly SeqpacketChannel _vmm;
    readonly FileDescriptor _vmmSocket;
    readonly SeqpacketChannel _supervisor;
    readonly Decisions _decisions = new();
    readonly ManualResetEventSlim _resolverMayAnswer = new(initialState: true);
    NetworkBroker? _broker;

    public BrokerTests()
    {
        _server.Start();
        (FileDescriptor mine, _vmmSocket) = SeqpacketChannel.CreatePair();
        _supervisor = new SeqpacketChannel(mine);
        _vmm = new SeqpacketChannel(_vmmSocket);
    }

    public void Dispose()
    {
        _resolverMayAnswer.Set();
        _broker?.Dispose();
        _supervisor.Dispose();
        _vmm.Dispose();
        _server.Dispose();
        _datagrams.Dispose();
    }

    sealed class Decisions : INetworkDecisions
    {
        public List<(NetworkQuestion Question, Verdict Verdict)> List { get; } = [];

        public bool HasRoom { get; set; } = true;

        public bool CanRecord { get; set; } = true;

        public bool Decided(in NetworkQuestion question, Verdict verdict, long nanoseconds)
        {
            Assert.InRange(nanoseconds, 0, 10_000_000_000);
            List.Add((question, verdict));
            return CanRecord;
        }
    }

    ushort Port => (ushort)((IPEndPoint)_server.LocalEndpoint).Port;

    ushort DatagramPort => (ushort)((IPEndPoint)_datagrams.Client.LocalEndPoint!).Port;

    NetworkBroker Broker(string rules)
    {
        PolicyModel policy = Policies.Model($"network:\n{rules}\n");
        NetworkGrant grant = NetworkGrant.Prepare(policy, Resolve)!;
        return _broker = new NetworkBroker(grant, _supervisor, _decisions) { Resolver = Resolve };
    }

    (int, IPAddress[]) Resolve(string name)
    {
        _resolverMayAnswer.Wait();
        return name switch
        {
            "one.example" => (0, [IPAddress.Parse("192.0.2.1"), IPAddress.Parse("2001:db8::1")]),
            "pinned.example" => (0, [IPAddress.Parse("192.0.2.7"), IPAddress.Parse("10.0.0.1")]),
            _ => (-ENOENT, []),
        };
    }

    static NetworkRequest Request(
        NetworkAction action, NetworkProtocol protocol, string address, ushort port, ulong number = 1) => new()
    {
        Version = NetworkChannel.Version, Number = number, Action = (uint)action, Protocol = (uint)protocol,
        Endpoint = NetworkEndpoint.Of(IPAddress.Parse(address), port),
    };

    static NetworkRequest Name(ReadOnlySpan<byte> name, ulong number = 1)
    {
        NetworkRequest request = new()
        {
            Version = NetworkChannel.Version, Number = number, Action = (uint)NetworkAction.Resolve,
            NameLength = (uint)name.Length,
        };
        name.CopyTo(request.Name);
        return request;
    }

    /// <summary>The answer to a request that a sound VMM could have sent.</summary>
    NetworkAnswer Ask(NetworkBroker broker, in NetworkRequest request, out FileDescriptor? socket)
    {
        _vmm.Send(request);
        Assert.True(broker.Serve(out string? problem), problem);
        Assert.Null(problem);
        return Answer(request.Number, out socket);
    }

    NetworkAnswer Answer(ulong number, out FileDescriptor? socket)
    {
        Assert.True(_vmm.Receive(out NetworkAnswer answer, 1, out FileDescriptor[] sockets));
        Assert.Equal((NetworkChannel.Version, number), (answer.Version, answer.Number));
        socket = sockets.Length > 0 ? sockets[0] : null;
        Assert.Equal(answer.Error == 0 && answer.AddressCount == 0, socket is not null);
        return answer;
    }

    static string AddressesOf(in NetworkAnswer answer)
    {
        ReadOnlySpan<byte> bytes = answer.Addresses;
        var texts = new List<string>();
        for (int i = 0; i < answer.AddressCount; i++)
            texts.Add(new IPAddress(bytes.Slice(16 * i, 16)).ToString());
        return string.Join(' ', texts);
    }

    [Fact]
    public void AnAllowedConnectionIsOpened()
    {
        NetworkBroker broker = Broker($"- {{allow: connect, to: 127.0.0.1, protocol: tcp, port: {Port}}}");
        NetworkAnswer answer = Ask(
            broker, Request(NetworkAction.Connect, NetworkProtocol.Tcp, "127.0.0.1", Port), out FileDescriptor? socket);
        Assert.Equal(0, answer.Error);
        using (socket)
        using (Socket accepted = _server.AcceptSocket())
        {
            Assert.Equal(((IPEndPoint)accepted.RemoteEndPoint!).Port, answer.Local.Port);
            Assert.Equal(IPAddress.Loopback, answer.Local.ToAddress());
            Assert.NotEqual(0, fcntl(socket!.Value, F_GETFL, 0) & O_NONBLOCK);
            Assert.Equal(FD_CLOEXEC, fcntl(socket.Value, F_GETFD, 0));
            Assert.Equal(2, socket.Write("hi"u8));
            Assert.Equal(2, accepted.Receive(new byte[10]));
        }

        (NetworkQuestion question, Verdict verdict) = Assert.Single(_decisions.List);
        Assert.Equal(new NetworkQuestion(NetworkAction.Connect, NetworkProtocol.Tcp, IPAddress.Loopback, Port, null), question);
        Assert.Equal(new Verdict(true, 0), verdict);
    }

    /// <summary>A block is about the network outside; this host's addresses are behind its firewall from here.</summary>
    [Fact]
    public void AnAddressOfTheHostsOwnMustBeNamed()
    {
        IPAddress own = IPAddress.Parse("192.0.2.10");
        PolicyModel policy = Policies.Model("""
            network:
            - {allow: connect, to: [0.0.0.0/0, '::/0'], port: [80, 443, 81]}
            - {allow: connect, to: 192.0.2.10, protocol: tcp, port: 80}
            - {allow: connect, to: one.example, protocol: tcp, port: 81}

            """);
        NetworkGrant grant = NetworkGrant.Prepare(policy, _ => (0, [own]))!;
        _broker = new NetworkBroker(grant, _supervisor, _decisions) { IsOwn = own.Equals };
        int Error(NetworkProtocol protocol, string address, ushort port)
        {
            NetworkRequest request = Request(NetworkAction.Connect, protocol, address, port);
            int error = Ask(_broker, request, out FileDescriptor? socket).Error;
            socket?.Dispose();
            return error;
        }

        Assert.Equal(EACCES, Error(NetworkProtocol.Tcp, "192.0.2.10", 443));
        Assert.Equal(new Verdict(false, Verdict.NoRule), _decisions.List[^1].Verdict);
        Assert.Equal(EACCES, Error(NetworkProtocol.Tcp, "::ffff:192.0.2.10", 443));
        Assert.Equal(EACCES, Error(NetworkProtocol.Udp, "192.0.2.10", 80));
        // What the host's kernel says of this network is its business.
        Assert.NotEqual(EACCES, Error(NetworkProtocol.Tcp, "192.0.2.10", 80));
        Assert.NotEqual(EACCES, Error(NetworkProtocol.Tcp, "192.0.2.10", 81));
        Assert.NotEqual(EACCES, Error(NetworkProtocol.Tcp, "192.0.2.11", 443));
    }

    [Fact]
    public void TheHostsAddressesAreKnown()
    {
        Assert.True(HostSockets.IsOwn(IPAddress.Loopback));
        // Reached from 127.0.0.1.
        Assert.True(HostSockets.IsOwn(IPAddress.Parse("127.9.9.9")));
        Assert.False(HostSockets.IsOwn(IPAddress.Parse("192.0.2.1")));
        Assert.False(HostSockets.IsOwn(IPAddress.Parse("2001:db8::1")));
    }

    [Fact]
    public void WhatCannotBeRecordedDoesNotHappen()
    {
        _decisions.CanRecord = false;
        NetworkBroker broker = Broker(
            $"- {{allow: connect, to: 127.0.0.1, protocol: tcp, port: {Port}}}\n- {{allow: resolve, to: one.example}}");
        NetworkAnswer answer = Ask(broker, Request(NetworkAction.Connect, NetworkProtocol.Tcp, "127.0.0.1", Port), out FileDescriptor? socket);
        Assert.Equal(EAGAIN, answer.Error);
        Assert.Null(socket);
        Assert.False(_server.Pending());
        Assert.Equal(EAGAIN, Ask(broker, Name("one.example"u8, 2), out _).Error);
        Assert.Equal(EAGAIN, Ask(broker, Request(NetworkAction.Connect, NetworkProtocol.Tcp, "127.0.0.2", 1, 3), out _).Error);
        Assert.Equal([true, true, false], _decisions.List.Select(decision => decision.Verdict.Allowed));
    }

    [Fact]
    public void RequestsWaitWhileTheLogHasNoRoom()
    {
        NetworkBroker broker = Broker($"- {{allow: connect, to: 127.0.0.1, protocol: tcp, port: {Port}}}");
        Assert.Equal(0, broker.MillisecondsUntilReady);
        _decisions.HasRoom = false;
        Assert.NotEqual(0, broker.MillisecondsUntilReady);
    }

    [Theory]
    [InlineData(NetworkAction.Connect, NetworkProtocol.Tcp, "127.0.0.1", 1)]
    [InlineData(NetworkAction.Connect, NetworkProtocol.Tcp, "127.0.0.2", 80)]
    [InlineData(NetworkAction.Connect, NetworkProtocol.Udp, "127.0.0.1", 80)]
    [InlineData(NetworkAction.Connect, NetworkProtocol.Tcp, "::1", 80)]
    [InlineData(NetworkAction.Connect, NetworkProtocol.Tcp, "169.254.169.254", 80)]
    [InlineData(NetworkAction.Connect, NetworkProtocol.Tcp, "10.0.0.1", 80)]
    [InlineData(NetworkAction.Connect, NetworkProtocol.Tcp, "255.255.255.255", 80)]
    [InlineData(NetworkAction.Listen, NetworkProtocol.Tcp, "127.0.0.1", 80)]
    [InlineData(NetworkAction.Listen, NetworkProtocol.Udp, "0.0.0.0", 80)]
    public void WhatNoRuleAllowsIsDeniedAndOpensNothing(
        NetworkAction action, NetworkProtocol protocol, string address, ushort port)
    {
        NetworkBroker broker = Broker("""
            - {allow: connect, to: 127.0.0.1, protocol: tcp, port: 80}
            - {allow: connect, to: 0.0.0.0/0, protocol: tcp}
            - {deny: connect, to: 127.0.0.1, port: 1}
            """);
        NetworkAnswer answer = Ask(broker, Request(action, protocol, address, port), out FileDescriptor? socket);
        Assert.Equal(EACCES, answer.Error);
        Assert.Null(socket);
        Assert.False(Assert.Single(_decisions.List).Verdict.Allowed);
    }

    /// <summary>The kernel would connect to its own loopback: the rules are asked about that.</summary>
    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("::ffff:0.0.0.0")]
    public void NoAddressIsTheHostsLoopback(string address)
    {
        NetworkBroker broker = Broker("- {allow: connect, to: 0.0.0.0/8}");
        Assert.Equal(EACCES, Ask(
            broker, Request(NetworkAction.Connect, NetworkProtocol.Tcp, address, Port), out _).Error);
        Assert.Equal(IPAddress.Loopback, _decisions.List[0].Question.Address);
    }

    [Fact]
    public void ARefusedConnectionIsTold()
    {
        ushort port = Port;
        _server.Stop();
        NetworkBroker broker = Broker($"- {{allow: connect, to: 127.0.0.1, port: {port}}}");
        NetworkAnswer answer = Ask(
            broker, Request(NetworkAction.Connect, NetworkProtocol.Tcp, "127.0.0.1", port), out FileDescriptor? socket);
        using (socket)
        {
            // On loopback the refusal is there at once or with the socket.
            int error = answer.Error != 0 ? answer.Error : ErrorOf(socket!);
            Assert.Equal(ECONNREFUSED, error);
        }
    }

    static int ErrorOf(FileDescriptor socket)
    {
        int error = 0;
        uint length = sizeof(int);
        Assert.Equal(0, getsockopt(socket.Value, SOL_SOCKET, SO_ERROR, &error, &length));
        return error;
    }

    [Fact]
    public void DatagramsLeaveFromAPortOnlyWhereTheGuestMayListenOnIt()
    {
        const ushort from = 47123;
        NetworkBroker broker = Broker($"""
            - {"{"}allow: connect, to: 127.0.0.1, protocol: udp, port: {DatagramPort}{"}"}
            - {"{"}allow: listen, to: 127.0.0.1, protocol: udp, port: {from}{"}"}
            """);
        NetworkRequest request = Request(NetworkAction.Connect, NetworkProtocol.Udp, "127.0.0.1", DatagramPort);
        Assert.Equal(0, Ask(broker, request, out FileDescriptor? any).Error);
        any!.Dispose();
        NetworkRequest listen = Request(NetworkAction.Listen, NetworkProtocol.Udp, "127.0.0.1", from);
        Assert.Equal(0, Ask(broker, listen, out FileDescriptor? listening).Error);
        request.From = NetworkEndpoint.Of(IPAddress.Loopback, from);
        Assert.Equal(0, Ask(broker, request, out FileDescriptor? socket).Error);
        using (listening)
        using (socket)
        {
            // The port is one's own: nobody listens on it a second time.
            Assert.Equal(EADDRINUSE, Ask(broker, listen, out _).Error);
            Assert.Equal(1, socket!.Write("x"u8));
            IPEndPoint? sender = null;
            _datagrams.Receive(ref sender);
            Assert.Equal(from, sender!.Port);
        }

        request.From = NetworkEndpoint.Of(IPAddress.Loopback, from + 1);
        Assert.Equal(EACCES, Ask(broker, request, out _).Error);
        request.From = NetworkEndpoint.Of(IPAddress.Parse("127.0.0.2"), from);
        Assert.Equal(EACCES, Ask(broker, request, out _).Error);
    }

    [Fact]
    public void AGuestListensWhereItMay()
    {
        const ushort port = 47124;
        NetworkBroker broker = Broker($"- {{allow: listen, to: [127.0.0.1, '::'], port: {port}}}");
        NetworkAnswer answer = Ask(
            broker, Request(NetworkAction.Listen, NetworkProtocol.Tcp, "127.0.0.1", port), out FileDescriptor? socket);
        Assert.Equal(0, answer.Error);
        using (socket)
        {
            using var client = new TcpClient();
            client.Connect(IPAddress.Loopback, port);
            Assert.Equal(EADDRINUSE, Ask(
                broker, Request(NetworkAction.Listen, NetworkProtocol.Tcp, "127.0.0.1", port), out _).Error);
        }

        // A port that the kernel would choose is none that a rule was asked about.
        NetworkBroker all = broker;
        Assert.Equal(EACCES, Ask(all, Request(NetworkAction.Listen, NetworkProtocol.Tcp, "127.0.0.1", 0), out _).Error);
        Assert.False(_decisions.List[^1].Verdict.Allowed);
    }

    /// <summary>Listening on :: is listening on 0.0.0.0 too, unless the rules do not allow that.</summary>
    [Theory]
    [InlineData("'::'", 1)]
    [InlineData("['::', 0.0.0.0]", 0)]
    public void BothFamiliesAreListenedOnOnlyWhereBothAreAllowed(string to, int sixOnly)
    {
        const ushort port = 47125;
        Assert.SkipUnless(Socket.OSSupportsIPv6, "the host has no IPv6");
        NetworkBroker broker = Broker($"- {{allow: listen, to: {to}, port: {port}}}");
        Assert.Equal(0, Ask(
            broker, Request(NetworkAction.Listen, NetworkProtocol.Tcp, "::", port), out FileDescriptor? socket).Error);
        using (socket)
        {
            int value = -1;
            uint length = sizeof(int);
            Assert.Equal(0, getsockopt(socket!.Value, SOL_IPV6, IPV6_V6ONLY, &value, &length));
            Assert.Equal(sixOnly, value);
        }
    }

    [Fact]
    public void NamesAreLookedUpWhereTheyMayBeAskedFor()
    {
        NetworkBroker broker = Broker("""
            - {allow: resolve, to: [one.example, pinned.example, "*.sub.example"]}
            - {deny: resolve, to: bad.sub.example}
            - {allow: connect, to: pinned.example}
            """);
        NetworkAnswer answer = Ask(broker, Name("one.example"u8), out _);
        Assert.Equal("::ffff:192.0.2.1 2001:db8::1", AddressesOf(answer));
        Assert.Equal(ENOENT, Ask(broker, Name("none.sub.example"u8, 2), out _).Error);
        Assert.Equal(EACCES, Ask(broker, Name("bad.sub.example"u8, 3), out _).Error);
        Assert.Equal(EACCES, Ask(broker, Name("other.example"u8, 4), out _).Error);
        Assert.Equal(EACCES, Ask(broker, Name("xone.example"u8, 5), out _).Error);
        // A host that a rule names has the addresses that the rule was applied to, whatever it has now.
        _resolverMayAnswer.Reset();
        Assert.Equal("::ffff:192.0.2.7", AddressesOf(Ask(broker, Name("pinned.example"u8, 6), out _)));
    }

    [Fact]
    public void SlowLookupsHoldUpNothingElse()
    {
        NetworkBroker broker = Broker(
            $"- {{allow: resolve, to: one.example}}\n- {{allow: connect, to: 127.0.0.1, port: {Port}}}");
        _resolverMayAnswer.Reset();
        for (ulong number = 1; number <= NetworkChannel.MaximumLookups; number++)
        {
            _vmm.Send(Name("one.example"u8, number));
            Assert.True(broker.Serve(out _));
        }

        Assert.Equal(0, Ask(
            broker, Request(NetworkAction.Connect, NetworkProtocol.Tcp, "127.0.0.1", Port, 99), out FileDescriptor? socket).Error);
        socket!.Dispose();
        _resolverMayAnswer.Set();
        var answered = new HashSet<ulong>();
        for (int i = 0; i < NetworkChannel.MaximumLookups; i++)
        {
            Assert.True(_vmm.Receive(out NetworkAnswer answer, 1, out _));
            Assert.True(answered.Add(answer.Number));
        }
    }

    [Fact]
    public void OneLookupTooManyIsMisbehaviour()
    {
        NetworkBroker broker = Broker("- {allow: resolve, to: one.example}");
        _resolverMayAnswer.Reset();
        for (ulong number = 1; number <= NetworkChannel.MaximumLookups; number++)
        {
            _vmm.Send(Name("one.example"u8, number));
            Assert.True(broker.Serve(out _));
        }

        _vmm.Send(Name("one.example"u8, 1000));
        Assert.False(broker.Serve(out string? problem));
        Assert.Contains("too many names", problem);
    }

    [Fact]
    public void ANumberInUseIsMisbehaviour()
    {
        NetworkBroker broker = Broker("- {allow: resolve, to: one.example}");
        _resolverMayAnswer.Reset();
        _vmm.Send(Name("one.example"u8, 7));
        Assert.True(broker.Serve(out _));
        _vmm.Send(Name("one.example"u8, 7));
        Assert.False(broker.Serve(out string? problem));
        Assert.Contains("under one number", problem);
    }

    public static TheoryData<string, byte[]> Hostile
    {
        get
        {
            var data = new TheoryData<string, byte[]>();
            void Add(string reason, NetworkRequest request) =>
                data.Add(reason, MemoryMarshal.AsBytes(new ReadOnlySpan<NetworkRequest>(in request)).ToArray());
            NetworkRequest good = Request(NetworkAction.Connect, NetworkProtocol.Tcp, "127.0.0.1", 80);
            Add("version 2", good with { Version = 2 });
            Add("unknown kind", good with { Action = 3 });
            Add("unknown kind", good with { Action = uint.MaxValue });
            Add("unknown kind", good with { Protocol = 2 });
            Add("unknown flags", good with { Flags = (NetworkRequestFlags)4 });
            Add("more in it", good with { NameLength = 1 });
            Add("more in it", good with { Endpoint = good.Endpoint with { Reserved = 1 } });
            Add("more in it", good with { From = new NetworkEndpoint { Reserved = 1 } });
            Add("impossible length", Name("x"u8) with { NameLength = 0 });
            Add("impossible length", Name("x"u8) with { NameLength = 254 });
            Add("impossible length", Name("x"u8) with { NameLength = uint.MaxValue });
            foreach (string name in (string[])["A.example", "a..b", ".a", "a.", "-a.b", "a b", "a\0", "ä", "1.2.3.4", "127.1", "a.0x7f", new string('a', 64)])
                Add("no name", Name(System.Text.Encoding.Latin1.GetBytes(name)));
            data.Add("broke the network channel's rules", [1, 0, 0, 0]);
            data.Add("broke the network channel's rules", new byte[NetworkRequest.Size + 1]);
            data.Add("broke the network channel's rules", new byte[NetworkRequest.Size - 1]);
            return data;
        }
    }

    [Theory, MemberData(nameof(Hostile))]
    public void WhatNoSoundVmmSendsEndsIt(string reason, byte[] message)
    {
        NetworkBroker broker = Broker("- {allow: connect, to: 127.0.0.1}\n- {allow: resolve, to: '*.example'}");
        fixed (byte* bytes = message)
            Assert.Equal(message.Length, send(_vmmSocket.Value, bytes, (nuint)message.Length, MSG_NOSIGNAL));
        Assert.False(broker.Serve(out string? problem));
        Assert.Contains(reason, problem);
        Assert.Empty(_decisions.List);
    }

    [Fact]
    public void ADescriptorInARequestIsClosedAndEndsTheVmm()
    {
        NetworkBroker broker = Broker("- {allow: connect, to: 127.0.0.1}");
        _vmm.Send(Request(NetworkAction.Connect, NetworkProtocol.Tcp, "127.0.0.1", Port), _vmmSocket);
        Assert.False(broker.Serve(out string? problem));
        Assert.Contains("more than 0 descriptors", problem);
    }

    [Fact]
    public void AClosedChannelIsTheEndOfIt()
    {
        NetworkBroker broker = Broker("- {allow: connect, to: 127.0.0.1}");
        _vmm.Dispose();
        Assert.False(broker.Serve(out string? problem));
        Assert.Null(problem);
    }

    /// <summary>A VMM that asks and never reads must not hold the supervisor up.</summary>
    [Fact]
    public void AnswersThatNobodyReadsAreMisbehaviour()
    {
        NetworkBroker broker = Broker("- {allow: connect, to: 127.0.0.1, port: 1}");
        string? problem = null;
        for (int i = 0; i < 10_000 && problem is null; i++)
        {
            _vmm.Send(Request(NetworkAction.Connect, NetworkProtocol.Tcp, "10.0.0.1", 80));
            broker.Serve(out problem);
        }

        Assert.Contains("does not read", problem);
    }

    [Fact]
    public void TooManyRequestsASecondWait()
    {
        NetworkBroker broker = Broker("- {allow: connect, to: 127.0.0.1, port: 1}");
        int served = 0;
        while (broker.MillisecondsUntilReady == 0 && served++ < 100 * NetworkChannel.RequestsPerSecond)
            Assert.Equal(EACCES, Ask(
                broker, Request(NetworkAction.Connect, NetworkProtocol.Tcp, "10.0.0.1", 80), out _).Error);
        Assert.InRange(served, NetworkChannel.RequestsPerSecond, 99 * NetworkChannel.RequestsPerSecond);
    }

    [Fact]
    public void TheRateIsWhatItSays()
    {
        const long second = 1_000_000_000;
        var rate = new RequestRate(10);
        TakeTen(5 * second);
        Assert.Equal(100, rate.MillisecondsUntilRoom(5 * second));
        Assert.Equal(1, rate.MillisecondsUntilRoom(5 * second + second / 10 - 1));
        Assert.Equal(0, rate.MillisecondsUntilRoom(5 * second + second / 10));
        rate.Take(5 * second + second / 10);
        Assert.Equal(100, rate.MillisecondsUntilRoom(5 * second + second / 10));
        TakeTen(100 * second);
        Assert.Equal(100, rate.MillisecondsUntilRoom(100 * second));
        // One that is served without room has to be paid for, too.
        rate.Take(100 * second);
        Assert.Equal(200, rate.MillisecondsUntilRoom(100 * second));

        void TakeTen(long now)
        {
            for (int i = 0; i < 10; i++)
            {
                Assert.Equal(0, rate.MillisecondsUntilRoom(now));
                rate.Take(now);
            }
        }
    }
}
