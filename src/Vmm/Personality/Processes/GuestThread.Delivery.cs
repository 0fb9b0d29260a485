using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Platforms;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// Entering a signal handler and returning from it (arch/x86/kernel/signal.c, sigreturn(2)).
public sealed partial class GuestThread
{
    private const int RedZone = 128;
    private const ulong UserCodeSelector = 0x33;
    private const ulong UserStackSelector = 0x2b;

    private const ulong TrapFlag = 0x100, DirectionFlag = 0x400, ResumeFlag = 0x10000;

    /// <summary>The flags that sigreturn may set: AC, RF, OF, DF, TF, SF, ZF, AF, PF, CF.</summary>
    private const ulong RestorableFlags = 0x50dd5;

    private const int FxsaveSize = ExtendedState.LegacySize;

    // The last fault, as the kernel keeps it for sigcontext.
    private ulong _lastFaultAddress;
    private ulong _lastErrorCode;
    private ulong _lastTrap;

    private void Deliver(in siginfo_t info, in kernel_sigaction action)
    {
        FinishInterruptedCall((action.sa_flags & SA_RESTART) != 0);
        if (!TryEnterHandler(info, action))
        {
            // The kernel's force_sigsegv: a handler for SIGSEGV itself gets no second chance.
            ForceSignal(SignalInfo.Kernel(SIGSEGV), fatal: info.si_signo == SIGSEGV);
            return;
        }
        ulong mask = SignalMask | action.sa_mask;
        if ((action.sa_flags & SA_NODEFER) == 0)
            mask |= SignalSet.Of(info.si_signo);
        _restoreMask = false;
        SetSignalMask(mask);
    }

    private bool TryEnterHandler(in siginfo_t info, in kernel_sigaction action)
    {
        if ((action.sa_flags & SA_RESTORER) == 0)
            return false;
        ref GuestRegisters registers = ref Cpu.Registers;
        ulong components = Cpu.ExtendedStateComponents;
        int stateSize = Personality.ExtendedStateSize(components);

        bool onAlternate = IsOnAlternateStack(registers.Rsp);
        ulong stack = registers.Rsp - RedZone;
        if ((action.sa_flags & SA_ONSTACK) != 0 && AlternateStackState(registers.Rsp) == 0)
        {
            stack = AlternateStack.ss_sp + AlternateStack.ss_size;
            onAlternate = true;
        }
        ulong stateAddress = (stack - (ulong)(stateSize + FP_XSTATE_MAGIC2_SIZE)) & ~63UL;
        ulong frameAddress = ((stateAddress - (ulong)Unsafe.SizeOf<SignalFrame>()) & ~15UL) - 8;
        if (frameAddress > stack || stack > UserAddressEnd)
            return false;
        if (onAlternate && !IsWithinAlternateStack(frameAddress))
            return false;

        Span<byte> state = stackalloc byte[VirtualCpu.ExtendedStateSize + FP_XSTATE_MAGIC2_SIZE];
        Cpu.SaveExtendedState(state[..VirtualCpu.ExtendedStateSize]);
        _fpx_sw_bytes software = new()
        {
            magic1 = FP_XSTATE_MAGIC1,
            extended_size = (uint)(stateSize + FP_XSTATE_MAGIC2_SIZE),
            xfeatures = components,
            xstate_size = (uint)stateSize,
        };
        MemoryMarshal.Write(state[ExtendedState.SoftwareReservedOffset..], in software);
        BinaryPrimitives.WriteInt32LittleEndian(state[stateSize..], FP_XSTATE_MAGIC2);
        if (!Memory.TryWrite(new VirtualAddress(stateAddress), state[..(stateSize + FP_XSTATE_MAGIC2_SIZE)]))
            return false;

        SignalFrame frame = default;
        frame.ReturnAddress = action.sa_restorer;
        frame.Info = info;
        frame.Context.uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
        frame.Context.uc_stack = AlternateStack;
        frame.Context.uc_sigmask = _restoreMask ? _savedMask : SignalMask;
        SaveContext(registers, ref frame.Context.uc_mcontext);
        frame.Context.uc_mcontext.fpstate = stateAddress;
        if (!Memory.TryWrite(new VirtualAddress(frameAddress), in frame))
            return false;

        if ((AlternateStack.ss_flags & unchecked((int)SS_AUTODISARM)) != 0)
            AlternateStack = new() { ss_flags = SS_DISABLE };
        ExtendedState.Initialize(state);
        Cpu.TryLoadExtendedState(state[..VirtualCpu.ExtendedStateSize]);
        registers.Rax = 0;
        registers.Rdi = (ulong)info.si_signo;
        registers.Rsi = frameAddress + SignalFrame.InfoOffset;
        registers.Rdx = frameAddress + SignalFrame.ContextOffset;
        registers.Rsp = frameAddress;
        registers.Rip = action.sa_handler;
        registers.Rflags &= ~(TrapFlag | DirectionFlag | ResumeFlag);
        return true;
    }

