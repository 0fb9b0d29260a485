using System.Net;
using System.Net.Sockets;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>
/// A supervisor that opens what it is told to: whatever address a guest asks for, a connection leads to this test's own
/// servers on the host's loopback.
/// </summary>
sealed unsafe class TestBroker : IDisposable
{
    private readonly SeqpacketChannel _channel;
    private readonly Thread _thread;
    private bool _hasLeft;

    public TestBroker()
    {
        (FileDescriptor mine, Vmm) = SeqpacketChannel.CreatePair();
        _channel = new SeqpacketChannel(mine);
        Streams.Start();
        _thread = new Thread(Serve) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>The VMM's end.</summary>
    public FileDescriptor Vmm { get; }

    public TcpListener Streams { get; } = new(IPAddress.Loopback, 0);

    public UdpClient Datagrams { get; } = new(new IPEndPoint(IPAddress.Loopback, 0));

    /// <summary>Every request so far, as "connect Tcp 192.0.2.1:80".</summary>
    public List<string> Asked { get; } = [];

    /// <summary>0, or the errno of the answer, by the request's port.</summary>
    public Func<ushort, int> Verdict { get; set; } = static _ => 0;

    /// <summary>What names lead to.</summary>
    public Func<string, (int Error, string[] Addresses)> Names { get; set; } = static _ => (ENOENT, []);

    /// <summary>Requests are answered only while this is set.</summary>
    public ManualResetEventSlim MayAnswer { get; } = new(initialState: true);

    private void Serve()
    {
        try
        {
            while (_channel.Receive(out NetworkRequest request))
            {
                string name = System.Text.Encoding.ASCII.GetString(((ReadOnlySpan<byte>)request.Name)[..(int)request.NameLength]);
                lock (Asked)
                    Asked.Add($"{((NetworkAction)request.Action).ToString().ToLowerInvariant()} "
                        + (request.NameLength > 0 ? name
                            : $"{(NetworkProtocol)request.Protocol} {new IPEndPoint(request.Endpoint.ToAddress(), request.Endpoint.Port)}"));
                LastFrom = request.From.Port;
                MayAnswer.Wait();
                Answer(request, name);
            }
        }
        catch (HostException)
        {
            // The guest has ended.
        }
    }

    private void Answer(in NetworkRequest request, string name)
    {
        NetworkAnswer answer = new() { Version = NetworkChannel.Version, Number = request.Number };
        FileDescriptor? socket = null;
        if ((NetworkAction)request.Action == NetworkAction.Resolve)
        {
            (answer.Error, string[] addresses) = Names(name);
            answer.AddressCount = (uint)addresses.Length;
            for (int i = 0; i < addresses.Length; i++)
                IPAddress.Parse(addresses[i]).MapToIPv6().TryWriteBytes(((Span<byte>)answer.Addresses)[(16 * i)..], out _);
        }
        else
        {
            answer.Error = Verdict(request.Endpoint.Port);
            if (answer.Error == 0)
                socket = Open((NetworkAction)request.Action, (NetworkProtocol)request.Protocol, out answer.Local);
        }
        using (socket)
            _channel.Send(answer, socket is null ? [] : [socket]);
    }

    /// <summary>A connection to the servers, or a bound socket on a port of the kernel's choice.</summary>
    private FileDescriptor Open(NetworkAction action, NetworkProtocol protocol, out NetworkEndpoint local)
    {
        int type = protocol == NetworkProtocol.Tcp ? SOCK_STREAM : SOCK_DGRAM;
        FileDescriptor file = new(socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        EndPoint server = protocol == NetworkProtocol.Tcp ? Streams.LocalEndpoint : Datagrams.Client.LocalEndPoint!;
        ushort port = action == NetworkAction.Connect ? (ushort)((IPEndPoint)server).Port : (ushort)0;
        sockaddr_in address = new()
        {
            sin_family = AF_INET, sin_addr = 0x0100007f, sin_port = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(port),
        };
        if (action == NetworkAction.Connect)
            _ = connect(file.Value, &address, (uint)sizeof(sockaddr_in));
        else if (bind(file.Value, &address, (uint)sizeof(sockaddr_in)) != 0 || (type == SOCK_STREAM && listen(file.Value, 5) != 0))
            throw HostException.Last("bind");
        uint length = (uint)sizeof(sockaddr_in);
        _ = getsockname(file.Value, &address, &length);
        BoundPort = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(address.sin_port);
        local = NetworkEndpoint.Of(IPAddress.Loopback, (ushort)BoundPort);
        return file;
    }

    /// <summary>The port that the last request wants to send from.</summary>
    public int LastFrom { get; private set; }

    /// <summary>The host's port of the socket opened last.</summary>
    public int BoundPort { get; private set; }

    /// <summary>The supervisor ends: its channel closes, what it was asked has no answer, and its servers live on.</summary>
    public void Leave()
    {
        if (_hasLeft)
            return;
        _hasLeft = true;
        MayAnswer.Set();
        // Wakes the thread, which the other end's closing does too.
        shutdown(_channel.Socket.Value, SHUT_RDWR);
        _thread.Join();
        _channel.Dispose();
    }

    public void Dispose()
    {
        Leave();
        Vmm.Dispose();
        Streams.Dispose();
        Datagrams.Dispose();
    }
}
