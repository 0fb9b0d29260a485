using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Boot;
using Sandbox.Vmm.Devices.Balloon;
using Sandbox.Vmm.Devices.Block;
using Sandbox.Vmm.Devices.Console;
using Sandbox.Vmm.Devices.Net;
using Sandbox.Vmm.Devices.Power;
using Sandbox.Vmm.Devices.Rng;
using Sandbox.Vmm.Devices.Serial;
using Sandbox.Vmm.Devices.Vsock;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Machine;

/// <summary>A machine guest as its plan says: its devices, its kernel, its streams, and how it ended.</summary>
sealed class MachineSession
{
    /// <summary>The guest's address; its socket device is its own.</summary>
    private const ulong GuestCid = 3;

    /// <summary>What a vCPU still does at the end is over in microseconds, unless the host is in trouble.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(100);

    private readonly LaunchPlan _plan;
    private readonly FileDescriptor[] _descriptors;
    private readonly SerialPort _serial;
    private readonly ConsoleTail? _tail;
    private readonly IMachineStreams _streams;
    private readonly AgentStreams? _agent;
    private readonly AgentConnection? _connection;
    private readonly VsockDevice? _vsock;
    private readonly BalloonDevice? _balloon;
    private readonly ConsoleDevice? _console;
    private readonly long _startedAt = HostClock.MonotonicNanoseconds();
    private readonly List<MmioTransport> _devices = [];
    private GuestEnd? _endedBy;
    private GuestEnd? _said;
    private int _gaveUpBy;
    private string? _lost;

    /// <param name="machine">Without devices; stays the caller's.</param>
    /// <param name="descriptors">The plan's; they stay the caller's.</param>
    /// <param name="rings">As <see cref="DiskRings"/> made them.</param>
    /// <param name="tellSupervisor">Must not wait: false when it cannot be told now.</param>
    /// <exception cref="HostException">The host has no descriptors left.</exception>
    public MachineSession(
        LaunchPlan plan, VirtualMachine machine, FileDescriptor[] descriptors, IReadOnlyList<BlockRing>[] rings,
        Func<ChannelMessage, bool> tellSupervisor)
    {
        _plan = plan;
        Machine = machine;
        _descriptors = descriptors;
        OutputQueue output = new();
        _tail = Plan.Agent || Plan.VirtioConsole ? new ConsoleTail() : null;
        _serial = AddPort(MachineLayout.SerialPort, MachineLayout.SerialInterrupt, _tail is null ? output : _tail);
        machine.Ports.Add(MachineLayout.PowerPort, PowerRegisters.Length, new PowerRegisters(machine.Ram, machine.Finish));
        foreach ((GuestDisk disk, IReadOnlyList<BlockRing> diskRings) in Plan.Disks.Zip(rings))
            AddDevice(new BlockDevice(machine.Ram, new BlockOptions
            {
                File = descriptors[disk.Descriptor],
                IsReadOnly = !disk.Writable,
                Queues = MachineLayout.DiskQueues(machine.Vcpus.Count),
                Rings = diskRings,
                Limit = Limit(disk.BytesPerSecond, disk.OperationsPerSecond),
            }));
        foreach (GuestTap tap in Plan.Taps)
            AddDevice(GuestInterface.Create(machine.Ram, tap,
                [.. tap.Descriptors.Select(queue => descriptors[queue])], Limit(tap.BytesPerSecond, tap.OperationsPerSecond)));
        if (Plan.Random is GuestRandom random)
            AddDevice(new RngDevice(machine.Ram, Limit(random.BytesPerSecond, 0)));
        if (Plan.Balloon)
            AddDevice(_balloon = new BalloonDevice(machine.Ram, deflatesOnOom: true));
        if (Plan.Agent || Plan.Vsock >= 0)
        {
            _connection = Plan.Agent ? new AgentConnection() : null;
            GuestConnections connections = new(_connection, Plan.Vsock < 0 ? null : (port, number) => tellSupervisor(
                new ChannelMessage { Kind = MessageKind.Connect, Detail32 = port, Value = (long)number }));
            AddDevice(_vsock = new VsockDevice(machine.Ram, GuestCid, connections, Stream(Plan.Vsock)));
        }

        FileDescriptor? input = Stream(plan.Streams.Stdin), stdout = Stream(plan.Streams.Stdout);
        if (Plan.Agent)
        {
            _agent = new AgentStreams(_connection!.Socket, input, stdout, Stream(plan.Streams.Stderr),
                plan.Limits.OutputBytes, end => Say(end.Cause, end.Value, end.Detail));
            _streams = _agent;
        }
        else if (Plan.VirtioConsole)
        {
            PortStreams port = new(
                machine.Ram, input, stdout, plan.Limits.OutputBytes, () => Say(EndCause.OutputLimit));
            AddDevice(_console = port.Device);
            if (plan.Streams.Terminal)
                _console.Resize(plan.Streams.Columns, plan.Streams.Rows);
            _streams = port;
        }
        else
        {
            _streams = new ConsoleStreams(
                _serial, output, input, stdout, plan.Limits.OutputBytes, () => Say(EndCause.OutputLimit));
        }
    }

