using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Platforms;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>Sending, delivering and awaiting signals, as guest code sees them.</summary>
public sealed class SignalTests
{
    private const ulong Data = ScriptedGuest.Data, Shared = ScriptedGuest.Shared;
    private const ulong Restorer = 0x5555_0000;

    /// <summary>sigaction for a routine; yield the result.</summary>
    private static GuestExit Handle(
        ScriptedGuest guest, ScriptedCpu cpu, int signal, Routine handler, ulong flags = 0, ulong mask = 0)
    {
        cpu.Write(Data + 0x800, new kernel_sigaction
        {
            sa_handler = guest.Platform.AddressOf(handler), sa_flags = SA_RESTORER | flags, sa_restorer = Restorer,
            sa_mask = mask,
        });
        return cpu.Call(SYS_rt_sigaction, (ulong)signal, Data + 0x800, 0, 8);
    }

    [Fact]
    public void A_temporary_mask_ends_although_nothing_is_pending_any_more()
    {
        using ScriptedGuest guest = new();
        ulong mask = 0;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(SignalSet.Of(SIGUSR1), mask);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            GuestThread thread = GuestThread.Current!;
            thread.SetSignalMask(SignalSet.Of(SIGUSR1));
            thread.BeginTemporaryMask(SignalSet.Of(SIGUSR2));
            thread.EndTemporaryMask(interrupted: true);
            // As when another thread has taken the signal, and the process is continued.
            lock (guest.Personality.TaskLock)
                thread.RecalculatePending();
            yield return new(GuestExitKind.Interrupted);
            mask = thread.SignalMask;
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void A_handler_gets_its_frame_and_returns_to_where_it_was()
    {
        using ScriptedGuest guest = new();
        GuestRegisters atEntry = default;
        siginfo_t info = default;
        ucontext context = default;
        ulong returnAddress = 0, maskInside = 0, maskAfter = 0, rbx = 0, rsp = 0;
        byte[] xmm = [], xmmInside = [];
        long killed = -1;
        Routine handler = Handler;
        ScriptedGuest.Exited(guest.Run(Program));

        Assert.Equal((ulong)SIGUSR1, atEntry.Rdi);
        Assert.Equal(8UL, atEntry.Rsp % 16);
        Assert.Equal(atEntry.Rsp + 8, atEntry.Rdx);
        Assert.Equal(Restorer, returnAddress);
        // The red zone stays untouched.
        Assert.True(atEntry.Rsp + 440 + 128 <= ScriptedGuest.StackTop);
        Assert.Equal((SIGUSR1, SI_USER, 2, 1000u), (info.si_signo, info.si_code, info.si_pid, info.si_uid));
        Assert.Equal(0x1234UL, context.uc_mcontext.bx);
        Assert.Equal(ScriptedGuest.StackTop, context.uc_mcontext.sp);
        Assert.Equal(0UL, context.uc_mcontext.fpstate % 64);
        Assert.Equal(7UL, context.uc_flags);
        Assert.Equal(SignalSet.Of(SIGUSR1) | SignalSet.Of(SIGUSR2), maskInside);
        Assert.Equal(0UL, maskAfter);
        Assert.Equal(0x1234UL, rbx);
        Assert.Equal(ScriptedGuest.StackTop, rsp);
        Assert.Equal(0, killed);
        Assert.Equal(77, xmm[0]);
        Assert.Equal(0, xmmInside[0]);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return Handle(guest, cpu, SIGUSR1, handler, mask: SignalSet.Of(SIGUSR2) | SignalSet.Of(SIGKILL));
            cpu.Registers.Rbx = 0x1234;
            cpu.Xmm0[0] = 77;
            yield return cpu.Call(SYS_kill, 2, SIGUSR1);
            killed = cpu.Result;
            rbx = cpu.Registers.Rbx;
            rsp = cpu.Registers.Rsp;
            xmm = cpu.Xmm0.ToArray();
            yield return cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, 0, Data, 8);
            maskAfter = cpu.Read<ulong>(Data);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Handler(ScriptedCpu cpu)
        {
            atEntry = cpu.Registers;
            info = cpu.Read<siginfo_t>(atEntry.Rsi);
            context = cpu.Read<ucontext>(atEntry.Rdx);
            returnAddress = cpu.Read<ulong>(atEntry.Rsp);
            xmmInside = cpu.Xmm0.ToArray();
            cpu.Registers.Rbx = 99;
            yield return cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, 0, Data, 8);
            maskInside = cpu.Read<ulong>(Data);
            yield return cpu.ReturnFromHandler();
        }
    }

    [Fact]
    public void The_frame_is_the_kernels()
    {
        Assert.Equal(312UL, SignalFrame.InfoOffset);
        Assert.Equal(440, Marshal.SizeOf<SignalFrame>());
    }

    [Fact]
    public void Without_a_handler_the_signal_kills()
    {
        using ScriptedGuest guest = new();
        GuestEnd end = guest.Run(Program);
        Assert.Equal((EndCause.Signaled, (long)SIGUSR1), (end.Cause, end.Value));

        static IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_kill, 2, SIGUSR1);
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_fault_is_SIGSEGV_with_its_address(bool blocked)
    {
        using ScriptedGuest guest = new();
        siginfo_t info = default;
        sigcontext_64 context = default;
        Routine handler = Handler;
        GuestEnd end = guest.Run(Program);
        if (blocked)
        {
            // Blocking does not help: the fault would come for ever.
            Assert.Equal((EndCause.Signaled, (long)SIGSEGV), (end.Cause, end.Value));
            return;
        }
        Assert.Equal(5, ScriptedGuest.Exited(end));
        Assert.Equal((SIGSEGV, SEGV_MAPERR, 0xdead_0000UL), (info.si_signo, info.si_code, info.si_addr));
        Assert.Equal((14UL, 6UL, 0xdead_0000UL), (context.trapno, context.err, context.cr2));

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return Handle(guest, cpu, SIGSEGV, handler, SA_SIGINFO);
            if (blocked)
            {
                cpu.Write(Data, ulong.MaxValue);
                yield return cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, Data, 0, 8);
            }
            yield return new(GuestExitKind.PageFault, 0xdead_0000, errorCode: 6);
            yield return cpu.Call(SYS_exit_group, 1);
        }

        IEnumerable<GuestExit> Handler(ScriptedCpu cpu)
        {
            info = cpu.Read<siginfo_t>(cpu.Registers.Rsi);
            context = cpu.Read<ucontext>(cpu.Registers.Rdx).uc_mcontext;
            yield return cpu.Call(SYS_exit_group, 5);
        }
    }

    [Theory]
    [InlineData(0, SIGFPE, FPE_INTDIV)]
    [InlineData(1, SIGTRAP, TRAP_TRACE)]
    [InlineData(3, SIGTRAP, SI_KERNEL)]
    [InlineData(6, SIGILL, ILL_ILLOPN)]
    [InlineData(13, SIGSEGV, SI_KERNEL)]
    [InlineData(12, SIGBUS, SI_KERNEL)]
    [InlineData(17, SIGBUS, BUS_ADRALN)]
    public void Exceptions_are_the_signals_that_they_are_on_Linux(int vector, int signal, int code)
    {
        using ScriptedGuest guest = new();
        siginfo_t info = default;
        Routine handler = Handler;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal((signal, code), (info.si_signo, info.si_code));

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return Handle(guest, cpu, signal, handler, SA_SIGINFO);
            yield return new(GuestExitKind.Exception, vector: vector);
        }

        IEnumerable<GuestExit> Handler(ScriptedCpu cpu)
        {
            info = cpu.Read<siginfo_t>(cpu.Registers.Rsi);
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Theory]
    [InlineData(SA_RESTART, 0)]
    [InlineData(0, -EINTR)]
    public void An_interrupted_wait_is_repeated_or_fails(int flags, long expected)
    {
        using ScriptedGuest guest = new();
        long result = -1;
        int handled = 0;
        Routine handler = Handler, child = Child;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(1, handled);
        Assert.Equal(expected, result);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return Handle(guest, cpu, SIGUSR1, handler, (ulong)flags);
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_fork);
            yield return cpu.Call(SYS_futex, Shared, FUTEX_WAIT, 0, 0);
            result = cpu.Result;
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Handler(ScriptedCpu cpu)
        {
            handled++;
            yield return cpu.ReturnFromHandler();
        }

        IEnumerable<GuestExit> Child(ScriptedCpu cpu)
        {
            Thread.Sleep(30);
            yield return cpu.Call(SYS_kill, 2, SIGUSR1);
            Thread.Sleep(30);
            yield return cpu.Call(SYS_futex, Shared, FUTEX_WAKE, 1);
            yield return cpu.Call(SYS_exit);
        }
    }

    [Fact]
    public void Sleep_tells_what_is_left_and_goes_on_when_no_handler_ran()
    {
        using ScriptedGuest guest = new();
        long interrupted = 0, stopped = -1;
        timespec left = default;
        TimeSpan slept = default;
        Routine handler = Handler, child = Child;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(-EINTR, interrupted);
        Assert.Equal(99, left.tv_sec);
        Assert.Equal(0, stopped);
        Assert.InRange(slept.TotalMilliseconds, 195, 2000);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return Handle(guest, cpu, SIGUSR1, handler, SA_RESTART);
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_fork);
            cpu.Write(Data, new timespec { tv_sec = 100 });
            yield return cpu.Call(SYS_nanosleep, Data, Data + 16);
            interrupted = cpu.Result;
            left = cpu.Read<timespec>(Data + 16);
            cpu.Write(Data, new timespec { tv_nsec = 200_000_000 });
            long start = System.Diagnostics.Stopwatch.GetTimestamp();
            yield return cpu.Call(SYS_nanosleep, Data, Data + 16);
            slept = System.Diagnostics.Stopwatch.GetElapsedTime(start);
            stopped = cpu.Result;
            yield return cpu.Call(SYS_exit_group);
        }

        static IEnumerable<GuestExit> Handler(ScriptedCpu cpu)
        {
            yield return cpu.ReturnFromHandler();
        }

        static IEnumerable<GuestExit> Child(ScriptedCpu cpu)
        {
            Thread.Sleep(30);
            yield return cpu.Call(SYS_kill, 2, SIGUSR1);
            Thread.Sleep(50);
            yield return cpu.Call(SYS_kill, 2, SIGSTOP);
            Thread.Sleep(50);
            yield return cpu.Call(SYS_kill, 2, SIGCONT);
            yield return cpu.Call(SYS_exit);
        }
    }

    [Fact]
    public void Job_control_stops_and_continues()
    {
        using ScriptedGuest guest = new();
        List<int> statuses = [];
        List<long> results = [];
        Routine child = Child;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal([SIGSTOP << 8 | 0x7f, 0xffff, SIGKILL], statuses);
        Assert.Equal([3, 0, 3, 3], results);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            // The child has this mask from its first moment, whenever that is.
            cpu.Write(Data, SignalSet.Of(SIGTERM));
            yield return cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, Data, 0, 8);
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_fork);
            yield return cpu.Call(SYS_kill, 3, SIGSTOP);
            yield return cpu.Call(SYS_wait4, 3, Data, WUNTRACED, 0);
            results.Add(cpu.Result);
            statuses.Add(cpu.Read<int>(Data));
            // A stopped process does not die of SIGTERM yet.
            yield return cpu.Call(SYS_kill, 3, SIGTERM);
            Thread.Sleep(20);
            yield return cpu.Call(SYS_wait4, 3, Data, WNOHANG, 0);
            results.Add(cpu.Result);
            yield return cpu.Call(SYS_kill, 3, SIGSTOP);
            yield return cpu.Call(SYS_kill, 3, SIGCONT);
            yield return cpu.Call(SYS_wait4, 3, Data, WCONTINUED | WUNTRACED, 0);
            results.Add(cpu.Result);
            statuses.Add(cpu.Read<int>(Data));
            yield return cpu.Call(SYS_kill, 3, SIGKILL);
            yield return cpu.Call(SYS_wait4, 3, Data, 0, 0);
            results.Add(cpu.Result);
            statuses.Add(cpu.Read<int>(Data));
            yield return cpu.Call(SYS_exit_group);
        }

        static IEnumerable<GuestExit> Child(ScriptedCpu cpu)
        {
            while (true)
                yield return cpu.Spin(10);
        }
    }

    [Fact]
    public void Real_time_signals_queue_in_order_and_are_bounded()
    {
        using ScriptedGuest guest = new();
        List<int> values = [];
        long full = 0;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal([0, 1, 2], values);
        Assert.Equal(-EAGAIN, full);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            int signal = 40;
            cpu.Write(Data, SignalSet.Of(signal));
            yield return cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, Data, 0, 8);
            for (int i = 0; i < 3; i++)
            {
                cpu.Write(Data + 256, new siginfo_t { si_code = SI_QUEUE, si_int = i });
                yield return cpu.Call(SYS_rt_sigqueueinfo, 2, (ulong)signal, Data + 256);
            }
            for (int i = 0; i < 3; i++)
            {
                yield return cpu.Call(SYS_rt_sigtimedwait, Data, Data + 256, 0, 8);
                if (cpu.Result == signal)
                    values.Add(cpu.Read<siginfo_t>(Data + 256).si_int);
            }
            for (int i = 0; i <= LinuxPersonality.QueuedSignalLimit && full == 0; i++)
            {
                yield return cpu.Call(SYS_rt_sigqueueinfo, 2, (ulong)signal, Data + 256);
                full = cpu.Result;
            }
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void Sigsuspend_lets_the_handler_see_the_temporary_mask_and_restores_the_old_one()
    {
        using ScriptedGuest guest = new();
        ulong inside = 0, after = 0;
        long result = 0;
        Routine handler = Handler;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(-EINTR, result);
        Assert.Equal(SignalSet.Of(SIGUSR2) | SignalSet.Of(SIGUSR1), inside);
        Assert.Equal(SignalSet.Of(SIGUSR1), after);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return Handle(guest, cpu, SIGUSR1, handler);
            cpu.Write(Data, SignalSet.Of(SIGUSR1));
            yield return cpu.Call(SYS_rt_sigprocmask, SIG_SETMASK, Data, 0, 8);
            yield return cpu.Call(SYS_kill, 2, SIGUSR1);
            cpu.Write(Data, SignalSet.Of(SIGUSR2));
            yield return cpu.Call(SYS_rt_sigsuspend, Data, 8);
            result = cpu.Result;
            yield return cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, 0, Data, 8);
            after = cpu.Read<ulong>(Data);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Handler(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, 0, Data, 8);
            inside = cpu.Read<ulong>(Data);
            yield return cpu.ReturnFromHandler();
        }
    }

    [Fact]
    public void The_alternate_stack_is_used_and_too_small_a_stack_kills()
    {
        using ScriptedGuest guest = new();
        ulong handlerStack = 0;
        long whileOnIt = 0;
        Routine handler = Handler;
        GuestEnd end = guest.Run(Program);
        Assert.InRange(handlerStack, Data + 0x8000, Data + 0xc000);
        Assert.Equal(-EPERM, whileOnIt);
        // The stack pointer is wild, and the handler does not ask for the alternate stack.
        Assert.Equal((EndCause.Signaled, (long)SIGSEGV), (end.Cause, end.Value));

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Write(Data, new stack_t { ss_sp = Data + 0x8000, ss_size = 0x4000 });
            yield return cpu.Call(SYS_sigaltstack, Data, 0);
            yield return Handle(guest, cpu, SIGUSR1, handler, SA_ONSTACK);
            yield return cpu.Call(SYS_kill, 2, SIGUSR1);
            yield return Handle(guest, cpu, SIGUSR1, handler);
            cpu.Registers.Rsp = 0x100;
            yield return cpu.Call(SYS_kill, 2, SIGUSR1);
            yield return cpu.Call(SYS_exit_group, 9);
        }

        IEnumerable<GuestExit> Handler(ScriptedCpu cpu)
        {
            handlerStack = cpu.Registers.Rsp;
            yield return cpu.Call(SYS_sigaltstack, Data, 0);
            whileOnIt = cpu.Result;
            yield return cpu.ReturnFromHandler();
        }
    }

    [Fact]
    public void Hostile_frames_never_reach_the_VMM()
    {
        Random random = new(20240611);
        for (int round = 0; round < 200; round++)
        {
            using ScriptedGuest guest = new();
            byte[] frame = new byte[1024];
            random.NextBytes(frame);
            GuestEnd end = guest.Run(Program);
            Assert.Equal(EndCause.Signaled, end.Cause);
            Assert.Contains(end.Value, (long[])[SIGSEGV, SIGILL]);

            IEnumerable<GuestExit> Program(ScriptedCpu cpu)
            {
                for (int i = 0; i < frame.Length; i++)
                    cpu.Write(Data + (ulong)i, frame[i]);
                // A valid place for the extended state half of the time; the instruction pointer always in bounds.
                if (round % 2 == 0)
                    cpu.Write(Data + 8 + 40 + 184, Data + 512);
                if (round % 4 == 0)
                    cpu.Write(Data + 8 + 40 + 128, 0x7000_0000UL);
                cpu.Registers.Rsp = Data + 8;
                yield return cpu.Call(SYS_rt_sigreturn);
                Assert.Equal(0UL, cpu.Registers.Rflags & 0x3000);
                Assert.True(cpu.Registers.Rip < 0x7fff_ffff_f000);
                yield return new(GuestExitKind.Exception, vector: 6);
            }
        }
    }

    [Fact]
    public void Forging_the_kernels_signals_is_refused()
    {
        using ScriptedGuest guest = new();
        List<long> results = [];
        Routine child = Child;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal([-EPERM, -EPERM, -EPERM, -ESRCH, -EINVAL], results);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_fork);
            foreach (int code in (int[])[SI_USER, SI_KERNEL, SI_TKILL])
            {
                cpu.Write(Data, new siginfo_t { si_code = code });
                yield return cpu.Call(SYS_rt_sigqueueinfo, 3, SIGUSR1, Data);
                results.Add(cpu.Result);
            }
            yield return cpu.Call(SYS_kill, 999, SIGUSR1);
            results.Add(cpu.Result);
            yield return cpu.Call(SYS_kill, 3, 65);
            results.Add(cpu.Result);
            yield return cpu.Call(SYS_exit_group);
        }

        static IEnumerable<GuestExit> Child(ScriptedCpu cpu)
        {
            while (true)
                yield return cpu.Call(SYS_pause);
        }
    }
}