    private void SaveContext(in GuestRegisters registers, ref sigcontext_64 context)
    {
        context.r8 = registers.R8;
        context.r9 = registers.R9;
        context.r10 = registers.R10;
        context.r11 = registers.R11;
        context.r12 = registers.R12;
        context.r13 = registers.R13;
        context.r14 = registers.R14;
        context.r15 = registers.R15;
        context.di = registers.Rdi;
        context.si = registers.Rsi;
        context.bp = registers.Rbp;
        context.bx = registers.Rbx;
        context.dx = registers.Rdx;
        context.ax = registers.Rax;
        context.cx = registers.Rcx;
        context.sp = registers.Rsp;
        context.ip = registers.Rip;
        context.flags = registers.Rflags;
        context.cs = (ushort)UserCodeSelector;
        context.ss = (ushort)UserStackSelector;
        context.err = _lastErrorCode;
        context.trapno = _lastTrap;
        context.oldmask = _restoreMask ? _savedMask : SignalMask;
        context.cr2 = _lastFaultAddress;
    }

    /// <summary>rt_sigreturn(2). The frame is the guest's: whatever it holds, only user-visible state changes.</summary>
    internal long ReturnFromSignal()
    {
        ref GuestRegisters registers = ref Cpu.Registers;
        // The handler's return popped the return address.
        ulong frameAddress = registers.Rsp - 8;
        if (!Memory.TryRead(new VirtualAddress(frameAddress), out SignalFrame frame)
            || !TryRestoreExtendedState(frame.Context.uc_mcontext.fpstate))
        {
            ForceSignal(SignalInfo.Kernel(SIGSEGV));
            return Restart.KeepRegisters;
        }
        ref sigcontext_64 context = ref frame.Context.uc_mcontext;
        registers.R8 = context.r8;
        registers.R9 = context.r9;
        registers.R10 = context.r10;
        registers.R11 = context.r11;
        registers.R12 = context.r12;
        registers.R13 = context.r13;
        registers.R14 = context.r14;
        registers.R15 = context.r15;
        registers.Rdi = context.di;
        registers.Rsi = context.si;
        registers.Rbp = context.bp;
        registers.Rbx = context.bx;
        registers.Rdx = context.dx;
        registers.Rax = context.ax;
        registers.Rcx = context.cx;
        registers.Rsp = context.sp;
        registers.Rip = context.ip;
        registers.Rflags = (registers.Rflags & ~RestorableFlags) | (context.flags & RestorableFlags);
        SetSignalMask(frame.Context.uc_sigmask);
        // As the kernel: a bad alternate stack in the frame is silently not restored.
        SetAlternateStack(frame.Context.uc_stack, registers.Rsp);
        // A return into the kernel's half must fault, not run.
        if (registers.Rip >= UserAddressEnd)
            SetWork(ThreadWork.Signal);
        return Restart.KeepRegisters;
    }