    private static RateLimit Limit(ulong bytesPerSecond, ulong operationsPerSecond) =>
        new((long)Math.Min(bytesPerSecond, long.MaxValue), (long)Math.Min(operationsPerSecond, long.MaxValue));

    /// <summary>Puts a device into the next of the layout's places.</summary>
    private void AddDevice(VirtioDevice device)
    {
        int number = _devices.Count;
        ulong address = MachineLayout.VirtioAddress(number);
        MmioTransport transport = new(device, Machine.CreateLine(MachineLayout.VirtioInterrupt + (uint)number));
        Machine.Registers.Add(address, MmioTransport.Length, transport);
        Machine.Show(device.Registers, address);
        for (int queue = 0; queue < transport.QueueCount; queue++)
            Machine.SignalOnWrite(transport.NotifyFile(queue), address + VirtioAbi.VIRTIO_MMIO_QUEUE_NOTIFY, (uint)queue);
        _devices.Add(transport);
    }

    private SerialPort AddPort(ushort first, uint interrupt, ISerialOutput output)
    {
        SerialPort port = new(Machine.CreateLine(interrupt), output);
        Machine.Ports.Add(first, SerialPort.Length, port);
        return port;
    }

    public VirtualMachine Machine { get; }

    /// <summary>In the order of their places.</summary>
    public IEnumerable<VirtioDevice> Devices => _devices.Select(transport => transport.Device);

    /// <summary>Bytes that went to the caller.</summary>
    public long OutputBytes => _streams.OutputBytes;

    /// <summary>Bytes that the guest sent although the serial port had no room for them.</summary>
    public long LostBytes => _serial.Lost;

    /// <summary>Null for none.</summary>
    public BalloonDevice? Balloon => _balloon;

    public long WallNanoseconds => HostClock.MonotonicNanoseconds() - _startedAt;

    private GuestMachine Plan => _plan.Machine!;

    /// <summary>Puts the kernel into the guest's RAM and points the first vCPU at it.</summary>
    /// <exception cref="HostException">The host refused.</exception>
    public BootProblem Load()
    {
        BootOrder order = new(new HostBootFile(_descriptors[Plan.Kernel]),
            Plan.Initrd < 0 ? null : new HostBootFile(_descriptors[Plan.Initrd]), Plan.CommandLine, Machine.Vcpus.Count,
            _devices.Count);
        BootProblem problem = BootLoader.Load(order, Machine.Ram, Machine.RamBytes, out LoadedKernel? kernel);
        if (problem == BootProblem.None)
            BootLoader.Enter(kernel!, Machine);
        return problem;
    }

    public void Start()
    {
        _streams.Start();
        foreach (MmioTransport device in _devices)
            device.Start();
        Machine.Start();
    }

