using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Kvm;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.KvmAbi;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// One vCPU of a machine guest and the loop that serves its exits: no allocation and no exception, whatever the guest
/// does. HLT and interrupts stay in the kernel.
/// </summary>
public sealed class MachineVcpu : IDisposable
{
    /// <summary>Calls the vCPU out of the guest; see KvmCpu.</summary>
    private const int KickSignal = 35;

    private readonly VirtualMachine _machine;
    private readonly LatencyMetric[] _times =
        [.. Enumerable.Range(0, GuestRecord.MachineExitLimit).Select(_ => new LatencyMetric())];
    private int _hostThread;
    private long _refusedMsrs;

    internal MachineVcpu(VirtualMachine machine, KvmVcpu vcpu, kvm_cpuid_entry2[] cpuid)
    {
        _machine = machine;
        Vcpu = vcpu;
        // Nobody looks at them.
        vcpu.Shared.kvm_valid_regs = 0;
        vcpu.SetCpuid(cpuid);
        Cpuid = cpuid;
        vcpu.SetSignalMask(~(1UL << (KickSignal - 1)));
    }

    internal KvmVcpu Vcpu { get; }

    /// <summary>What CPUID tells its guest.</summary>
    internal IReadOnlyList<kvm_cpuid_entry2> Cpuid { get; }

    /// <summary>How often the guest was left for each KVM_EXIT_*, and how long serving that took.</summary>
    public IReadOnlyList<LatencyMetric> ExitTimes => _times;

    /// <summary>Accesses to model-specific registers that <see cref="MsrPolicy"/> does not allow.</summary>
    public long RefusedMsrs => Volatile.Read(ref _refusedMsrs);

    /// <summary>Runs the guest on the calling thread until the machine has ended.</summary>
    public void Run()
    {
        HostThread.Block(KickSignal);
        Volatile.Write(ref _hostThread, HostThread.Id);
        Interlocked.MemoryBarrier();
        // Whoever ends the machine looks at the thread afterwards: one of the two always sees the other.
        while (!_machine.HasEnded)
        {
            int result = Vcpu.RunOn();
            if (result == 0)
                ServeTimed();
            else if (result == -Libc.EINTR)
                HostThread.Drain(KickSignal);
            else if (result != -Libc.EAGAIN)
                _machine.Fail(MachineFailure.Run, result);
        }
        Volatile.Write(ref _hostThread, 0);
    }

    /// <summary>Makes <see cref="Run"/> look whether the machine has ended.</summary>
    internal void Kick()
    {
        int thread = Volatile.Read(ref _hostThread);
        if (thread != 0)
            HostThread.Signal(thread, KickSignal);
    }

    private void ServeTimed()
    {
        long leftAt = HostClock.MonotonicNanoseconds();
        uint reason = Vcpu.Shared.exit_reason;
        Serve(reason);
        if (reason < (uint)_times.Length)
            _times[reason].Record(HostClock.MonotonicNanoseconds() - leftAt);
    }

    private void Serve(uint reason)
    {
        ref kvm_run run = ref Vcpu.Shared;
        switch ((int)reason)
        {
            case KVM_EXIT_IO:
                ServePort(ref run);
                break;
            case KVM_EXIT_MMIO:
                if (run.mmio.is_write != 0)
                    _machine.Registers.Write(run.mmio.phys_addr, Vcpu.MemoryData);
                else
                    _machine.Registers.Read(run.mmio.phys_addr, Vcpu.MemoryData);
                break;
            case KVM_EXIT_X86_RDMSR or KVM_EXIT_X86_WRMSR:
                // Raises #GP, which kernels expect of registers that are not there.
                run.msr.error = 1;
                _refusedMsrs++;
                break;
            case KVM_EXIT_SHUTDOWN:
                _machine.Finish(MachineEnd.TripleFault);
                break;
            case KVM_EXIT_SYSTEM_EVENT:
                _machine.Finish(run.system_event.type switch
                {
                    KVM_SYSTEM_EVENT_SHUTDOWN => MachineEnd.PoweredOff,
                    KVM_SYSTEM_EVENT_CRASH => MachineEnd.Panicked,
                    _ => MachineEnd.Rebooted,
                });
                break;
            case KVM_EXIT_INTR or KVM_EXIT_HLT or KVM_EXIT_IRQ_WINDOW_OPEN:
                break;
            case KVM_EXIT_INTERNAL_ERROR:
                _machine.Fail(MachineFailure.Emulation, run.@internal.suberror);
                break;
            case KVM_EXIT_FAIL_ENTRY:
                _machine.Fail(MachineFailure.Entry, (long)run.fail_entry.hardware_entry_failure_reason);
                break;
            default:
                _machine.Fail(MachineFailure.Exit, reason);
                break;
        }
    }

    private void ServePort(ref kvm_run run)
    {
        Span<byte> data = Vcpu.PortData;
        int size = run.io.size;
        // INS and OUTS come as several accesses at once.
        for (int at = 0; at + size <= data.Length; at += size)
            if (run.io.direction == KVM_EXIT_IO_OUT)
                _machine.Ports.Write(run.io.port, data.Slice(at, size));
            else
                _machine.Ports.Read(run.io.port, data.Slice(at, size));
    }

    public void Dispose() => Vcpu.Dispose();
}
