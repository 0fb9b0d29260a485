using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Boot;
using Sandbox.Vmm.Devices.Power;
using Sandbox.Vmm.Devices.Serial;
using Sandbox.Vmm.Personality;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Machine;

/// <summary>A machine guest as its plan says: its devices, its kernel, its streams, and how it ended.</summary>
sealed class MachineSession : IDisposable
{
    private readonly LaunchPlan _plan;
    private readonly FileDescriptor[] _descriptors;
    private readonly OutputQueue _output = new();
    private readonly SerialPort _serial;
    private readonly ConsoleStreams _streams;
    private readonly long _startedAt = HostClock.MonotonicNanoseconds();
    private int _endedBy;

    /// <param name="machine">Without devices; stays the caller's.</param>
    /// <param name="descriptors">The plan's; they stay the caller's.</param>
    /// <exception cref="HostException">The host has no descriptors left.</exception>
    public MachineSession(LaunchPlan plan, VirtualMachine machine, FileDescriptor[] descriptors)
    {
        _plan = plan;
        Machine = machine;
        _descriptors = descriptors;
        _serial = new SerialPort(machine.CreateLine(MachineLayout.SerialInterrupt), _output);
        machine.Ports.Add(MachineLayout.SerialPort, SerialPort.Length, _serial);
        machine.Ports.Add(MachineLayout.PowerPort, PowerRegisters.Length, new PowerRegisters(machine.Ram, machine.Finish));
        _streams = new ConsoleStreams(_serial, _output, Stream(plan.Streams.Stdin), Stream(plan.Streams.Stdout),
            plan.Limits.OutputBytes, () => Finish(EndCause.OutputLimit));
    }

    public VirtualMachine Machine { get; }

    /// <summary>Bytes that went to standard output.</summary>
    public long OutputBytes => _streams.OutputBytes;

    /// <summary>Bytes that the guest sent although the serial port had told it to wait.</summary>
    public long LostBytes => _serial.Lost;

    public long WallNanoseconds => HostClock.MonotonicNanoseconds() - _startedAt;

    private GuestMachine Plan => _plan.Machine!;

    /// <summary>Puts the kernel into the guest's RAM and points the first vCPU at it.</summary>
    /// <exception cref="HostException">The host refused.</exception>
    public BootProblem Load()
    {
        BootOrder order = new(new HostBootFile(_descriptors[Plan.Kernel]),
            Plan.Initrd < 0 ? null : new HostBootFile(_descriptors[Plan.Initrd]), Plan.CommandLine, Machine.Vcpus.Count, 0);
        BootProblem problem = BootLoader.Load(order, Machine.Ram, Machine.RamBytes, out LoadedKernel? kernel);
        if (problem == BootProblem.None)
            BootLoader.Enter(kernel!, Machine);
        return problem;
    }

    public void Start()
    {
        _streams.Start();
        Machine.Start();
    }

    /// <summary>Waits for the guest's end or its limit of time, and for what it wrote to arrive.</summary>
    public GuestEnd WaitForEnd()
    {
        long limit = _plan.Limits.WallMilliseconds;
        MachineEnd end = Machine.WaitForEnd(limit is 0 or > int.MaxValue ? -1 : (int)limit);
        if (end == MachineEnd.None)
        {
            Finish(EndCause.WallTimeLimit);
            end = Machine.WaitForEnd();
        }
        _streams.Finish();
        return end switch
        {
            MachineEnd.PoweredOff => new GuestEnd(EndCause.PoweredOff, 0, 0, ""),
            MachineEnd.Rebooted => new GuestEnd(EndCause.Rebooted, 0, 0, ""),
            MachineEnd.Panicked => new GuestEnd(EndCause.KernelPanic, 0, 0, ""),
            MachineEnd.TripleFault => new GuestEnd(EndCause.TripleFault, 0, 0, ""),
            MachineEnd.Stopped => Stopped(Volatile.Read(ref _endedBy)),
            _ => new GuestEnd(EndCause.Failed, EIO, (long)VmmFailure.MachineStopped, Machine.FailureDetail),
        };
    }

    /// <returns>False for what no supervisor says.</returns>
    public bool Obey(in ChannelMessage message)
    {
        if (message.Version != ChannelMessage.CurrentVersion || message.Kind != MessageKind.Signal)
            return false;
        // There is nobody in the guest to pass it on to.
        Finish((EndCause)0, (int)Math.Clamp(message.Value, 1, SIGRTMAX));
        return true;
    }

    /// <summary>Ends the guest for a reason of the host's: a limit, or else a signal.</summary>
    private void Finish(EndCause cause, int signal = 0)
    {
        Interlocked.CompareExchange(ref _endedBy, cause == EndCause.None ? -signal : (int)cause, 0);
        Machine.Finish(MachineEnd.Stopped);
    }

    private static GuestEnd Stopped(int endedBy) => endedBy < 0
        ? new GuestEnd(EndCause.Signaled, -endedBy, 0, "")
        : new GuestEnd((EndCause)endedBy, 0, 0, "");

    private FileDescriptor? Stream(int index) => index < 0 ? null : _descriptors[index];

    public void Dispose() => Machine.Finish(MachineEnd.Stopped);
}