    /// <summary>Waits for the guest's end or its limit of time, and for what it wrote to arrive.</summary>
    public GuestEnd WaitForEnd()
    {
        long limit = _plan.Limits.WallMilliseconds;
        bool isLimited = limit is not (0 or > int.MaxValue);
        long until = isLimited ? Milliseconds() + limit : long.MaxValue;
        MachineEnd end = Machine.WaitForEnd(isLimited ? (int)limit : -1);
        if (end == MachineEnd.None)
        {
            Finish(EndCause.WallTimeLimit);
            end = Machine.WaitForEnd();
        }
        Machine.WaitForVcpus(s_patience);
        _connection?.Close();
        _vsock?.EndGuest();
        bool isWhole = _streams.Finish(until == long.MaxValue ? -1 : Math.Max(until - Milliseconds(), 0));
        if (!isWhole)
            _lost = "the rest of the guest's output is lost: nobody took it";
        lock (_streams)
            return new MachineReason(end, _endedBy, _said)
            {
                LacksProgram = _agent is { HasStarted: false },
                Failure = Machine.FailureDetail,
                IsWhole = isWhole,
                GaveUpBy = Volatile.Read(ref _gaveUpBy),
            }.Reason;
    }

    /// <summary>For the operator. He may not listen, and whoever says it waits for him.</summary>
    public void SayLastWords(EndCause cause)
    {
        if (cause is EndCause.KernelPanic or EndCause.TripleFault or EndCause.Failed)
            foreach (string line in _tail?.Lines() ?? [])
                StandardError.Say($"the guest's kernel: {line}");
        if (_lost is not null)
            StandardError.Say(_lost);
    }

    private static long Milliseconds() => HostClock.MonotonicNanoseconds() / 1_000_000;

    /// <param name="sent">What came along: taken, or the caller's to close.</param>
    /// <returns>False for what no supervisor says.</returns>
    public bool Obey(in ChannelMessage message, ref FileDescriptor? sent)
    {
        if (message.Version != ChannelMessage.CurrentVersion)
            return false;
        switch (message.Kind)
        {
            case MessageKind.Signal:
                Signal((int)Math.Clamp(message.Value, 1, SIGRTMAX));
                return true;
            case MessageKind.WindowSize:
                _agent?.Resize((ushort)message.Value, (ushort)message.Detail);
                _console?.Resize((ushort)message.Detail, (ushort)message.Value);
                return true;
            case MessageKind.Connected when _vsock is not null && (sent is null) == (message.Detail32 != 0):
                _vsock.Answer((ulong)message.Value, sent);
                sent = null;
                return true;
            case MessageKind.Balloon when _balloon is not null && message.Value >= 0:
                _balloon.SetTarget((ulong)message.Value);
                return true;
            default:
                return false;
        }
    }

    /// <summary>For the program, or else for the guest; behind its end, for whoever waits for its output.</summary>
    private void Signal(int signal)
    {
        if (!Machine.HasEnded)
        {
            if (_agent?.TrySignal(signal) != true)
                Finish(EndCause.Signaled, signal);
        }
        else if (signal is SIGHUP or SIGINT or SIGQUIT or SIGTERM)
        {
            Volatile.Write(ref _gaveUpBy, signal);
            _streams.GiveUp();
        }
    }

    /// <summary>The guest's streams have an end that is behind what they carried.</summary>
    private void Say(EndCause cause, long value = 0, long detail = 0)
    {
        lock (_streams)
            _said ??= new GuestEnd(cause, value, detail, "");
        Finish(cause, value, detail);
    }

    /// <summary>Ends the guest for a reason of its program's, or of the host's. The first counts.</summary>
    private void Finish(EndCause cause, long value = 0, long detail = 0)
    {
        lock (_streams)
            _endedBy ??= new GuestEnd(cause, value, detail, "");
        Machine.Finish(MachineEnd.Stopped);
    }

    private FileDescriptor? Stream(int index) => index < 0 ? null : _descriptors[index];
}
