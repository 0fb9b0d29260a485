using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Platforms;
using Sandbox.Vmm.Tests.Ipc;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>Making, ending and awaiting processes.</summary>
public sealed class ProcessTests
{
    private const ulong Data = ScriptedGuest.Data, Shared = ScriptedGuest.Shared;

    private static IEnumerable<GuestExit> Exit(ScriptedCpu cpu, int status)
    {
        yield return cpu.Call(SYS_exit_group, (ulong)status);
    }

    [Fact]
    public void The_first_process_gives_the_guest_its_status()
    {
        using ScriptedGuest guest = new();
        Assert.Equal(7, ScriptedGuest.Exited(guest.Run(cpu => Exit(cpu, 7))));
        Assert.Equal(0, guest.Platform.Rented);
    }

    [Fact]
    public void Identity_of_the_first_process()
    {
        using ScriptedGuest guest = new();
        List<long> seen = [];
        guest.Run(cpu => Program(cpu));
        // pid, tid, parent, group, session, uid
        Assert.Equal([2, 2, 1, 2, 1, 1000], seen);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            foreach (int number in (int[])[SYS_getpid, SYS_gettid, SYS_getppid, SYS_getpgrp])
            {
                yield return cpu.Call(number);
                seen.Add(cpu.Result);
            }
            yield return cpu.Call(SYS_getsid, 0);
            seen.Add(cpu.Result);
            yield return cpu.Call(SYS_getuid);
            seen.Add(cpu.Result);
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void Unknown_calls_answer_ENOSYS_and_are_counted()
    {
        using ScriptedGuest guest = new();
        List<long> seen = [];
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal([-ENOSYS, -ENOSYS, -ENOSYS], seen);
        var counters = guest.Personality.HostThreads.Sum();
        Assert.Equal(1, counters.UnknownCalls[SYS_create_module]);
        Assert.Equal(2, counters.OutOfRange);
        Assert.Equal(4, counters.ExitsByKind[(int)GuestExitKind.SystemCall]);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_create_module);
            seen.Add(cpu.Result);
            yield return cpu.Call(100_000);
            seen.Add(cpu.Result);
            yield return cpu.Call(-1);
            seen.Add(cpu.Result);
            yield return cpu.Call(SYS_exit_group);
        }
    }

    

    [Fact]
    public void Fork_copies_memory_and_wait_reports_the_status()
    {
        using ScriptedGuest guest = new();
        long pid = 0, waited = 0, none = 0;
        int status = 0, parentSees = 0, childSaw = 0;
        Routine child = Child;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(3, pid);
        Assert.Equal(3, waited);
        Assert.Equal(42 << 8, status);
        Assert.Equal(11, parentSees);
        Assert.Equal(11, childSaw);
        Assert.Equal(-ECHILD, none);
        Assert.Null(guest.Personality.FindProcess(3));

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Write(Data, 11);
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_fork);
            pid = cpu.Result;
            yield return cpu.Call(SYS_wait4, ulong.MaxValue, Data + 64, 0, 0);
            waited = cpu.Result;
            status = cpu.Read<int>(Data + 64);
            parentSees = cpu.Read<int>(Data);
            yield return cpu.Call(SYS_wait4, ulong.MaxValue, 0, 0, 0);
            none = cpu.Result;
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Child(ScriptedCpu cpu)
        {
            childSaw = cpu.Read<int>(Data);
            cpu.Write(Data, 12);
            yield return cpu.Call(SYS_exit, 42);
        }
    }

    [Fact]
    public void A_killed_child_is_reported_with_its_signal()
    {
        using ScriptedGuest guest = new();
        int status = 0;
        siginfo_t info = default;
        Routine child = Pause;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(SIGTERM, status);
        Assert.Equal((SIGCHLD, CLD_KILLED, SIGTERM), (info.si_signo, info.si_code, info.si_status));

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_fork);
            ulong pid = (ulong)cpu.Result;
            yield return cpu.Call(SYS_kill, pid, SIGTERM);
            yield return cpu.Call(SYS_waitid, P_PID, pid, Data, WEXITED | WNOWAIT);
            info = cpu.Read<siginfo_t>(Data);
            yield return cpu.Call(SYS_wait4, pid, Data, 0, 0);
            status = cpu.Read<int>(Data);
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Theory]
    [InlineData(ESTALE)]
    [InlineData(512)]
    [InlineData(601)]
    public void A_process_group_is_an_answer_whatever_its_number(int number)
    {
        using ScriptedGuest guest = new();
        Routine child = Child;
        long answer = 0;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(-number, answer);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(child);
            do
            {
                yield return cpu.Call(SYS_fork);
                if (cpu.Result < number)
                    yield return cpu.Call(SYS_wait4, (ulong)cpu.Result, 0, 0, 0);
            }
            while (cpu.Result > 0 && cpu.Result < number);
            yield return cpu.Call(SYS_setpgid, (ulong)number, (ulong)number);
            Assert.Equal(0, cpu.Result);
            yield return cpu.Call(SYS_pipe, Data);
            ulong pipe = cpu.Read<uint>(Data);
            yield return cpu.Call(SYS_fcntl, pipe, F_SETOWN, (ulong)-number);
            Assert.Equal(0, cpu.Result);
            yield return cpu.Call(SYS_fcntl, pipe, F_GETOWN);
            answer = cpu.Result;
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Child(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_getpid);
            while (cpu.Result >= number)
                yield return cpu.Spin(10);
            yield return cpu.Call(SYS_exit);
        }
    }

    private static IEnumerable<GuestExit> Pause(ScriptedCpu cpu)
    {
        while (true)
            yield return cpu.Call(SYS_pause);
    }

    [Fact]
    public void Ignoring_SIGCHLD_reaps_children_without_a_wait()
    {
        using ScriptedGuest guest = new();
        long result = 0;
        Routine child = cpu => Exit(cpu, 3);
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(-ECHILD, result);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Write(Data, new kernel_sigaction { sa_handler = SIG_IGN });
            yield return cpu.Call(SYS_rt_sigaction, SIGCHLD, Data, 0, 8);
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_fork);
            yield return cpu.Call(SYS_wait4, ulong.MaxValue, 0, 0, 0);
            result = cpu.Result;
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void Vfork_suspends_the_parent_until_the_child_ends()
    {
        using ScriptedGuest guest = new();
        int seen = 0;
        Routine child = Child;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(5, seen);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_vfork);
            // The same memory: the child's write is there when vfork returns.
            seen = cpu.Read<int>(Data);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Child(ScriptedCpu cpu)
        {
            Thread.Sleep(30);
            cpu.Write(Data, 5);
            yield return cpu.Call(SYS_exit, 0);
        }
    }

    [Theory]
    [InlineData(CLONE_SIGHAND, -EINVAL)]
    [InlineData(CLONE_THREAD, -EINVAL)]
    [InlineData(CLONE_THREAD | CLONE_SIGHAND, -EINVAL)]
    [InlineData(CLONE_NEWNS | CLONE_FS, -EINVAL)]
    [InlineData(CLONE_NEWUSER, -EPERM)]
    [InlineData(CLONE_NEWPID, -EPERM)]
    [InlineData(CLONE_NEWNET, -EPERM)]
    public void Clone_refuses(int flags, long expected)
    {
        using ScriptedGuest guest = new();
        long result = 0;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(expected, result);
        Assert.Equal(0, guest.Platform.Rented);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_clone, (uint)flags);
            result = cpu.Result;
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void The_limit_of_processes_counts_threads_and_zombies()
    {
        using ScriptedGuest guest = new(l => l.Processes = 4);
        List<long> results = [];
        Routine child = cpu => Exit(cpu, 0);
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal([3, 4, 5, -EAGAIN, 3, 6], results);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(child);
            for (int i = 0; i < 4; i++)
            {
                yield return cpu.Call(SYS_fork);
                results.Add(cpu.Result);
            }
            // Zombies hold their places until they are waited for.
            yield return cpu.Call(SYS_wait4, 3, 0, 0, 0);
            results.Add(cpu.Result);
            yield return cpu.Call(SYS_fork);
            results.Add(cpu.Result);
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void What_execve_copies_of_a_guest_is_counted_and_given_back()
    {
        const ulong path = Data, vector = Data + 0x100, text = Data + 0x1000;
        const long room = 3 << 20;
        using DirectGuest guest = new();
        KernelMemory budget = guest.Personality.ArgumentMemory;
        guest.Thread.Process.Limits.Set(RLIMIT_STACK, 64 << 20, 64 << 20);
        byte[] value = new byte[100_000];
        value.AsSpan().Fill((byte)'x');
        guest.Write(path, "/none"u8);
        guest.Write(text, value);
        guest.WriteWords(vector, [.. Enumerable.Repeat(text, 50), 0]);
        Assert.Equal(-ENOENT, guest.Call(SYS_execve, path, vector, 0));
        Assert.Equal(0, budget.Used);
        // Others have most of it.
        Assert.True(budget.TryReserve(budget.Limit - room));
        Assert.Equal(-ENOMEM, guest.Call(SYS_execve, path, vector, 0));
        Assert.Equal(-ENOMEM, guest.Call(SYS_execve, path, 0, vector));
        guest.WriteWords(vector, [.. Enumerable.Repeat(text, 20), 0]);
        Assert.Equal(-ENOENT, guest.Call(SYS_execve, path, vector, 0));
        Assert.Equal(-EFAULT, guest.Call(SYS_execve, path, vector, DirectGuest.Unmapped));
        Assert.Equal(budget.Limit - room, budget.Used);
    }

    [Fact]
    public void Descriptors_of_processes_are_counted_until_they_are_closed()
    {
        using DirectGuest guest = new();
        KernelMemory budget = guest.Personality.KernelMemory;
        Assert.True(budget.TryReserve(budget.Limit - budget.Used - 2 * KernelMemory.ObjectCost));
        long first = guest.Call(SYS_pidfd_open, LinuxPersonality.FirstPid);
        Assert.InRange(first, 0, 255);
        Assert.InRange(guest.Call(SYS_pidfd_open, LinuxPersonality.FirstPid), 0, 255);
        Assert.Equal(-ENFILE, guest.Call(SYS_pidfd_open, LinuxPersonality.FirstPid));
        Assert.Equal(budget.Limit, budget.Used);
        Assert.Equal(0, guest.Call(SYS_close, (ulong)first));
        Assert.Equal(first, guest.Call(SYS_pidfd_open, LinuxPersonality.FirstPid));
    }

    [Fact]
    public void A_process_that_has_ended_holds_no_buffers()
    {
        using ScriptedGuest guest = new();
        WeakReference buffer = null!, vector = null!, polled = null!;
        bool named = false, held = true;
        Routine child = Child;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.True(named);
        Assert.False(held);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, Data);
            ulong pid = (ulong)cpu.Result;
            yield return cpu.Call(SYS_wait4, pid, 0, 0, 0);
            // The host thread has returned from the child's last steps, or is about to.
            for (int i = 0; held && i < 500; i++, Thread.Sleep(10))
            {
                GC.Collect();
                held = buffer.IsAlive || vector.IsAlive || polled.IsAlive;
            }
            named = GuestThread.Current!.Descriptors.Acquire(cpu.Read<int>(Data)) is { } file
                && ((Personality.Processes.PidFile)file).Process.Leader.HasEnded;
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Child(ScriptedCpu cpu)
        {
            GuestThread thread = GuestThread.Current!;
            buffer = new(thread.TransferBuffer);
            vector = new(thread.VectorBuffer);
            polled = new(thread.PollSet);
            thread = null!;
            yield return cpu.Call(SYS_exit, 0);
        }
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public void A_fork_comes_behind_a_stop_of_its_group(bool meanwhile, bool byKill)
    {
        using ScriptedGuest guest = new();
        long pid = 0, waited = 0;
        Routine child = cpu => Exit(cpu, 0);
        GuestThread first = guest.Begin(Program);
        Assert.True(SpinWait.SpinUntil(() => first.Process.IsStopped, 20_000));
        Assert.Single(guest.Personality.ListProcesses());
        first.Process.SendSignal(SIGCONT, SignalInfo.Kernel(SIGCONT));
        ScriptedGuest.Exited(guest.Personality.WaitForEnd());
        Assert.InRange(pid, 3, 10);
        Assert.Equal(pid, waited);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(child);
            if (meanwhile)
                guest.Platform.OnRent = Stop;
            else
                Stop();
            yield return cpu.Call(SYS_fork);
            pid = cpu.Result;
            yield return cpu.Call(SYS_wait4, ulong.MaxValue, 0, 0, 0);
            waited = cpu.Result;
            yield return cpu.Call(SYS_exit_group);
        }

        void Stop()
        {
            if (byKill)
                guest.Personality.SystemCalls[SYS_kill].Handler(
                    GuestThread.Current!, new SystemCallArguments(0, SIGSTOP, 0, 0, 0, 0));
            else
                guest.Personality.SignalProcessGroup(LinuxPersonality.FirstPid, SIGSTOP, SignalInfo.Kernel(SIGSTOP));
        }
    }

    [Fact]
    public void Orphans_go_to_the_nearest_subreaper()
    {
        using ScriptedGuest guest = new();
        List<long> results = [];
        Routine grandchild = Grandchild, child = Child;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal([3, 4], results.Order());

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_fork);
            for (int i = 0; i < 2; i++)
            {
                yield return cpu.Call(SYS_wait4, ulong.MaxValue, 0, 0, 0);
                results.Add(cpu.Result);
            }
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Child(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(grandchild);
            yield return cpu.Call(SYS_fork);
            yield return cpu.Call(SYS_exit, 0);
        }

        IEnumerable<GuestExit> Grandchild(ScriptedCpu cpu)
        {
            long parent;
            do
            {
                yield return cpu.Call(SYS_getppid);
                parent = cpu.Result;
            }
            while (parent == 3);
            yield return cpu.Call(SYS_exit, (ulong)parent);
        }
    }

    [Fact]
    public void Orphans_go_past_a_subreaper_that_is_ending()
    {
        using DirectGuest guest = new();
        Process first = guest.Thread.Process;
        first.IsSubreaper = true;
        Process ending = Add(guest, first, 10), parent = Add(guest, ending, 11), orphan = Add(guest, parent, 12);
        ending.IsSubreaper = true;
        lock (guest.Personality.TaskLock)
            parent.BecomeZombie(0);
        Assert.Same(first, orphan.Parent);
    }

    /// <summary>A process without threads: its last one is gone, and what it held is being released.</summary>
    private static Process Add(DirectGuest guest, Process under, int pid)
    {
        Process first = guest.Thread.Process;
        Process made = new(guest.Personality, pid)
        {
            Memory = first.Memory,
            Descriptors = first.Descriptors,
            FileSystem = first.FileSystem,
            Actions = first.Actions,
        };
        made.InheritFrom(under);
        lock (guest.Personality.TaskLock)
        {
            under.Adopt(made);
            made.JoinGroup(under.Group);
        }
        return made;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_subreaper_hears_of_the_zombies_that_it_gets(bool ignores)
    {
        using DirectGuest guest = new();
        Process first = guest.Thread.Process;
        first.IsSubreaper = true;
        guest.Thread.SetSignalMask(SignalSet.Of(SIGCHLD));
        if (ignores)
            first.Actions[SIGCHLD].sa_handler = SIG_IGN;
        Process parent = Add(guest, first, 10), zombie = Add(guest, parent, 11);
        // As clone(2) without a signal makes it, and with a parent that ends silently itself.
        zombie.ExitSignal = parent.ExitSignal = 0;
        lock (guest.Personality.TaskLock)
        {
            zombie.BecomeZombie(7 << 8);
            Assert.Equal(0UL, guest.Thread.PendingSet);
            parent.BecomeZombie(0);
        }
        Assert.Equal(ignores, zombie.IsReaped);
        if (ignores)
            return;
        Assert.Same(first, zombie.Parent);
        Assert.Equal(SIGCHLD, guest.Thread.TryTakeSignal(SignalSet.Of(SIGCHLD), out siginfo_t info));
        Assert.Equal((11, CLD_EXITED, 7), (info.si_pid, info.si_code, info.si_status));
    }

    [Fact]
    public void Orphans_without_a_subreaper_belong_to_the_sandbox_which_reaps_them()
    {
        using ScriptedGuest guest = new();
        long parent = 0, result = 0;
        Routine grandchild = Grandchild, child = Child;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(1, parent);
        Assert.Equal(-ECHILD, result);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_fork);
            yield return cpu.Call(SYS_wait4, ulong.MaxValue, 0, 0, 0);
            while (Volatile.Read(ref parent) == 0 || guest.Personality.TaskCount > 1)
                yield return cpu.Call(SYS_sched_yield);
            yield return cpu.Call(SYS_wait4, ulong.MaxValue, 0, 0, 0);
            result = cpu.Result;
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Child(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(grandchild);
            yield return cpu.Call(SYS_fork);
            yield return cpu.Call(SYS_exit, 0);
        }

        IEnumerable<GuestExit> Grandchild(ScriptedCpu cpu)
        {
            do
                yield return cpu.Call(SYS_getppid);
            while (cpu.Result == 3);
            Volatile.Write(ref parent, cpu.Result);
            yield return cpu.Call(SYS_exit, 0);
        }
    }

    [Fact]
    public void The_end_of_the_first_process_ends_everything()
    {
        using ScriptedGuest guest = new();
        Routine child = Pause, spinner = Spin;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(0, guest.Platform.Rented);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_fork);
            cpu.Child = guest.Platform.AddressOf(spinner);
            yield return cpu.Call(SYS_fork);
            yield return cpu.Call(SYS_exit_group);
        }

        static IEnumerable<GuestExit> Spin(ScriptedCpu cpu)
        {
            while (true)
                yield return cpu.Spin(60_000);
        }
    }

    [Fact]
    public void Process_groups_and_sessions()
    {
        using ScriptedGuest guest = new();
        List<long> results = [];
        Routine child = Child;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal([-EPERM, 0, 3, -EPERM, 3, 3, 3, -EPERM], results);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            // A group leader may not start a session.
            yield return cpu.Call(SYS_setsid);
            results.Add(cpu.Result);
            // Blocked before the fork, so that the signal waits for the child.
            cpu.Write(Data, Personality.Signals.SignalSet.Of(SIGUSR1));
            yield return cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, Data, 0, 8);
            cpu.Child = guest.Platform.AddressOf(child);
            yield return cpu.Call(SYS_fork);
            yield return cpu.Call(SYS_setpgid, 3, 3);
            results.Add(cpu.Result);
            yield return cpu.Call(SYS_getpgid, 3);
            results.Add(cpu.Result);
            // No such group.
            yield return cpu.Call(SYS_setpgid, 3, 77);
            results.Add(cpu.Result);
            yield return cpu.Call(SYS_setpgid, 3, 2);
            yield return cpu.Call(SYS_kill, 3, SIGUSR1);
            yield return cpu.Call(SYS_wait4, 3, 0, 0, 0);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Child(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_rt_sigtimedwait, Data, 0, 0, 8);
            yield return cpu.Call(SYS_setsid);
            results.Add(cpu.Result);
            yield return cpu.Call(SYS_getsid, 0);
            results.Add(cpu.Result);
            yield return cpu.Call(SYS_getpgrp);
            results.Add(cpu.Result);
            // A session leader stays where it is.
            yield return cpu.Call(SYS_setpgid, 0, 2);
            results.Add(cpu.Result);
            yield return cpu.Call(SYS_exit);
        }
    }

    [Fact]
    public void An_exception_in_the_VMM_ends_the_guest_as_an_internal_error()
    {
        using ScriptedGuest guest = new();
        GuestEnd end = guest.Run(static _ => throw new InvalidOperationException("boom"));
        Assert.Equal(EndCause.Failed, end.Cause);
        Assert.Equal((long)VmmFailure.InternalError, end.Detail);
        Assert.Contains("boom", end.Message);
    }
}
