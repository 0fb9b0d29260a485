using System.Runtime.CompilerServices;
using Sandbox.Host;
using static Sandbox.Host.KvmAbi;

namespace Sandbox.Vmm.Kvm;

/// <summary>One KVM virtual processor: api.rst, "vcpu ioctls". General registers travel in the shared page.</summary>
public sealed unsafe class KvmVcpu : IDisposable
{
    private readonly FileDescriptor _file;
    private readonly MemoryMapping _run;

    internal KvmVcpu(FileDescriptor file, int runSize)
    {
        _file = file;
        _run = MemoryMapping.Map((nuint)runSize, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, file, what: "kvm_run");
        State->kvm_valid_regs = KVM_SYNC_X86_REGS;
    }

    private kvm_run* State => (kvm_run*)_run.Address;

    /// <summary>The page shared with the kernel.</summary>
    public ref kvm_run Shared => ref *State;

    /// <summary>The general registers: valid after an exit, taken over by the next run.</summary>
    public ref kvm_regs Registers => ref State->s.regs.regs;

    /// <summary>After KVM_EXIT_IO: the bytes that were written to the port, or that reading it gives.</summary>
    public Span<byte> PortData
    {
        get
        {
            ref readonly kvm_run_io io = ref State->io;
            return _run.Span((nuint)io.data_offset, (nuint)io.size * io.count);
        }
    }

    /// <summary>After KVM_EXIT_MMIO: the bytes that were written, or that reading gives.</summary>
    public Span<byte> MemoryData => new(State->mmio.data, (int)Math.Min(State->mmio.len, 8));

    /// <summary>
    /// KVM_RUN with <see cref="Registers"/>. 0, or a negative errno: -EINTR for a signal, -EFAULT when host memory is
    /// missing.
    /// </summary>
    public int Run()
    {
        State->kvm_dirty_regs = KVM_SYNC_X86_REGS;
        return _file.Control(KVM_RUN);
    }

    /// <summary>
    /// KVM_RUN where the last one was interrupted. To write registers, even the same ones, would take back an exception
    /// that has not reached the processor yet.
    /// </summary>
    public int RunOn()
    {
        State->kvm_dirty_regs = 0;
        return _file.Control(KVM_RUN);
    }

    /// <summary>
    /// Finishes an instruction that KVM left to ask for I/O, without going on into the guest (api.rst, "kvm_run":
    /// immediate_exit), and takes back an exception that its end raised.
    /// </summary>
    public void CompleteInstruction()
    {
        State->immediate_exit = 1;
        int result = Run();
        State->immediate_exit = 0;
        if (result != -Libc.EINTR)
            Check(result, "KVM_RUN");
        ClearException();
    }

    /// <summary>KVM_SET_REGS: for a vCPU that has not run yet; others have <see cref="Registers"/>.</summary>
    public void SetRegisters(in kvm_regs registers)
    {
        fixed (kvm_regs* p = &registers)
            Check(_file.Control(KVM_SET_REGS, p), "KVM_SET_REGS");
    }

    public void GetSpecialRegisters(out kvm_sregs registers)
    {
        Unsafe.SkipInit(out registers);
        fixed (kvm_sregs* p = &registers)
            Check(_file.Control(KVM_GET_SREGS, p), "KVM_GET_SREGS");
    }

    public void SetSpecialRegisters(in kvm_sregs registers)
    {
        fixed (kvm_sregs* p = &registers)
            Check(_file.Control(KVM_SET_SREGS, p), "KVM_SET_SREGS");
    }

    public void SetModelSpecificRegisters(ReadOnlySpan<kvm_msr_entry> entries)
    {
        byte* buffer = stackalloc byte[sizeof(kvm_msrs) + (entries.Length * sizeof(kvm_msr_entry))];
        *(kvm_msrs*)buffer = new kvm_msrs { nmsrs = (uint)entries.Length };
        entries.CopyTo(new Span<kvm_msr_entry>(buffer + sizeof(kvm_msrs), entries.Length));
        int written = _file.Control(KVM_SET_MSRS, buffer);
        Check(written, "KVM_SET_MSRS");
        if (written != entries.Length)
            throw new HostException(Libc.EINVAL, "KVM_SET_MSRS", $"MSR 0x{entries[written].index:x}");
    }

