using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Network;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Requests of a VMM to the network broker: packets of any length through a real socket. What is no request ends the
/// VMM; a request is answered once; a socket comes back only for what the rules, said in other words, allow, and leads
/// where they allow.
/// </summary>
/// <remarks>
/// Input: packets of length (2), descriptors (1), five bytes of nothing, and a request. The rules allow a few ports of the
/// host's loopback, on which nobody listens but the broker's own sockets, and names that no resolver is asked for.
/// </remarks>
sealed unsafe class BrokerTarget : FuzzTarget
{
    private const int PacketHeaderLength = 8;
    private const int PacketLength = PacketHeaderLength + NetworkRequest.Size;
    private const int MaximumPackets = 8;
    private const ushort FirstPort = 47300, LastPort = 47303;

    private const string Policy = """
        version: 1
        extends: builtin:default.yaml
        network:
          - {allow: connect, to: 127.0.0.0/24, port: 47300-47303, because: fuzzing}
          - {allow: listen, to: 127.0.0.1, port: 47300-47303, because: fuzzing}
          - {deny: connect, to: 127.0.0.9, because: fuzzing}
          - {allow: resolve, to: [a.example, "*.b.example"], because: fuzzing}
          - {deny: resolve, to: c.b.example, because: fuzzing}
        """;

    private readonly HostLeaks _leaks = new();
    private readonly FileDescriptor _nothing = FileDescriptor.Open("/dev/null", O_RDWR);
    private readonly NetworkGrant _grant;

    public BrokerTarget()
    {
        Diagnostics diagnostics = new();
        PolicyModel policy = PolicyLoader.Load(new SourceText("fuzz.yaml", Policy), new PolicyOpener(), diagnostics)
            ?? throw new InvalidOperationException(diagnostics.List[0].Message);
        _grant = NetworkGrant.Prepare(policy, static _ => (-ENOENT, []))!;
        // The pool's threads stay: they are no leak.
        using CountdownEvent started = new(Environment.ProcessorCount);
        for (int i = 0; i < Environment.ProcessorCount; i++)
            ThreadPool.QueueUserWorkItem(_ => started.Signal());
        started.Wait();
    }

    public override string Name => "broker";

    public override string Summary => "requests of a VMM for sockets and names";

    public override int MaximumLength => MaximumPackets * PacketLength;

    public override int RecordLength => PacketLength;

