using System.Buffers.Binary;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Platforms;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// Faults and exceptions of user code, and the signals that they are on Linux (arch/x86/kernel/traps.c, mm/fault.c).
public sealed partial class GuestThread
{
    private const int DivideError = 0, Debug = 1, Breakpoint = 3, InvalidOpcode = 6, SegmentNotPresent = 11;
    private const int StackFault = 12, PageFaultVector = 14, FloatingPoint = 16, AlignmentCheck = 17, Simd = 19;

    // Bits of a page fault's error code.
    private const uint FaultWasWrite = 2, FaultWasFetch = 16;

    private void OnPageFault(in GuestExit exit)
    {
        FaultResult result = Memory.HandleFault(
            exit.FaultAddress, (exit.ErrorCode & FaultWasWrite) != 0, (exit.ErrorCode & FaultWasFetch) != 0);
        if (result == FaultResult.Resolved)
            return;
        RememberFault(PageFaultVector, exit.ErrorCode, exit.FaultAddress.Value);
        ulong address = exit.FaultAddress.Value;
        switch (result)
        {
            case FaultResult.NotMapped:
                ForceSignal(SignalInfo.Fault(SIGSEGV, SEGV_MAPERR, address));
                break;
            case FaultResult.Forbidden:
                ForceSignal(SignalInfo.Fault(SIGSEGV, SEGV_ACCERR, address));
                break;
            case FaultResult.NoBacking:
                ForceSignal(SignalInfo.Fault(SIGBUS, BUS_ADRERR, address));
                break;
            default:
                Personality.End(EndCause.MemoryLimit, SIGKILL, (long)Personality.Memory.LimitBytes);
                break;
        }
    }

    private void OnBackingLost(in GuestExit exit)
    {
        RememberFault(PageFaultVector, exit.ErrorCode, exit.FaultAddress.Value);
        ForceSignal(SignalInfo.Fault(SIGBUS, BUS_ADRERR, exit.FaultAddress.Value));
    }

    private void OnException(in GuestExit exit)
    {
        RememberFault(exit.Vector, exit.ErrorCode, _lastFaultAddress);
        ulong instruction = Cpu.Registers.Rip;
        ForceSignal(exit.Vector switch
        {
            DivideError => SignalInfo.Fault(SIGFPE, FPE_INTDIV, instruction),
            Debug => SignalInfo.Fault(SIGTRAP, TRAP_TRACE, instruction),
            Breakpoint => SignalInfo.Kernel(SIGTRAP),
            InvalidOpcode => SignalInfo.Fault(SIGILL, ILL_ILLOPN, instruction),
            SegmentNotPresent or StackFault => SignalInfo.Kernel(SIGBUS),
            FloatingPoint or Simd => SignalInfo.Fault(SIGFPE, FloatingPointCode(exit.Vector), instruction),
            AlignmentCheck => SignalInfo.Fault(SIGBUS, BUS_ADRALN, instruction),
            _ => SignalInfo.Kernel(SIGSEGV),
        });
    }

    /// <summary>Which of the unmasked conditions it was, in the order in which the kernel asks.</summary>
    private int FloatingPointCode(int vector)
    {
        Span<byte> state = stackalloc byte[VirtualCpu.ExtendedStateSize];
        Cpu.SaveExtendedState(state);
        uint conditions;
        if (vector == FloatingPoint)
        {
            uint control = BinaryPrimitives.ReadUInt16LittleEndian(state[ExtendedState.ControlWordOffset..]);
            uint status = BinaryPrimitives.ReadUInt16LittleEndian(state[ExtendedState.StatusWordOffset..]);
            conditions = status & ~control;
        }
        else
        {
            uint mxcsr = BinaryPrimitives.ReadUInt32LittleEndian(state[ExtendedState.MxcsrOffset..]);
            conditions = mxcsr & ~(mxcsr >> 7);
        }
        if ((conditions & 0x01) != 0)
            return FPE_FLTINV;
        if ((conditions & 0x04) != 0)
            return FPE_FLTDIV;
        if ((conditions & 0x08) != 0)
            return FPE_FLTOVF;
        if ((conditions & 0x12) != 0)
            return FPE_FLTUND;
        return (conditions & 0x20) != 0 ? FPE_FLTRES : FPE_FLTUNK;
    }

    private void RememberFault(int vector, uint errorCode, ulong address)
    {
        _lastTrap = (ulong)vector;
        _lastErrorCode = errorCode;
        _lastFaultAddress = address;
    }
}