    public void SetCpuid(ReadOnlySpan<kvm_cpuid_entry2> entries)
    {
        byte* buffer = stackalloc byte[sizeof(kvm_cpuid2) + (entries.Length * sizeof(kvm_cpuid_entry2))];
        *(kvm_cpuid2*)buffer = new kvm_cpuid2 { nent = (uint)entries.Length };
        entries.CopyTo(new Span<kvm_cpuid_entry2>(buffer + sizeof(kvm_cpuid2), entries.Length));
        Check(_file.Control(KVM_SET_CPUID2, buffer), "KVM_SET_CPUID2");
    }

    /// <summary>KVM_SET_XCRS: XCR0.</summary>
    public void SetExtendedControlRegister(ulong value)
    {
        kvm_xcrs registers = new() { nr_xcrs = 1 };
        registers.xcrs[0] = new kvm_xcr { xcr = 0, value = value };
        Check(_file.Control(KVM_SET_XCRS, &registers), "KVM_SET_XCRS");
    }

    /// <summary>Only these signals can end KVM_RUN; bit n-1 is signal n, a set bit keeps it out.</summary>
    public void SetSignalMask(ulong blocked)
    {
        byte* buffer = stackalloc byte[sizeof(kvm_signal_mask) + sizeof(ulong)];
        *(kvm_signal_mask*)buffer = new kvm_signal_mask { len = sizeof(ulong) };
        Unsafe.WriteUnaligned(buffer + sizeof(kvm_signal_mask), blocked);
        Check(_file.Control(KVM_SET_SIGNAL_MASK, buffer), "KVM_SET_SIGNAL_MASK");
    }

    public void GetExtendedState(Span<byte> state)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(state.Length, sizeof(kvm_xsave));
        fixed (byte* p = state)
            Check(_file.Control(KVM_GET_XSAVE, p), "KVM_GET_XSAVE");
    }

    /// <summary>False when KVM refuses the state (reserved bits, components that are off).</summary>
    public bool TrySetExtendedState(ReadOnlySpan<byte> state)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(state.Length, sizeof(kvm_xsave));
        fixed (byte* p = state)
            return _file.Control(KVM_SET_XSAVE, p) == 0;
    }

    /// <summary>
    /// True while an exception is on its way to the guest's handler: the next run delivers it, wherever RIP then
    /// points (KVM_GET_VCPU_EVENTS).
    /// </summary>
    /// <remarks>
    /// Of INT3 (3) and INTO (4) KVM tells the number only, and tells it for ever: whoever has seen one arrive calls
    /// <see cref="ClearException"/>.
    /// </remarks>
    public bool IsDeliveringException()
    {
        kvm_vcpu_events events;
        Check(_file.Control(KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
        return (events.exception.injected | events.exception.pending) != 0 || events.exception.nr is 3 or 4;
    }

    /// <summary>No exception is on its way any more, and no number of one is left.</summary>
    public void ClearException()
    {
        kvm_vcpu_events none = default;
        Check(_file.Control(KVM_SET_VCPU_EVENTS, &none), "KVM_SET_VCPU_EVENTS");
    }

    public int TscKilohertz => Math.Max(_file.Control(KVM_GET_TSC_KHZ), 0);

    /// <summary>
    /// Makes the guest's time-stamp counter the host's own (KVM_VCPU_TSC_OFFSET, Linux 5.16). Best effort: whoever
    /// relies on it compares the two.
    /// </summary>
    public void ShareTsc()
    {
        long offset = 0;
        kvm_device_attr attribute = new()
        {
            group = KVM_VCPU_TSC_CTRL,
            attr = KVM_VCPU_TSC_OFFSET,
            addr = (ulong)&offset,
        };
        _ = _file.Control(KVM_SET_DEVICE_ATTR, &attribute);
    }

    private static void Check(int result, string call)
    {
        if (result < 0)
            throw new HostException(-result, call);
    }

    public void Dispose()
    {
        _run.Dispose();
        _file.Dispose();
    }
}
