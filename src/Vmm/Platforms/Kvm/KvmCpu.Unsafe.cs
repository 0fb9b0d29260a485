using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Kvm;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.KvmAbi;

namespace Sandbox.Vmm.Platforms.Kvm;

/// <summary>One guest thread's vCPU.</summary>
/// <remarks>
/// <see cref="Registers"/> are KVM's synced registers themselves, brought into the user's view after each exit; where
/// the vCPU really stands is <see cref="_place"/>, and <see cref="PrepareReturn"/> undoes the view before each entry.
/// </remarks>
public sealed unsafe partial class KvmCpu : VirtualCpu
{
    /// <summary>
    /// Ends KVM_RUN from outside. The runtime uses 34 itself. Blocked in the thread, let in only during KVM_RUN, and
    /// drained afterwards, so that it needs no handler.
    /// </summary>
    private const int KickSignal = 35;

    private const ulong UserFlags = 0x0025_4dd5; // CF PF AF ZF SF TF DF OF NT AC ID: what POPF at CPL 3 may change
    private const ulong FixedFlags = 0x202; // bit 1 and IF
    private const ulong TrapFlag = 1 << 8;

    private readonly KvmPlatform _platform;
    private readonly KvmVcpu _vcpu;
    private readonly byte* _page;
    private readonly ulong _pageAddress;
    private readonly int _number;
    private AddressSpace? _memory;
    private Place _place;
    private int _owner;
    private int _hostThread;
    private int _state;
    private int _interruptRequested;
    private long _seenGeneration;

    /// <summary>Where the vCPU is between two runs.</summary>
    private enum Place
    {
        /// <summary>At CPL 3, with the user's registers.</summary>
        User,
        /// <summary>In the gate at CPL 0: SYSRET is next.</summary>
        Gate,
        /// <summary>At CPL 0 on the vCPU's stack: IRET through the frame at its top is next.</summary>
        Stub,
    }

    /// <summary>The frame that the processor pushes in 64-bit mode (Intel SDM volume 3, 6.14.2).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct InterruptFrame
    {
        public ulong Rip, Cs, Rflags, Rsp, Ss;
    }

    internal KvmCpu(KvmPlatform platform, KvmVcpu vcpu, int number, byte* page)
    {
        _platform = platform;
        _vcpu = vcpu;
        _page = page;
        _number = number;
        _pageAddress = Ring0Layout.VirtualBase + Ring0Layout.VcpuOffset + ((ulong)number * Page.Size);
        BuildTables();
        _vcpu.SetCpuid(platform.Model.Entries);
        _vcpu.SetSignalMask(~(1UL << (KickSignal - 1)));
        SetGate(KvmPlatform.GateAddress);
        _vcpu.ShareTsc();
        ResetForExec();
    }

    private void SetGate(ulong address) => _vcpu.SetModelSpecificRegisters(
    [
        // STAR
        new()
        {
            index = 0xc000_0081,
            data = ((ulong)Ring0Layout.UserCode32 << 48) | ((ulong)Ring0Layout.KernelCode << 32),
        },
        new() { index = 0xc000_0082, data = address }, // LSTAR
        new() { index = 0xc000_0083, data = 0 }, // CSTAR: there is no 32-bit code segment
        new() { index = 0xc000_0084, data = 0x0025_7fd5 }, // SFMASK: every flag that the program controls
    ]);

    internal int TscKilohertz => _vcpu.TscKilohertz;

    public override ref GuestRegisters Registers => ref Unsafe.As<kvm_regs, GuestRegisters>(ref _vcpu.Registers);

    public override ulong ExtendedStateComponents => _platform.Model.ExtendedStateComponents;

    private InterruptFrame* Frame => (InterruptFrame*)(_page + Ring0Layout.StackTop - sizeof(InterruptFrame));

    private ulong FrameAddress => _pageAddress + Ring0Layout.StackTop - (ulong)sizeof(InterruptFrame);

    private static ulong CodeAddress => Ring0Layout.VirtualBase + Ring0Layout.CodeOffset;

    public override ulong FsBase
    {
        get
        {
            _vcpu.GetSpecialRegisters(out kvm_sregs registers);
            return registers.fs.@base;
        }
        set
        {
            _vcpu.GetSpecialRegisters(out kvm_sregs registers);
            registers.fs.@base = value;
            _vcpu.SetSpecialRegisters(registers);
        }
    }

    public override ulong GsBase
    {
        get
        {
            _vcpu.GetSpecialRegisters(out kvm_sregs registers);
            return registers.gs.@base;
        }
        set
        {
            _vcpu.GetSpecialRegisters(out kvm_sregs registers);
            registers.gs.@base = value;
            _vcpu.SetSpecialRegisters(registers);
        }
    }

    public override void Attach(AddressSpace memory)
    {
        if (_memory == memory)
            return;
        Detach();
        _memory = memory;
        _vcpu.GetSpecialRegisters(out kvm_sregs registers);
        registers.cr3 = memory.Root.Value;
        _vcpu.SetSpecialRegisters(registers);
        _seenGeneration = memory.AddProcessor(this);
    }