    private bool TryRestoreExtendedState(ulong address)
    {
        Span<byte> state = stackalloc byte[VirtualCpu.ExtendedStateSize + FP_XSTATE_MAGIC2_SIZE];
        if (address == 0)
        {
            ExtendedState.Initialize(state);
            return Cpu.TryLoadExtendedState(state[..VirtualCpu.ExtendedStateSize]);
        }
        int stateSize = Personality.ExtendedStateSize(Cpu.ExtendedStateComponents);
        if (!Memory.TryRead(new VirtualAddress(address), state[..FxsaveSize]))
            return false;
        _fpx_sw_bytes software = MemoryMarshal.Read<_fpx_sw_bytes>(state[ExtendedState.SoftwareReservedOffset..]);
        bool extended = software.magic1 == FP_XSTATE_MAGIC1
            && software.xstate_size == (uint)stateSize
            && software.extended_size == (uint)(stateSize + FP_XSTATE_MAGIC2_SIZE);
        state[FxsaveSize..].Clear();
        if (extended)
        {
            if (!new VirtualAddress(address).TryAdd(FxsaveSize, out VirtualAddress rest)
                || !Memory.TryRead(rest, state[FxsaveSize..(stateSize + FP_XSTATE_MAGIC2_SIZE)]))
                return false;
            extended = BinaryPrimitives.ReadInt32LittleEndian(state[stateSize..]) == FP_XSTATE_MAGIC2;
            state[stateSize..].Clear();
        }
        Span<byte> header = state.Slice(FxsaveSize, ExtendedState.HeaderSize);
        if (extended)
        {
            // Components that this processor does not have, or that the frame does not declare, do not count.
            ulong present = BinaryPrimitives.ReadUInt64LittleEndian(header)
                & software.xfeatures & Cpu.ExtendedStateComponents;
            header.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(header, present);
        }
        else
        {
            state[FxsaveSize..].Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(header, LegacyComponents);
        }
        // Reserved bits of MXCSR would be a fault in the VMM's own XRSTOR.
        uint mxcsr = BinaryPrimitives.ReadUInt32LittleEndian(state[ExtendedState.MxcsrOffset..]);
        if ((mxcsr & ~0xffffU) != 0)
            return false;
        state.Slice(ExtendedState.SoftwareReservedOffset, FxsaveSize - ExtendedState.SoftwareReservedOffset).Clear();
        return Cpu.TryLoadExtendedState(state[..VirtualCpu.ExtendedStateSize]);
    }

    /// <summary>x87 and SSE, which the legacy area holds.</summary>
    private const ulong LegacyComponents = 3;

    /// <summary>sigaltstack(2) without the copying. 0, -EPERM while running on it, -EINVAL or -ENOMEM.</summary>
    internal long SetAlternateStack(in stack_t stack, ulong stackPointer)
    {
        if (IsOnAlternateStack(stackPointer))
            return -EPERM;
        uint mode = (uint)stack.ss_flags & ~SS_AUTODISARM;
        if (mode is not (SS_DISABLE or SS_ONSTACK or 0))
            return -EINVAL;
        if (mode == SS_DISABLE)
        {
            AlternateStack = new() { ss_flags = stack.ss_flags };
            return 0;
        }
        if (stack.ss_size < MINSIGSTKSZ)
            return -ENOMEM;
        AlternateStack = stack;
        return 0;
    }

    /// <summary>SS_DISABLE, SS_ONSTACK or 0, as sigaltstack(2) reports it.</summary>
    internal int AlternateStackState(ulong stackPointer) =>
        AlternateStack.ss_size == 0 ? SS_DISABLE : IsOnAlternateStack(stackPointer) ? SS_ONSTACK : 0;

    private bool IsOnAlternateStack(ulong stackPointer) =>
        (AlternateStack.ss_flags & unchecked((int)SS_AUTODISARM)) == 0 && IsWithinAlternateStack(stackPointer);

    private bool IsWithinAlternateStack(ulong stackPointer) =>
        stackPointer > AlternateStack.ss_sp && stackPointer - AlternateStack.ss_sp <= AlternateStack.ss_size;
}
