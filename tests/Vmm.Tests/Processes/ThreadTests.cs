using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Platforms;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>Threads and futexes, limits on running, and what the loop costs.</summary>
public sealed class ThreadTests
{
    private const ulong Data = ScriptedGuest.Data;
    private const ulong ThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM
        | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID;

    private static GuestExit StartThread(ScriptedGuest guest, ScriptedCpu cpu, Routine code, ulong tidAddress)
    {
        cpu.Child = guest.Platform.AddressOf(code);
        return cpu.Call(SYS_clone, ThreadFlags, Data + 0x10000, tidAddress, tidAddress, 0);
    }

    /// <summary>Takes its time to be closed.</summary>
    private sealed class SlowFile(long nanoseconds) : Personality.Files.OpenFile(O_RDWR)
    {
        public override string DisplayName => "slow";

        public override long GetStatus(out stat status)
        {
            status = default;
            return 0;
        }

        protected override void Close()
        {
            long end = HostClock.ThreadCpuNanoseconds() + nanoseconds;
            while (HostClock.ThreadCpuNanoseconds() < end)
                Thread.SpinWait(10);
        }
    }

    [Fact]
    public void What_a_process_gives_back_at_its_end_is_the_guests_CPU_time()
    {
        const long cost = 50_000_000;
        using ScriptedGuest guest = new();
        ScriptedGuest.Exited(guest.Run(Program));
        // The guest's end does not wait for its last thread.
        Assert.True(SpinWait.SpinUntil(() => guest.Personality.CpuNanoseconds >= cost, 10_000));

        static IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            GuestThread.Current!.Descriptors.Add(new SlowFile(cost), closeOnExec: false);
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void A_thread_made_with_CLONE_VFORK_suspends_its_maker_until_it_ends()
    {
        using ScriptedGuest guest = new(l => l.WallMilliseconds = 20_000);
        int seen = 0;
        long tid = 0;
        Routine other = Other;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal((3, 5), (tid, seen));

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Child = guest.Platform.AddressOf(other);
            yield return cpu.Call(SYS_clone, ThreadFlags | CLONE_VFORK, Data + 0x10000, Data, Data, 0);
            tid = cpu.Result;
            seen = cpu.Read<int>(Data + 64);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Other(ScriptedCpu cpu)
        {
            Thread.Sleep(30);
            cpu.Write(Data + 64, 5);
            yield return cpu.Call(SYS_exit, 0);
        }
    }

    [Fact]
    public void A_thread_is_joined_through_its_tid_word()
    {
        using ScriptedGuest guest = new();
        long tid = 0, waited = -1;
        int word = -1, seen = 0;
        Routine other = Other;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(3, tid);
        Assert.True(waited is 0 or -EAGAIN);
        Assert.Equal(0, word);
        Assert.Equal(3, seen);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return StartThread(guest, cpu, other, Data);
            tid = cpu.Result;
            while (cpu.Read<int>(Data) == 3)
            {
                yield return cpu.Call(SYS_futex, Data, FUTEX_WAIT, 3, 0);
                waited = cpu.Result;
            }
            if (waited == -1)
                waited = 0;
            word = cpu.Read<int>(Data);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Other(ScriptedCpu cpu)
        {
            Thread.Sleep(30);
            yield return cpu.Call(SYS_gettid);
            seen = (int)cpu.Result;
            yield return cpu.Call(SYS_exit);
        }
    }

    [Fact]
    public void Exit_group_ends_threads_that_wait_or_run()
    {
        using ScriptedGuest guest = new();
        Routine waiter = Waiter, spinner = Spinner;
        Assert.Equal(4, ScriptedGuest.Exited(guest.Run(Program)));
        Assert.Equal(0, guest.Platform.Rented);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return StartThread(guest, cpu, waiter, Data);
            yield return StartThread(guest, cpu, spinner, Data + 8);
            Thread.Sleep(20);
            yield return cpu.Call(SYS_exit_group, 4);
        }

        static IEnumerable<GuestExit> Waiter(ScriptedCpu cpu)
        {
            while (true)
                yield return cpu.Call(SYS_futex, Data + 64, FUTEX_WAIT_PRIVATE, 0, 0);
        }

        static IEnumerable<GuestExit> Spinner(ScriptedCpu cpu)
        {
            while (true)
                yield return cpu.Spin(60_000);
        }
    }