    internal void Detach()
    {
        CloseExchange();
        _memory?.RemoveProcessor(this);
        _memory = null;
    }

    public override void SaveExtendedState(Span<byte> state) => _vcpu.GetExtendedState(state);

    public override bool TryLoadExtendedState(ReadOnlySpan<byte> state) => _vcpu.TrySetExtendedState(state);

    public override void ResetForExec()
    {
        _place = Place.User;
        _vcpu.Registers = default;
        _vcpu.Registers.rflags = FixedFlags;
        _vcpu.SetSpecialRegisters(InitialSpecialRegisters(_memory?.Root ?? _platform.Memory.Ring0.Root));
        _vcpu.SetExtendedControlRegister(ExtendedStateComponents);
        Span<byte> state = stackalloc byte[ExtendedStateSize];
        state.Clear();
        // FCW and MXCSR as a new Linux process has them; an XSTATE_BV of x87 and SSE makes both count.
        BitConverter.TryWriteBytes(state, (ushort)0x37f);
        BitConverter.TryWriteBytes(state[24..], 0x1f80u);
        BitConverter.TryWriteBytes(state[512..], 3UL);
        if (!_vcpu.TrySetExtendedState(state))
            throw new HostException(Libc.EINVAL, "KVM_SET_XSAVE", "the initial state");
    }

    private kvm_sregs InitialSpecialRegisters(PhysicalAddress root)
    {
        kvm_segment code = new()
        {
            selector = Ring0Layout.UserCode, limit = 0xffff_ffff, type = 0xb, present = 1, dpl = 3, s = 1, l = 1, g = 1,
        };
        kvm_segment stack = new()
        {
            selector = Ring0Layout.UserData, limit = 0xffff_ffff, type = 3, present = 1, dpl = 3, s = 1, db = 1, g = 1,
        };
        kvm_segment none = new() { limit = 0xffff_ffff, type = 3, present = 1, dpl = 3, s = 1, db = 1, g = 1 };
        kvm_sregs registers = new()
        {
            cs = code,
            ss = stack,
            ds = none,
            es = none,
            fs = none,
            gs = none,
            tr = new()
            {
                @base = _pageAddress + Ring0Layout.TssOffset, limit = Ring0Layout.TssLimit,
                selector = Ring0Layout.TaskState, type = 0xb, present = 1,
            },
            ldt = new() { unusable = 1, type = 2 },
            gdt = new() { @base = _pageAddress + Ring0Layout.GdtOffset, limit = Ring0Layout.GdtLimit },
            idt = new()
                { @base = Ring0Layout.VirtualBase + Ring0Layout.IdtOffset, limit = (Ring0Bytes.StubCount * 16) - 1 },
            cr0 = 0x8005_0033, // PE MP ET NE WP AM PG
            cr3 = root.Value,
            cr4 = _platform.Model.Cr4,
            efer = 0xd01, // SCE LME LMA NXE
            apic_base = 0xfee0_0900,
        };
        return registers;
    }

    private void BuildTables()
    {
        ulong* gdt = (ulong*)(_page + Ring0Layout.GdtOffset);
        gdt[Ring0Layout.KernelCode / 8] = 0x00af_9b00_0000_ffff;
        gdt[Ring0Layout.KernelData / 8] = 0x00cf_9300_0000_ffff;
        gdt[Ring0Layout.UserData / 8] = 0x00cf_f300_0000_ffff;
        gdt[Ring0Layout.UserCode / 8] = 0x00af_fb00_0000_ffff;
        ulong tss = _pageAddress + Ring0Layout.TssOffset;
        gdt[Ring0Layout.TaskState / 8] =
            Ring0Layout.TssLimit | ((tss & 0xff_ffff) << 16) | (0x8bUL << 40) | ((tss >> 24 & 0xff) << 56);
        gdt[(Ring0Layout.TaskState / 8) + 1] = tss >> 32;

        byte* state = _page + Ring0Layout.TssOffset;
        ulong stack = _pageAddress + Ring0Layout.StackTop;
        Unsafe.WriteUnaligned(state + 4, stack); // RSP0
        Unsafe.WriteUnaligned(state + 36, stack); // IST1
        Unsafe.WriteUnaligned(state + 102, (ushort)Ring0Layout.TssSize);
        byte* bitmap = state + Ring0Layout.TssSize;
        new Span<byte>(bitmap, Ring0Layout.TssLimit - Ring0Layout.TssSize + 1).Fill(0xff);
        OpenGatePort(_platform.SystemCallsStayInUserMode);
    }

    /// <summary>Lets CPL 3 use the gate's port, or not: needed only where the gate itself is at CPL 3.</summary>
    private void OpenGatePort(bool open)
    {
        ref byte bitmap = ref _page[Ring0Layout.TssOffset + Ring0Layout.TssSize + (Ring0Bytes.GatePort / 8)];
        bitmap = open ? unchecked((byte)~(1 << (Ring0Bytes.GatePort % 8))) : (byte)0xff;
    }

    public override void Dispose() => _vcpu.Dispose();
}
