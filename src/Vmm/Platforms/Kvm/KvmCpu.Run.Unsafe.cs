using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.KvmAbi;

namespace Sandbox.Vmm.Platforms.Kvm;

public sealed unsafe partial class KvmCpu
{
    private const int InHost = 0;
    private const int InGuest = 1;

    private const uint FaultPresent = 1, FaultUser = 4, FaultFetch = 16;

    public override GuestExit Run()
    {
        if (_owner != Environment.CurrentManagedThreadId)
            Adopt();
        while (true)
        {
            AddressSpace memory = _memory ?? throw new InvalidOperationException("no address space is attached");
            // The generation first: another process makes edits, then a generation, for this processor to complete them.
            long generation = memory.Generation;
            if (!memory.CompleteEdits(this) || (SeenGeneration < generation && !Refresh(generation)))
                return new GuestExit(GuestExitKind.Failed);
            if (Registers.Rip >= PageTable.UserLimit)
                return new GuestExit(GuestExitKind.PageFault, Registers.Rip, FaultUser | FaultFetch);
            PrepareReturn();

            _exchange?.Enter();
            Volatile.Write(ref _state, InGuest);
            Interlocked.MemoryBarrier();
            // Whoever asks for an interruption, or changes the tables, looks at the state afterwards: one of the two
            // always sees the other.
            bool stay = Volatile.Read(ref _interruptRequested) != 0 || memory.Generation != _seenGeneration;
            int result = stay ? -Libc.EINTR : Enter();
            // Interrupted on its way out, before or in a stub, or in the gate: it leaves by itself at once.
            while (!stay && result == -Libc.EINTR && !IsAtBoundary())
                result = EnterAgain();
            // First, since who acts on a call may wait for this processor to be out.
            Volatile.Write(ref _state, InHost);
            _exchange?.Close();

            GuestExit exit = Classify(result, out bool again);
            if (!again)
                return exit;
        }
    }

