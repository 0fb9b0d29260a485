using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Vmm;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The channel between supervisor and VMM, in both directions: packets of any length with any number of descriptors
/// through a real socket, and what either side makes of those that are messages.
/// </summary>
/// <remarks>
/// Input: who listens (1: the VMM at its start, the VMM later, or the supervisor), whether the guest has a terminal and
/// whether the VMM has been asked what it has counted (1: two bits), six bytes of nothing; then packets of length (1), descriptors (1), six bytes of nothing and 32 bytes; what is left
/// over is, for the first listener, the plan.
/// </remarks>
sealed unsafe class ChannelTarget : FuzzTarget
{
    private const int HeaderLength = 8;
    private const int PacketHeaderLength = 8;
    private const int PacketLength = PacketHeaderLength + ChannelMessage.Size;
    private const int MaximumPackets = 12;
    private const int MaximumDescriptors = 5;
    private const int MaximumSent = 64;

    private readonly HostLeaks _leaks = new();
    private readonly FileDescriptor _nothing = FileDescriptor.Open("/dev/null", O_RDWR);

    public ChannelTarget()
    {
        // What the first guest of a process opens for good is no leak.
        new ScriptedGuest(new ScriptedPlatform(static _ => null, null)).End(null);
    }

    public override string Name => "channel";

    public override string Summary => "messages between supervisor and VMM, both ways";

    public override int MaximumLength => 4096;

    public override int RecordLength => HeaderLength;