    public override long AllocationLimit => 16 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        [0xff, 0xff, 127, 0, 0, 1], [0xff, 0xff, 127, 0, 0, 9], [0xff, 0xff, 0, 0, 0, 0], BitConverter.GetBytes(FirstPort),
        "a.example"u8.ToArray(), "x.b.example"u8.ToArray(), "c.b.example"u8.ToArray(),
    ];

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("connect", [.. Packet(NetworkAction.Connect, 0, "127.0.0.1", FirstPort), .. Packet(NetworkAction.Connect, 1, "127.0.0.9", FirstPort)]);
        yield return ("listen", [.. Packet(NetworkAction.Listen, 0, "127.0.0.1", FirstPort), .. Packet(NetworkAction.Listen, 1, "::", LastPort)]);
        yield return ("names", [.. Lookup("a.example"), .. Lookup("x.b.example"), .. Lookup("c.b.example")]);
        yield return ("to-nowhere", [.. Packet(NetworkAction.Connect, 0, "0.0.0.0", FirstPort), .. Packet(NetworkAction.Connect, 0, "169.254.169.254", 80)]);
        yield return ("framing", [.. Packet(NetworkAction.Connect, 0, "127.0.0.1", FirstPort), .. Packet(NetworkAction.Listen, 0, "127.0.0.1", 1, descriptors: 1)]);
    }

    private static byte[] Packet(NetworkAction action, uint protocol, string address, ushort port, byte descriptors = 0) =>
        Packet(new NetworkRequest
        {
            Version = NetworkChannel.Version, Number = port, Action = (uint)action, Protocol = protocol,
            Endpoint = NetworkEndpoint.Of(IPAddress.Parse(address), port),
        }, descriptors);

    private static byte[] Lookup(string name)
    {
        NetworkRequest request = new()
        {
            Version = NetworkChannel.Version, Action = (uint)NetworkAction.Resolve, NameLength = (uint)name.Length,
        };
        Encoding.ASCII.GetBytes(name, request.Name);
        return Packet(request, 0);
    }

    private static byte[] Packet(in NetworkRequest request, byte descriptors) =>
        [
            .. BitConverter.GetBytes((ushort)NetworkRequest.Size), descriptors, 0, 0, 0, 0, 0,
            .. MemoryMarshal.AsBytes(new ReadOnlySpan<NetworkRequest>(in request)),
        ];

    public override bool Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        (FileDescriptor near, FileDescriptor far) = SeqpacketChannel.CreatePair();
        bool understood = false;
        using (SeqpacketChannel vmm = new(far))
        using (NetworkBroker broker = new(_grant, new SeqpacketChannel(near)) { Resolver = static _ => (0, [IPAddress.Loopback]) })
        {
            for (int i = 0; i < MaximumPackets && !reader.IsAtEnd; i++)
            {
                int length = reader.Word() % (NetworkRequest.Size + 9);
                int descriptors = reader.Byte() % 3;
                reader.Bytes(PacketHeaderLength - 3);
                byte[] bytes = new byte[NetworkRequest.Size + 8];
                reader.Bytes(NetworkRequest.Size).CopyTo(bytes);
                bool isRequest = length == NetworkRequest.Size && descriptors == 0;
                Send(far, bytes.AsSpan(0, length), descriptors);
                bool goesOn = broker.Serve(out string? problem);
                OracleException.Check(goesOn == problem is null || length == 0, "an end without a reason");
                OracleException.Check(isRequest || !goesOn, "a packet that is no request is taken for one");
                if (!goesOn)
                    break;
                understood = true;
                CheckAnswer(vmm, MemoryMarshal.Read<NetworkRequest>(bytes));
            }
        }
        _leaks.Check();
        return understood;
    }

    private void Send(FileDescriptor socket, ReadOnlySpan<byte> bytes, int descriptors)
    {
        ulong* control = stackalloc ulong[8];
        var header = (cmsghdr*)control;
        header->cmsg_len = CMSG_LEN((nuint)descriptors * sizeof(int));
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        for (int i = 0; i < descriptors; i++)
            ((int*)(header + 1))[i] = _nothing.Value;
        fixed (byte* data = bytes)
        {
            byte none;
            iovec part = new() { iov_base = data == null ? &none : data, iov_len = (nuint)bytes.Length };
            msghdr envelope = new()
            {
                msg_iov = &part,
                msg_iovlen = 1,
                msg_control = descriptors == 0 ? null : control,
                msg_controllen = descriptors == 0 ? 0 : CMSG_SPACE((nuint)descriptors * sizeof(int)),
            };
            OracleException.Check(sendmsg(socket.Value, &envelope, MSG_NOSIGNAL) == bytes.Length, "sending a packet");
        }
    }

    private static void CheckAnswer(SeqpacketChannel vmm, in NetworkRequest request)
    {
        OracleException.Check(vmm.Receive(out NetworkAnswer answer, 1, out FileDescriptor[] sockets), "no answer");
        OracleException.Check(answer.Version == NetworkChannel.Version && answer.Number == request.Number, "another answer");
        OracleException.Check(answer.AddressCount <= NetworkChannel.MaximumAddresses, "too many addresses");
        bool allowed = IsAllowed(request);
        OracleException.Check(allowed || answer.Error == EACCES, "what no rule allows is not denied");
        OracleException.Check(allowed || sockets.Length == 0, "a socket for what no rule allows");
        OracleException.Check(answer.Error == 0 || (sockets.Length == 0 && answer.AddressCount == 0), "something with a failure");
        if (sockets.Length == 0)
            return;
        using FileDescriptor socket = sockets[0];
        OracleException.Check((fcntl(socket.Value, F_GETFL, 0) & O_NONBLOCK) != 0, "a socket that waits");
        OracleException.Check(answer.Local.ToAddress() is { AddressFamily: AddressFamily.InterNetwork } local
            && IPAddress.IsLoopback(local), "a socket of another place");
    }

    /// <summary>The rules in other words.</summary>
    private static bool IsAllowed(in NetworkRequest request)
    {
        if (request.Action == (uint)NetworkAction.Resolve)
        {
            string name = Encoding.ASCII.GetString(((ReadOnlySpan<byte>)request.Name)[..(int)request.NameLength]);
            return name == "a.example" || (name.EndsWith(".b.example", StringComparison.Ordinal) && name != "c.b.example");
        }
        ReadOnlySpan<byte> address = request.Endpoint.Address;
        ReadOnlySpan<byte> beginning = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
        bool four = address[..12].SequenceEqual(beginning);
        bool port = request.Endpoint.Port is >= FirstPort and <= LastPort;
        if (!four || !port)
            return false;
        if (request.Action == (uint)NetworkAction.Listen)
            return address[12..].SequenceEqual([(byte)127, (byte)0, (byte)0, (byte)1]);
        bool toOwn = address[12..].SequenceEqual([(byte)0, (byte)0, (byte)0, (byte)0]);
        return toOwn || (address[12] == 127 && address[13] == 0 && address[14] == 0 && address[15] != 9);
    }
}