    [Fact]
    public void The_process_lives_on_when_its_first_thread_exits()
    {
        using ScriptedGuest guest = new();
        Routine other = Other;
        // The leader's exit(2) status is the process's, as Linux has it.
        Assert.Equal(3, ScriptedGuest.Exited(guest.Run(Program)));

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return StartThread(guest, cpu, other, Data);
            yield return cpu.Call(SYS_exit, 3);
        }

        static IEnumerable<GuestExit> Other(ScriptedCpu cpu)
        {
            Thread.Sleep(40);
            yield return cpu.Call(SYS_getpid);
            Assert.Equal(2, cpu.Result);
            yield return cpu.Call(SYS_exit, 5);
        }
    }

    [Fact]
    public void Futex_waits_check_the_word_and_time_out()
    {
        using ScriptedGuest guest = new();
        List<long> results = [];
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal([-EAGAIN, -ETIMEDOUT, -ETIMEDOUT, -EINVAL, -EFAULT, -EINVAL, -EINVAL, 0, -ENOSYS, -EPERM, 0, -EDEADLK, 0], results);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            foreach (GuestExit call in Calls())
            {
                yield return call;
                results.Add(cpu.Result);
            }
            yield return cpu.Call(SYS_exit_group);

            IEnumerable<GuestExit> Calls()
            {
                cpu.Write(Data + 16, new timespec { tv_nsec = 5_000_000 });
                yield return cpu.Call(SYS_futex, Data, FUTEX_WAIT_PRIVATE, 1, 0);
                yield return cpu.Call(SYS_futex, Data, FUTEX_WAIT_PRIVATE, 0, Data + 16);
                // An absolute time that has passed.
                yield return cpu.Call(
                    SYS_futex, Data, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, Data + 16, 0, uint.MaxValue);
                yield return cpu.Call(SYS_futex, Data + 1, FUTEX_WAIT_PRIVATE, 0, 0);
                yield return cpu.Call(SYS_futex, 0x7000_0000, FUTEX_WAIT_PRIVATE, 0, 0);
                yield return cpu.Call(SYS_futex, Data, FUTEX_WAIT_BITSET_PRIVATE, 0, 0, 0, 0);
                cpu.Write(Data + 16, new timespec { tv_nsec = 1_000_000_000 });
                yield return cpu.Call(SYS_futex, Data, FUTEX_WAIT_PRIVATE, 0, Data + 16);
                yield return cpu.Call(SYS_futex, Data, FUTEX_WAKE_PRIVATE, 1);
                yield return cpu.Call(SYS_futex, Data, FUTEX_WAIT_REQUEUE_PI, 0, 0);
                // Free, taken by the caller, free again.
                yield return cpu.Call(SYS_futex, Data, FUTEX_UNLOCK_PI, 0, 0);
                yield return cpu.Call(SYS_futex, Data, FUTEX_LOCK_PI, 0, 0);
                yield return cpu.Call(SYS_futex, Data, FUTEX_TRYLOCK_PI, 0, 0);
                yield return cpu.Call(SYS_futex, Data, FUTEX_UNLOCK_PI, 0, 0);
            }
        }
    }

    [Fact]
    public void Requeue_moves_waiters_to_the_other_word()
    {
        using ScriptedGuest guest = new();
        const int waiters = 5;
        long requeued = 0, wrong = 0, left = 0, woken = 0;
        int awake = 0;
        Routine waiter = Waiter;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(-EAGAIN, wrong);
        Assert.Equal(1 + 3, requeued);
        Assert.Equal(3, woken);
        Assert.Equal(1, left);
        Assert.Equal(waiters, awake);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            for (int i = 0; i < waiters; i++)
                yield return StartThread(guest, cpu, waiter, Data + 256 + (ulong)i * 8);
            while (guest.Personality.Futexes.CountWaiters() < waiters)
                yield return cpu.Spin(1);
            yield return cpu.Call(SYS_futex, Data, FUTEX_CMP_REQUEUE_PRIVATE, 1, 3, Data + 64, 9);
            wrong = cpu.Result;
            yield return cpu.Call(SYS_futex, Data, FUTEX_CMP_REQUEUE_PRIVATE, 1, 3, Data + 64, 0);
            requeued = cpu.Result;
            yield return cpu.Call(SYS_futex, Data + 64, FUTEX_WAKE_PRIVATE, 100);
            woken = cpu.Result;
            yield return cpu.Call(SYS_futex, Data, FUTEX_WAKE_PRIVATE, 100);
            left = cpu.Result;
            while (Volatile.Read(ref awake) < waiters)
                yield return cpu.Spin(1);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Waiter(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_futex, Data, FUTEX_WAIT_PRIVATE, 0, 0);
            if (cpu.Result == 0)
                Interlocked.Increment(ref awake);
            yield return cpu.Call(SYS_exit);
        }
    }

    [Fact]
    public void No_wake_up_is_lost()
    {
        using ScriptedGuest guest = new();
        const int rounds = 2_000;
        int word = 0, turns = 0;
        Routine other = Player;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(rounds * 2, turns);

        // Two threads hand a word back and forth; a lost wake-up would hang until the time limit.
        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return StartThread(guest, cpu, other, Data + 256);
            foreach (GuestExit exit in Play(cpu, 0))
                yield return exit;
            while (cpu.Read<int>(Data + 256) != 0)
                yield return cpu.Spin(1);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Player(ScriptedCpu cpu)
        {
            foreach (GuestExit exit in Play(cpu, 1))
                yield return exit;
            yield return cpu.Call(SYS_exit);
        }

        IEnumerable<GuestExit> Play(ScriptedCpu cpu, int own)
        {
            for (int i = 0; i < rounds; i++)
            {
                while (Volatile.Read(ref word) != own)
                    yield return cpu.Call(SYS_futex, Data, FUTEX_WAIT_PRIVATE, (ulong)(1 - own), 0);
                turns++;
                cpu.Write(Data, 1 - own);
                Volatile.Write(ref word, 1 - own);
                yield return cpu.Call(SYS_futex, Data, FUTEX_WAKE_PRIVATE, 1);
            }
        }
    }

    [Fact]
    public void A_lock_with_an_owner_passes_from_hand_to_hand()
    {
        using ScriptedGuest guest = new();
        const int waiters = 4;
        int owners = 0, clashes = 0, inside = 0;
        uint last = 1;
        long stranger = 0;
        Routine waiter = Waiter;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(waiters, owners);
        Assert.Equal(0, clashes);
        Assert.Equal(0u, last);
        Assert.Equal(-ESRCH, stranger);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Write(Data, 2u);
            for (int i = 0; i < waiters; i++)
                yield return StartThread(guest, cpu, waiter, Data + 256 + (ulong)i * 8);
            while (guest.Personality.Futexes.CountWaiters() < waiters)
                yield return cpu.Spin(1);
            Assert.Equal(2 | FUTEX_WAITERS, cpu.Read<uint>(Data));
            // A plain wake-up is not for those who want to own the lock.
            yield return cpu.Call(SYS_futex, Data, FUTEX_WAKE_PRIVATE, 100);
            Assert.Equal(0, cpu.Result);
            yield return cpu.Call(SYS_futex, Data, FUTEX_UNLOCK_PI_PRIVATE);
            while (Volatile.Read(ref owners) < waiters || cpu.Read<uint>(Data) != 0)
                yield return cpu.Spin(1);
            last = cpu.Read<uint>(Data);
            cpu.Write(Data + 8, 999u);
            yield return cpu.Call(SYS_futex, Data + 8, FUTEX_LOCK_PI_PRIVATE, 0, 0);
            stranger = cpu.Result;
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Waiter(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_gettid);
            uint tid = (uint)cpu.Result;
            yield return cpu.Call(SYS_futex, Data, FUTEX_LOCK_PI_PRIVATE, 0, 0);
            if (cpu.Result != 0 || (cpu.Read<uint>(Data) & FUTEX_TID_MASK) != tid || Interlocked.Increment(ref inside) != 1)
                Interlocked.Increment(ref clashes);
            yield return cpu.Spin(1);
            Interlocked.Decrement(ref inside);
            Interlocked.Increment(ref owners);
            yield return cpu.Call(SYS_futex, Data, FUTEX_UNLOCK_PI_PRIVATE);
            yield return cpu.Call(SYS_exit);
        }
    }

    [Fact]
    public void A_robust_lock_of_a_dead_thread_is_marked_and_its_waiter_woken()
    {
        using ScriptedGuest guest = new();
        uint word = 0;
        Routine owner = Owner;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal((uint)FUTEX_OWNER_DIED | FUTEX_WAITERS, word);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return StartThread(guest, cpu, owner, Data + 256);
            while ((word = cpu.Read<uint>(Data + 0x110)) == 0)
                yield return cpu.Spin(1);
            cpu.Write(Data + 0x110, 3 | FUTEX_WAITERS);
            cpu.Write(Data + 0x300, 1);
            yield return cpu.Call(SYS_futex, Data + 0x110, FUTEX_WAIT, 3 | FUTEX_WAITERS, 0);
            word = cpu.Read<uint>(Data + 0x110);
            yield return cpu.Call(SYS_exit_group);
        }

        static IEnumerable<GuestExit> Owner(ScriptedCpu cpu)
        {
            const ulong head = Data + 0x200, entry = Data + 0x100;
            cpu.Write(head, new robust_list_head { list = new() { next = entry }, futex_offset = 0x10 });
            cpu.Write(entry, head);
            yield return cpu.Call(SYS_set_robust_list, head, 24);
            cpu.Write(entry + 0x10, 3u);
            while (cpu.Read<int>(Data + 0x300) == 0)
                yield return cpu.Spin(1);
            Thread.Sleep(20);
            yield return cpu.Call(SYS_exit);
        }
    }

    [Fact]
    public void Only_as_many_threads_run_as_the_plan_has_CPUs_and_all_get_their_turn()
    {
        Assert.SkipUnless(Environment.ProcessorCount > 1, "needs two CPUs");
        using ScriptedGuest guest = new(l => l.Cpus = 1);
        int[] turns = new int[4];
        int next = 0;
        Routine spinner = Spinner;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(1, guest.Platform.PeakRunning);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            for (int i = 0; i < 3; i++)
                yield return StartThread(guest, cpu, spinner, Data + (ulong)i * 8);
            // Unfairness would run into the guest's time limit.
            cpu.Write(Data + 256, new timespec { tv_nsec = 20_000_000 });
            while (turns[1..].Min() < 4)
                yield return cpu.Call(SYS_nanosleep, Data + 256, 0);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Spinner(ScriptedCpu cpu)
        {
            int own = Interlocked.Increment(ref next);
            while (true)
            {
                // Never leaves guest code on its own.
                yield return cpu.Spin(60_000);
                turns[own]++;
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Time_limits_end_the_guest(bool cpuTime)
    {
        using ScriptedGuest guest = new(l =>
        {
            l.WallMilliseconds = cpuTime ? 20_000 : 100;
            l.CpuMilliseconds = cpuTime ? 100 : 0;
        });
        GuestEnd end = guest.Run(Program);
        Assert.Equal((cpuTime ? EndCause.CpuTimeLimit : EndCause.WallTimeLimit, 100L), (end.Cause, end.Detail));
        Assert.Equal(0, guest.Platform.Rented);
        if (cpuTime)
            Assert.InRange(guest.Personality.CpuNanoseconds, 100_000_000, 400_000_000);
        Assert.InRange(guest.Personality.WallNanoseconds, 100_000_000, 3_000_000_000);

        static IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            while (true)
                yield return cpu.Spin(60_000);
        }
    }

    [Fact]
    public void Serving_calls_allocates_nothing()
    {
        using ScriptedGuest guest = new();
        const int calls = 100_000;
        long allocated = -1;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.InRange(allocated, 0, 1000);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Write(Data + 64, 0UL);
            long before = 0;
            for (int i = -1000; i < calls; i++)
            {
                if (i == 0)
                    before = GC.GetAllocatedBytesForCurrentThread();
                yield return (i & 3) switch
                {
                    0 => cpu.Call(SYS_getpid),
                    1 => cpu.Call(SYS_clock_gettime, CLOCK_MONOTONIC, Data),
                    2 => cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, Data + 64, Data + 72, 8),
                    _ => cpu.Call(SYS_futex, Data, FUTEX_WAKE_PRIVATE, 1),
                };
            }
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Theory]
    [InlineData(GuestExitKind.Failed)]
    public void A_platform_that_fails_ends_the_guest(GuestExitKind kind)
    {
        using ScriptedGuest guest = new();
        GuestEnd end = guest.Run(_ => [new(kind)]);
        Assert.Equal((EndCause.Failed, (long)VmmFailure.KvmCall), (end.Cause, end.Detail));
    }
}
