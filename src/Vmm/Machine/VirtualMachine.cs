using Sandbox.Host;
using Sandbox.Vmm.Kvm;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// A machine guest without its devices: RAM, interrupt controllers in the kernel, up to 16 vCPUs with a thread each, and
/// the buses that devices are put on before it runs.
/// </summary>
public sealed class VirtualMachine : IDisposable
{
    private readonly KvmVm _vm;
    private readonly MachineRam _ram;
    private readonly MachineVcpu[] _vcpus;
    private readonly List<WorkThread> _threads = [];
    private readonly List<IDisposable> _lines = [];
    private readonly ManualResetEventSlim _ended = new();
    private readonly CountdownEvent _running;
    private int _end;
    private MachineFailure _failure;
    private long _failureValue;

    /// <param name="system">Stays the caller's.</param>
    /// <param name="ramBytes">Whole pages, at least <see cref="MachineLayout.MinimumRam"/>.</param>
    /// <param name="cpus">1 to <see cref="MachineLayout.MaximumVcpus"/>.</param>
    /// <exception cref="HostException">The host cannot have such a machine, or has no room for it.</exception>
    public VirtualMachine(KvmSystem system, ulong ramBytes, int cpus)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(cpus, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(cpus, MachineLayout.MaximumVcpus);
        system.Require(KvmRequirement.MachineGuests);
        _vm = system.CreateVm();
        _vm.CreateInterruptControllers(MachineLayout.TssAddress, MachineLayout.IdentityMapAddress);
        _vm.FilterModelSpecificRegisters(
            [.. MsrPolicy.Ranges.Select(range => (range.First, MsrPolicy.Bitmap(range.First, range.Count)))]);
        _ram = new MachineRam(ramBytes, _vm);
        kvm_cpuid_entry2[] supported = system.SupportedCpuid();
        bool deadlineTimer = system.Extension(KvmAbi.KVM_CAP_TSC_DEADLINE_TIMER) != 0;
        _running = new CountdownEvent(cpus);
        _vcpus = new MachineVcpu[cpus];
        for (int cpu = 0; cpu < cpus; cpu++)
            _vcpus[cpu] = new MachineVcpu(this, _vm.CreateVcpu(), CpuTemplate.Build(supported, cpu, cpus, deadlineTimer));
    }

    public GuestRam Ram => _ram.Memory;

    /// <summary>Bytes of RAM from address 0 on, and from <see cref="MachineLayout.HighRamStart"/> on.</summary>
    public (ulong Low, ulong High) RamBytes => (_ram.LowBytes, _ram.HighBytes);

    /// <summary>Devices in memory.</summary>
    public DeviceBus Registers { get; } = new();

    /// <summary>Devices at I/O ports.</summary>
    public DeviceBus Ports { get; } = new();

    /// <summary>The first starts the guest; the others wait until its kernel starts them.</summary>
    public IReadOnlyList<MachineVcpu> Vcpus => _vcpus;

    public bool HasEnded => Volatile.Read(ref _end) != (int)MachineEnd.None;

    /// <summary>One line, after <see cref="MachineEnd.Failed"/>.</summary>
    public string FailureDetail => _failure switch
    {
        MachineFailure.Run => $"KVM_RUN failed with error {-_failureValue}",
        MachineFailure.Emulation => $"KVM cannot carry out what the guest does (suberror {_failureValue})",
        MachineFailure.Entry => $"the processor refuses the guest's state (reason 0x{_failureValue:x})",
        MachineFailure.Exit => $"KVM left the guest for a reason that is not served ({_failureValue})",
        _ => "",
    };

    /// <summary>A line to a pin of the I/O APIC. Before the first vCPU runs.</summary>
    /// <exception cref="HostException">The host has no descriptors left.</exception>
    public InterruptLine CreateLine(uint pin)
    {
        InterruptLine line = new(FileDescriptor.CreateEvent());
        _lines.Add(line);
        _vm.RaiseFrom(line.File, pin);
        return line;
    }

    /// <summary>Has a 4-byte write of a value to an address signal an eventfd, without an exit.</summary>
    /// <exception cref="HostException">The host refused.</exception>
    public void SignalOnWrite(FileDescriptor file, ulong address, uint value) =>
        _vm.SignalOnWrite(file, new Memory.PhysicalAddress(address), value);

    /// <summary>Shows a device's registers at an address: read by the guest without an exit, and not written.</summary>
    /// <exception cref="HostException">The host refused.</exception>
    public unsafe void Show(RegisterPage page, ulong address) =>
        _vm.AddReadOnly(new Memory.PhysicalAddress(address), page.Address, Memory.Page.Size);

    /// <summary>Runs every vCPU on a thread of its own. Once; what the guest starts from is in place.</summary>
    public void Start()
    {
        for (int cpu = 0; cpu < _vcpus.Length; cpu++)
        {
            MachineVcpu vcpu = _vcpus[cpu];
            _threads.Add(ThreadFilter.Start($"vCPU {cpu}", ThreadRole.Vcpu, 256 << 10, () =>
            {
                vcpu.Run();
                // The thread itself stays.
                _running.Signal();
                ThreadFilter.Stay();
            }));
        }
    }

    /// <summary>Waits for the guest's end.</summary>
    /// <param name="milliseconds">-1 for no limit.</param>
    /// <returns>Why it ended; <see cref="MachineEnd.None"/> when it has not.</returns>
    public MachineEnd WaitForEnd(int milliseconds = -1)
    {
        _ended.Wait(milliseconds);
        return (MachineEnd)Volatile.Read(ref _end);
    }

    /// <summary>After the end: waits until no vCPU runs; counts are final then.</summary>
    /// <param name="patience">How long at most.</param>
    public void WaitForVcpus(TimeSpan patience) => _running.Wait(patience);

    /// <summary>Ends the guest: from any thread, the vCPUs' own included. The first reason counts.</summary>
    public void Finish(MachineEnd end)
    {
        if (Interlocked.CompareExchange(ref _end, (int)end, (int)MachineEnd.None) != (int)MachineEnd.None)
            return;
        _ended.Set();
        foreach (MachineVcpu vcpu in _vcpus)
            vcpu.Kick();
    }

    internal void Fail(MachineFailure failure, long value)
    {
        if (HasEnded)
            return;
        _failureValue = value;
        _failure = failure;
        Finish(MachineEnd.Failed);
    }

    /// <summary>Stops the guest, if it still runs, and waits for its threads. Not behind filters, where these stay.</summary>
    public void Dispose()
    {
        Finish(MachineEnd.Stopped);
        foreach (WorkThread thread in _threads)
            thread.Join();
        foreach (MachineVcpu vcpu in _vcpus)
            vcpu.Dispose();
        foreach (IDisposable line in _lines)
            line.Dispose();
        _vm.Dispose();
        _ram.Dispose();
        _ended.Dispose();
        _running.Dispose();
    }
}
