using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Processes;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.Time;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>Handlers, masks, sending and awaiting signals.</summary>
static partial class SignalCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_rt_sigaction, "rt_sigaction", RtSigaction, "signal sigaction sigaction_out size");
        table.Add(SYS_rt_sigprocmask, "rt_sigprocmask", RtSigprocmask, "enum:sigmask sigset sigset_out size");
        table.Add(SYS_rt_sigpending, "rt_sigpending", RtSigpending, "sigset_out size");
        table.Add(SYS_rt_sigsuspend, "rt_sigsuspend", RtSigsuspend, "sigset size", atExit: true);
        table.Add(SYS_rt_sigtimedwait, "rt_sigtimedwait", RtSigtimedwait, "sigset siginfo timespec size", atExit: true);
        table.Add(SYS_rt_sigreturn, "rt_sigreturn", static (t, in a) => t.ReturnFromSignal(), "", atExit: true);
        table.Add(SYS_rt_sigqueueinfo, "rt_sigqueueinfo", RtSigqueueinfo, "pid signal siginfo_in");
        table.Add(SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", RtTgsigqueueinfo, "pid pid signal siginfo_in");
        table.Add(SYS_sigaltstack, "sigaltstack", Sigaltstack, "stack stack_out", atExit: true);
        table.Add(SYS_pause, "pause", Pause, "", atExit: true);
        table.Add(SYS_kill, "kill", Kill, "pid signal");
        table.Add(SYS_tkill, "tkill", Tkill, "pid signal");
        table.Add(SYS_tgkill, "tgkill", Tgkill, "pid pid signal");
        table.Add(SYS_pidfd_send_signal, "pidfd_send_signal", PidfdSendSignal, "fd signal siginfo_in hex");
        table.Add(SYS_restart_syscall, "restart_syscall", RestartSyscall, "", atExit: true);
    }

    private static long RestartSyscall(GuestThread thread, in SystemCallArguments a)
    {
        Func<GuestThread, long>? function = thread.RestartFunction;
        thread.RestartFunction = null;
        return function is null ? -EINTR : function(thread);
    }

    private static long RtSigaction(GuestThread thread, in SystemCallArguments a)
    {
        int signal = a.Int0;
        if (a.A3 != SignalSet.Bytes)
            return -EINVAL;
        kernel_sigaction action = default;
        if (a.A1 != 0 && !thread.Memory.TryRead(new VirtualAddress(a.A1), out action))
            return -EFAULT;
        if (!SignalSet.IsValid(signal)
            || (a.A1 != 0 && SignalSet.Contains(SignalSet.Unblockable, signal)))
            return -EINVAL;
        const ulong knownFlags = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER
            | (ulong)SA_RESETHAND | SA_EXPOSE_TAGBITS | SA_RESTORER;
        kernel_sigaction old;
        lock (thread.Personality.TaskLock)
        {
            Process process = thread.Process;
            old = process.Actions[signal];
            if (a.A1 != 0)
            {
                // Programs probe for flags by setting them: unknown ones must not stick.
                action.sa_flags &= knownFlags;
                action.sa_mask &= ~SignalSet.Unblockable;
                process.Actions[signal] = action;
                process.DiscardIfIgnored(signal);
            }
        }
        return a.A2 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A2), old) ? 0 : -EFAULT;
    }

    private static long RtSigprocmask(GuestThread thread, in SystemCallArguments a)
    {
        if (a.A3 != SignalSet.Bytes)
            return -EINVAL;
        ulong old = thread.SignalMask;
        if (a.A1 != 0)
        {
            if (!thread.Memory.TryRead(new VirtualAddress(a.A1), out ulong set))
                return -EFAULT;
            switch (a.Int0)
            {
                case SIG_BLOCK: thread.SetSignalMask(old | set); break;
                case SIG_UNBLOCK: thread.SetSignalMask(old & ~set); break;
                case SIG_SETMASK: thread.SetSignalMask(set); break;
                default: return -EINVAL;
            }
        }
        return a.A2 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A2), old) ? 0 : -EFAULT;
    }

    private static long RtSigpending(GuestThread thread, in SystemCallArguments a)
    {
        if (a.A1 > SignalSet.Bytes)
            return -EINVAL;
        ulong pending = thread.PendingSet & thread.SignalMask;
        ReadOnlySpan<byte> bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in pending));
        return thread.Memory.TryWrite(new VirtualAddress(a.A0), bytes[..(int)a.A1]) ? 0 : -EFAULT;
    }

    private static long RtSigsuspend(GuestThread thread, in SystemCallArguments a)
    {
        if (a.A1 != SignalSet.Bytes)
            return -EINVAL;
        if (!thread.Memory.TryRead(new VirtualAddress(a.A0), out ulong mask))
            return -EFAULT;
        thread.BeginTemporaryMask(mask);
        while (!thread.HasPendingSignal)
            thread.Parker.Park(Parker.Forever);
        thread.EndTemporaryMask(interrupted: true);
        return Restart.NoHandler;
    }

    private static long Pause(GuestThread thread, in SystemCallArguments a)
    {
        while (!thread.HasPendingSignal)
            thread.Parker.Park(Parker.Forever);
        return Restart.NoHandler;
    }

    private static long RtSigtimedwait(GuestThread thread, in SystemCallArguments a)
    {
        if (a.A3 != SignalSet.Bytes)
            return -EINVAL;
        if (!thread.Memory.TryRead(new VirtualAddress(a.A0), out ulong set))
            return -EFAULT;
        long deadline = Parker.Forever;
        if (a.A2 != 0)
        {
            if (!thread.Memory.TryRead(new VirtualAddress(a.A2), out timespec timeout))
                return -EFAULT;
            if (!GuestClock.TryToNanoseconds(timeout, out long nanoseconds))
                return -EINVAL;
            deadline = thread.Personality.Clock.After(nanoseconds);
        }
        set &= ~SignalSet.Unblockable;
        int signal = thread.TryTakeSignal(set, out siginfo_t info);
        if (signal == 0)
        {
            bool interrupted = false;
            thread.BeginSignalWait(set);
            while (!(interrupted = thread.HasPendingSignal) && thread.Parker.Park(deadline))
            {
            }
            thread.EndSignalWait();
            signal = thread.TryTakeSignal(set, out info);
            if (signal == 0)
                return interrupted ? -EINTR : -EAGAIN;
        }
        return a.A1 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A1), info) ? signal : -EFAULT;
    }

    private static long Sigaltstack(GuestThread thread, in SystemCallArguments a)
    {
        ulong stackPointer = thread.Cpu.Registers.Rsp;
        stack_t old = thread.AlternateStack;
        old.ss_flags = (old.ss_flags & unchecked((int)SS_AUTODISARM)) | thread.AlternateStackState(stackPointer);
        if (a.A0 != 0)
        {
            if (!thread.Memory.TryRead(new VirtualAddress(a.A0), out stack_t stack))
                return -EFAULT;
            long error = thread.SetAlternateStack(stack, stackPointer);
            if (error != 0)
                return error;
        }
        return a.A1 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A1), old) ? 0 : -EFAULT;
    }
}