    public override void Interrupt()
    {
        Volatile.Write(ref _interruptRequested, 1);
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _state) == InGuest)
            HostThread.Signal(_hostThread, KickSignal);
    }

    /// <summary>The calling thread takes the vCPU over.</summary>
    private void Adopt()
    {
        HostThread.Block(KickSignal);
        _hostThread = HostThread.Id;
        _owner = Environment.CurrentManagedThreadId;
    }

    /// <summary>KVM_RUN until it says something: 0, -EINTR after a kick, or another negative errno.</summary>
    private int Enter() => AfterRun(_vcpu.Run());

    /// <summary>The same, going on exactly where the vCPU was called out.</summary>
    private int EnterAgain() => AfterRun(_vcpu.RunOn());

    private static int AfterRun(int result)
    {
        if (result == -Libc.EINTR)
            HostThread.Drain(KickSignal);
        return result;
    }

    /// <summary>Turns the user's view of the registers into what the vCPU needs to get there.</summary>
    private void PrepareReturn()
    {
        ref kvm_regs registers = ref _vcpu.Registers;
        ulong flags = (registers.rflags & UserFlags) | FixedFlags;
        switch (_place)
        {
            case Place.User:
                registers.rflags = flags;
                return;
            // SYSRET with the trap flag traps at once, where IRET first executes an instruction.
            case Place.Gate when registers.rcx == registers.rip && registers.r11 == registers.rflags
                && (flags & TrapFlag) == 0:
                registers.r11 = flags;
                registers.rip = KvmPlatform.GateAddress + GateBytes.ReturnOffset;
                registers.rflags = 2;
                return;
            default:
                *Frame = new InterruptFrame
                {
                    Rip = registers.rip,
                    Cs = Ring0Layout.UserCode,
                    Rflags = flags,
                    Rsp = registers.rsp,
                    Ss = Ring0Layout.UserData,
                };
                registers.rsp = FrameAddress;
                registers.rip = CodeAddress + Ring0Bytes.ReturnOffset;
                registers.rflags = 2;
                _place = Place.Stub;
                return;
        }
    }

    private GuestExit Classify(int result, out bool again)
    {
        again = false;
        ref kvm_regs registers = ref _vcpu.Registers;
        if (result != 0)
            return ClassifyError(result, out again);
        ref kvm_run run = ref _vcpu.Shared;
        if (run.exit_reason == KVM_EXIT_IO)
        {
            if (run.io.port == Ring0Bytes.GatePort)
            {
                if (IsInHandoffGate(registers.rip))
                    return EnterFromHandoffGate(ref registers);
                return IsInGate ? EnterFromGate(ref registers) : RefusePort(ref registers);
            }
            int vector = run.io.port - Ring0Bytes.ExceptionPort;
            if ((uint)vector < Ring0Bytes.StubCount && !IsUserAddress(registers.rip))
                return EnterFromStub(ref registers, vector);
        }
        return Fail(run.exit_reason);
    }

    private GuestExit EnterFromGate(ref kvm_regs registers)
    {
        _place = _platform.SystemCallsStayInUserMode ? Place.User : Place.Gate;
        registers.rip = registers.rcx;
        registers.rflags = registers.r11;
        return new GuestExit(GuestExitKind.SystemCall);
    }

    /// <summary>
    /// The program itself used the gate's port, which is open to it where the gate is at CPL 3: #GP, as on Linux.
    /// </summary>
    private GuestExit RefusePort(ref kvm_regs registers)
    {
        // KVM completes the instruction in the next run, when the registers may be another program's: now instead, and
        // without its effect on them. RCX ends a repetition.
        kvm_regs before = registers;
        registers.rcx = 0;
        _vcpu.CompleteInstruction();
        registers = before;
        _place = Place.User;
        return new GuestExit(GuestExitKind.Exception, vector: 13);
    }

    private GuestExit EnterFromStub(ref kvm_regs registers, int vector)
    {
        _place = Place.Stub;
        bool hasErrorCode = vector is 8 or 10 or 11 or 12 or 13 or 14 or 17 or 21 or 29 or 30;
        uint errorCode = hasErrorCode ? ((uint*)Frame)[-2] : 0;
        ulong faultAddress = 0;
        if (vector == 14)
        {
            faultAddress = registers.rax;
            registers.rax = ((ulong*)Frame)[-2];
        }
        if (vector is 3 or 4)
            _vcpu.ClearException();
        if (Frame->Cs != Ring0Layout.UserCode)
            return FailInRing0(vector, errorCode, faultAddress);
        registers.rip = Frame->Rip;
        registers.rflags = Frame->Rflags;
        registers.rsp = Frame->Rsp;
        return vector == 14
            ? new GuestExit(GuestExitKind.PageFault, faultAddress, errorCode)
            : new GuestExit(GuestExitKind.Exception, faultAddress, errorCode, vector);
    }

    private GuestExit ClassifyError(int error, out bool again)
    {
        again = false;
        ref kvm_regs registers = ref _vcpu.Registers;
        switch (error)
        {
            case -Libc.EINTR or -Libc.EAGAIN:
                if (IsInHandoffGate(registers.rip))
                    return EnterFromHandoffGate(ref registers);
                bool asked = Interlocked.Exchange(ref _interruptRequested, 0) != 0;
                RecoverView(ref registers);
                again = !asked;
                return new GuestExit(GuestExitKind.Interrupted);
            case -Libc.EFAULT when IsUserAddress(registers.rip):
                _place = Place.User;
                return new GuestExit(GuestExitKind.BackingLost, registers.rip);
            default:
                FailureDetail = $"KVM_RUN: {Errno.Describe(-error)}, RIP 0x{registers.rip:x}";
                return new GuestExit(GuestExitKind.Failed);
        }
    }

    /// <summary>After an interruption at a boundary: the user's view of the registers.</summary>
    private void RecoverView(ref kvm_regs registers)
    {
        if (IsUserAddress(registers.rip) || IsInExchanges(registers.rip))
        {
            _place = Place.User;
        }
        else if (IsAtStubReturn)
        {
            registers.rip = Frame->Rip;
            registers.rflags = Frame->Rflags;
            registers.rsp = Frame->Rsp;
        }
        else
        {
            registers.rip = registers.rcx;
            registers.rflags = registers.r11;
        }
    }

    /// <summary>In user mode to stay, at one of the two instructions that lead there, or where none matters.</summary>
    private bool IsAtBoundary()
    {
        ulong rip = _vcpu.Registers.rip;
        if (IsInHandoffGate(rip))
            return true;
        return IsUserAddress(rip) || IsInExchanges(rip)
            ? !_vcpu.IsDeliveringException()
            : IsAtStubReturn || IsAtGateReturn;
    }

    private bool IsAtStubReturn =>
        _place == Place.Stub && _vcpu.Registers.rip == CodeAddress + Ring0Bytes.ReturnOffset;

    private bool IsAtGateReturn =>
        _place == Place.Gate && _vcpu.Registers.rip == KvmPlatform.GateAddress + GateBytes.ReturnOffset;

    /// <summary>
    /// At the gate's OUT or behind it: whether KVM moves RIP before it reports the exit depends on the host.
    /// </summary>
    private bool IsInGate => _vcpu.Registers.rip - KvmPlatform.GateAddress <= GateBytes.ReturnOffset;

    private static bool IsUserAddress(ulong address) => address < PageTable.UserLimit;

    private GuestExit Fail(uint reason)
    {
        ref kvm_run run = ref _vcpu.Shared;
        FailureDetail = reason switch
        {
            KVM_EXIT_INTERNAL_ERROR => $"KVM internal error {run.@internal.suberror} at RIP 0x{_vcpu.Registers.rip:x}",
            KVM_EXIT_SHUTDOWN => $"triple fault at RIP 0x{_vcpu.Registers.rip:x}",
            KVM_EXIT_FAIL_ENTRY =>
                $"KVM could not enter the guest: hardware reason 0x{run.fail_entry.hardware_entry_failure_reason:x}",
            KVM_EXIT_MMIO => $"access to guest-physical 0x{run.mmio.phys_addr:x}, where nothing is, at RIP "
                + $"0x{_vcpu.Registers.rip:x}",
            _ => $"unexpected KVM exit {reason} at RIP 0x{_vcpu.Registers.rip:x}",
        };
        return new GuestExit(GuestExitKind.Failed);
    }

    private GuestExit FailInRing0(int vector, uint errorCode, ulong address)
    {
        FailureDetail =
            $"exception {vector} in ring 0: error code 0x{errorCode:x}, address 0x{address:x}, RIP 0x{Frame->Rip:x}";
        return new GuestExit(GuestExitKind.Failed);
    }
}