    public override long AllocationLimit => 16 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        .. Enum.GetValues<MessageKind>().Select(kind => Header(kind)),
        .. Enum.GetValues<EndCause>().Select(cause => BitConverter.GetBytes((uint)cause)),
        .. Enum.GetValues<MessageKind>().Select(kind => Packet(kind)),
    ];

    public override bool Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        int listener = reader.Byte() % 3;
        int options = reader.Byte();
        LaunchPlan plan = PlanWith(terminal: (options & 1) != 0);
        reader.Bytes(HeaderLength - 2);
        (FileDescriptor near, FileDescriptor far) = SeqpacketChannel.CreatePair();
        using SeqpacketChannel channel = new(near);
        using (far)
        {
            bool understood = listener switch
            {
                0 => StartVmm(channel, far, ref reader),
                1 => CommandVmm(channel, far, ref reader),
                _ => TellSupervisor(channel, far, ref reader, plan, isAsked: (options & 2) != 0),
            };
            _leaks.Check();
            return understood;
        }
    }

    /// <summary>The Start message, with the plan in the first descriptor.</summary>
    private bool StartVmm(SeqpacketChannel channel, FileDescriptor far, ref InputReader reader)
    {
        PacketOf packet = new(ref reader);
        ReadOnlySpan<byte> written = reader.Bytes(MaximumLength);
        using FileDescriptor file = FileDescriptor.CreateMemory("plan", 0);
        _ = file.Write(written);
        Send(far, packet, file);
        try
        {
            if (!new GuestSession(channel).ReceivePlan(
                out LaunchPlan plan, out _, out FileDescriptor[] descriptors))
                return false;
            OracleException.Check(packet.Descriptors == descriptors.Length + 1, "a plan with other descriptors");
            OracleException.Check(plan.Serialize().AsSpan().SequenceEqual(written), "another plan");
            foreach (FileDescriptor descriptor in descriptors)
                descriptor.Dispose();
            return true;
        }
        catch (Exception refusal) when (refusal is HostException or PlanException)
        {
            return false;
        }
    }

    private bool CommandVmm(SeqpacketChannel channel, FileDescriptor far, ref InputReader reader)
    {
        ScriptedGuest guest = new(new ScriptedPlatform(static _ => null, null));
        bool understood = false;
        for (int i = 0; i < MaximumPackets && !reader.IsAtEnd; i++)
        {
            if (!TryReceive(channel, far, new PacketOf(ref reader), out ChannelMessage message))
                break;
            if (!GuestSession.Obey(message, guest.Personality))
                break;
            understood = true;
        }
        guest.End(null);
        return understood;
    }

    private bool TellSupervisor(SeqpacketChannel channel, FileDescriptor far, ref InputReader reader, LaunchPlan plan, bool isAsked)
    {
        VmmDialogue dialogue = new(plan);
        using FileDescriptor record = GuestRecordFile.Create();
        CountQuestion question = new(record, static _ => true, static _ => 0);
        if (isAsked)
            question.Ask();
        DeviceRule rule = new(default, null, DeviceKind.Vsock, "/nowhere/guest.sock", Writable: false, BytesPerSecond: null);
        VsockServices services = new(rule);
        bool understood = false;
        for (int i = 0; i < MaximumPackets && !reader.IsAtEnd; i++)
        {
            if (!TryReceive(channel, far, new PacketOf(ref reader), out ChannelMessage message))
                break;
            understood = true;
            if (question.IsAnswer(message))
            {
                OracleException.Check(isAsked, "an answer to nothing, or a second one");
                isAsked = false;
                OracleException.Check(question.Take(message) == -EBADMSG, "a record that nobody wrote");
                continue;
            }
            if (VsockServices.IsRequest(message))
            {
                ChannelMessage answer = services.Answer(message, out FileDescriptor? socket);
                OracleException.Check(socket is null && answer.Detail32 == ENOENT, "a port where nothing is");
                OracleException.Check(answer.Value == message.Value, "an answer to something else");
                continue;
            }
            bool wasStarted = dialogue.GuestStarted;
            Outcome? outcome = dialogue.Hear(message, out bool stopped);
            OracleException.Check(!stopped || (wasStarted && plan.Streams.Terminal), "a guest stops that cannot");
            if (outcome is null)
                continue;
            CheckReport(plan, outcome);
            break;
        }
        return understood;
    }

    /// <summary>Whatever a VMM says, the caller gets a status and at most one line.</summary>
    private static void CheckReport(LaunchPlan plan, Outcome outcome)
    {
        (int status, string? line) = ExitReport.For(plan, outcome);
        OracleException.Check(status is >= 0 and <= 255, "an exit status that does not exist");
        bool isExit = outcome is Outcome.Ended { Cause: EndCause.Exited, Value: >= 0 and <= 255 };
        OracleException.Check(isExit == line is null, "a line too many, or none");
        OracleException.Check(line is null || (line.Length is > 0 and < 1000 && !line.Any(char.IsControl)),
            "not one line");
        OracleException.Check(outcome is not Outcome.VmmMisbehaved || status == ExitStatus.SandboxFailed,
            "a fallen VMM is not reported as failure");
    }

    /// <summary>Sends a packet, and checks that it arrives as what it is: a message, the end, or an error.</summary>
    private bool TryReceive(SeqpacketChannel channel, FileDescriptor far, PacketOf packet, out ChannelMessage message)
    {
        Send(far, packet, _nothing);
        message = default;
        bool isMessage = packet is { Length: ChannelMessage.Size, Descriptors: 0 };
        bool isEnd = packet is { Length: 0, Descriptors: 0 };
        try
        {
            bool received = channel.Receive(out message);
            OracleException.Check(received ? isMessage : isEnd, "a packet that is no message is taken for one");
            OracleException.Check(!received
                || MemoryMarshal.AsBytes(new ReadOnlySpan<ChannelMessage>(in message)).SequenceEqual(packet.Bytes),
                "another message arrives");
            return received;
        }
        catch (HostException refusal)
        {
            OracleException.Check(refusal.Errno == EBADMSG && !isMessage && !isEnd, "a message is refused");
            return false;
        }
    }

    private static void Send(FileDescriptor far, PacketOf packet, FileDescriptor descriptor)
    {
        ulong* control = stackalloc ulong[8];
        var header = (cmsghdr*)control;
        header->cmsg_len = CMSG_LEN((nuint)packet.Descriptors * sizeof(int));
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        for (int i = 0; i < packet.Descriptors; i++)
            ((int*)(header + 1))[i] = descriptor.Value;
        fixed (byte* data = packet.Sent)
        {
            iovec part = new() { iov_base = data, iov_len = (nuint)packet.Length };
            msghdr envelope = new()
            {
                msg_iov = &part,
                msg_iovlen = 1,
                msg_control = packet.Descriptors == 0 ? null : control,
                msg_controllen = packet.Descriptors == 0 ? 0 : CMSG_SPACE((nuint)packet.Descriptors * sizeof(int)),
            };
            OracleException.Check(sendmsg(far.Value, &envelope, MSG_NOSIGNAL) == packet.Length, "sending a packet");
        }
        GC.KeepAlive(descriptor);
    }

    private readonly struct PacketOf
    {
        public PacketOf(ref InputReader reader)
        {
            Length = reader.Byte() % (MaximumSent + 1);
            Descriptors = reader.Byte() % (MaximumDescriptors + 1);
            reader.Bytes(PacketHeaderLength - 2);
            Sent = new byte[MaximumSent];
            reader.Bytes(ChannelMessage.Size).CopyTo(Sent);
        }

        public int Length { get; }

        public int Descriptors { get; }

        public byte[] Sent { get; }

        public ReadOnlySpan<byte> Bytes => Sent.AsSpan(0, ChannelMessage.Size);
    }

    private static LaunchPlan PlanWith(bool terminal) => new()
    {
        Version = LaunchPlan.CurrentVersion,
        Arguments = ["pro\ngram"],
        Environment = ["PATH=/bin"],
        WorkingDirectory = "/",
        Hostname = "guest",
        User = new() { Name = "user", Uid = 1000, Gid = 1000, Home = "/home/user" },
        Limits = new()
        {
            MemoryBytes = 64 << 20, Cpus = 1, WallMilliseconds = 1000, CpuMilliseconds = 1000, Processes = 4,
                OutputBytes = 100,
            TmpBytes = 1 << 20, OpenFiles = 64,
        },
        Files = [],
        Streams = new() { Stdin = 0, Stdout = 0, Stderr = 0, Terminal = terminal, Result = -1, Trace = -1 },
        Handoff = false,
        StartedAtNanoseconds = 0,
    };

    private static byte[] Header(MessageKind kind) =>
        [.. BitConverter.GetBytes(ChannelMessage.CurrentVersion), .. BitConverter.GetBytes((uint)kind)];

    private static byte[] Packet(MessageKind kind, EndCause cause = EndCause.None, long value = 0, long detail = 0,
        byte length = ChannelMessage.Size,
        byte descriptors = 0) =>
        [
            length, descriptors, .. new byte[PacketHeaderLength - 2], .. Header(kind),
                .. BitConverter.GetBytes((uint)cause), .. new byte[4],
            .. BitConverter.GetBytes(value), .. BitConverter.GetBytes(detail),
        ];

    private static byte[] Options(byte listener, byte terminal) => [listener, terminal, .. new byte[HeaderLength - 2]];

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("start", [.. Options(0, 0), .. Packet(MessageKind.Start, value: 2, descriptors: 3),
            .. PlanWith(false).Serialize()]);
        yield return ("commands", [.. Options(1, 0), .. Packet(MessageKind.WindowSize, value: 24, detail: 80),
            .. Packet(MessageKind.Signal, value: SIGCONT),
            .. Packet(MessageKind.Signal, value: SIGTERM), .. Packet(MessageKind.Signal, value: SIGKILL)]);
        yield return ("balloon", [.. Options(1, 0), .. Packet(MessageKind.Signal, value: SIGCONT),
            .. Packet(MessageKind.Balloon, value: 64 << 20), .. Packet(MessageKind.Balloon, value: -1)]);
        yield return ("exit", [.. Options(2, 0), .. Packet(MessageKind.Started), .. Packet(MessageKind.Ended,
            EndCause.Exited, 3)]);
        yield return ("stop", [.. Options(2, 1), .. Packet(MessageKind.Started), .. Packet(MessageKind.Stopped),
            .. Packet(MessageKind.Ended, EndCause.Signaled, SIGKILL)]);
        yield return ("counted", [.. Options(2, 2), .. Packet(MessageKind.Started), .. Packet(MessageKind.Counted, value: 1),
            .. Packet(MessageKind.Ended, EndCause.Exited)]);
        yield return ("connect", [.. Options(2, 0), .. Packet(MessageKind.Started),
            .. Packet(MessageKind.Connect, (EndCause)0, value: 1), .. Packet(MessageKind.Connect, value: -1, descriptors: 1)]);
        yield return ("counted-twice", [.. Options(2, 2), .. Packet(MessageKind.Started),
            .. Packet(MessageKind.Counted, value: 1), .. Packet(MessageKind.Counted, value: 1)]);
        yield return ("failures", [.. Options(2, 0), .. Packet(MessageKind.Ended, EndCause.Failed, ENOMEM,
            (long)VmmFailure.HostMemory)]);
        yield return ("not-found", [.. Options(2, 0), .. Packet(MessageKind.Started), .. Packet(MessageKind.Ended,
            EndCause.NotFound, ENOENT)]);
        yield return ("framing", [.. Options(2, 0), .. Packet(MessageKind.Started), .. Packet(MessageKind.Started,
            length: 31, descriptors: 2)]);
    }
}
