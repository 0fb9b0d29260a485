using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Handoff;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Platforms;
using Sandbox.Vmm.Tests.Files;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>Calls that are served while their processor waits in the guest: the same answers, each call once.</summary>
public sealed class HandedOverCallTests
{
    private const ulong Data = ScriptedGuest.Data;

    private static ScriptedGuest NewGuest() => new(limits => limits.Handoff = true);

    /// <summary>Attends the guest's first thread all the time, however rare its calls.</summary>
    internal sealed class Attending : IDisposable
    {
        private readonly Thread _thread;
        private bool _stop;

        public Attending(GuestThread thread)
        {
            _thread = new Thread(() =>
            {
                while (!Volatile.Read(ref _stop))
                {
                    if (thread.Cpu.Exchange is not { } exchange)
                        continue;
                    exchange.Attend(true);
                    if (!thread.TryServeIn(exchange))
                        Thread.Yield();
                }
            });
            _thread.Start();
        }

        public void Dispose()
        {
            Volatile.Write(ref _stop, true);
            _thread.Join();
        }
    }

    /// <summary>Has the calls handed over, and waits until somebody attends.</summary>
    internal static IEnumerable<GuestExit> Open(ScriptedCpu cpu)
    {
        cpu.TryOpenExchange();
        do
            yield return cpu.Spin(1);
        while (!cpu.IsAttended);
    }

    private static GuestEnd Run(ScriptedGuest guest, Routine program)
    {
        GuestThread thread = guest.Begin(program);
        using Attending attending = new(thread);
        return guest.Personality.WaitForEnd();
    }

    [Fact]
    public void Calls_are_answered_without_an_exit()
    {
        using ScriptedGuest guest = NewGuest();
        const int calls = 1000;
        ScriptedGuest.Exited(Run(guest, Program));
        Assert.InRange(guest.Personality.HostThreads.Sum().HandedOver, 1, calls);
        Assert.Equal(calls, guest.Personality.HostThreads.Sum().Calls[SYS_getpid]);

        static IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            foreach (GuestExit exit in Open(cpu))
                yield return exit;
            for (int i = 0; i < calls; i++)
            {
                foreach (GuestExit exit in cpu.HandOver(SYS_getpid))
                    yield return exit;
                Assert.Equal(2, cpu.Result);
            }
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void A_call_that_has_to_wait_is_handed_back_and_made_once()
    {
        using ScriptedGuest guest = NewGuest();
        Routine writer = Writer;
        ScriptedGuest.Exited(Run(guest, Program));
        Assert.Equal(1, guest.Personality.HostThreads.Sum().Calls[SYS_read]);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_pipe, Data);
            foreach (GuestExit exit in Open(cpu))
                yield return exit;
            cpu.Child = guest.Platform.AddressOf(writer);
            yield return cpu.Call(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, Data + 0x10000);
            foreach (GuestExit exit in cpu.HandOver(SYS_read, (ulong)cpu.Read<int>(Data), Data + 64, 100))
                yield return exit;
            Assert.Equal(7, cpu.Result);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Writer(ScriptedCpu cpu)
        {
            yield return cpu.Spin(60);
            yield return cpu.Call(SYS_write, (ulong)cpu.Read<int>(Data + 4), Data + 1024, 7);
            yield return cpu.Call(SYS_exit);
        }
    }

    [Fact]
    public void A_call_that_has_begun_is_finished_whatever_it_waits_for()
    {
        const int size = 200_000;
        using ScriptedGuest guest = NewGuest();
        Routine reader = Reader;
        ScriptedGuest.Exited(Run(guest, Program));

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_pipe, Data);
            foreach (GuestExit exit in Open(cpu))
                yield return exit;
            cpu.Child = guest.Platform.AddressOf(reader);
            yield return cpu.Call(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, Data + 0x10000);
            // Not a short count: nothing but a signal may cut a blocking write short.
            foreach (GuestExit exit in cpu.HandOver(SYS_write, (ulong)cpu.Read<int>(Data + 4), Data, size))
                yield return exit;
            Assert.Equal(size, cpu.Result);
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Reader(ScriptedCpu cpu)
        {
            yield return cpu.Spin(20);
            for (int read = 0; read < size; read += (int)cpu.Result)
            {
                yield return cpu.Spin(1);
                yield return cpu.Call(SYS_read, (ulong)cpu.Read<int>(Data), Data + 0x32000, 20_000);
                Assert.True(cpu.Result > 0);
            }
            while (true)
                yield return cpu.Spin(10);
        }
    }

    [Fact]
    public void An_open_of_a_fifo_that_is_handed_back_has_shown_itself_to_nobody()
    {
        using ScriptedGuest guest = new(limits => limits.Handoff = true, files: [GuestTree.Temporary("/tmp")]);
        Routine writer = Writer;
        int openings = 0;
        ScriptedGuest.Exited(Run(guest, Program));
        Assert.Equal(2, openings);
        Assert.Equal(3, guest.Personality.HostThreads.Sum().Calls[SYS_open]);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            cpu.Memory.TryWrite(new VirtualAddress(Data), "/tmp/fifo\0"u8);
            yield return cpu.Call(SYS_mknod, Data, S_IFIFO | 0x180, 0);
            Assert.Equal(0, cpu.Result);
            // Keeps the pipe, and with it the count.
            yield return cpu.Call(SYS_open, Data, O_RDONLY | O_NONBLOCK);
            Assert.True(cpu.Result >= 0);
            foreach (GuestExit exit in Open(cpu))
                yield return exit;
            cpu.Child = guest.Platform.AddressOf(writer);
            yield return cpu.Call(
                SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, Data + 0x10000);
            foreach (GuestExit exit in cpu.HandOver(SYS_open, Data, O_RDONLY))
                yield return exit;
            Assert.True(cpu.Result >= 0);
            OpenFile file = GuestThread.Current!.Descriptors.Acquire((int)cpu.Result)!;
            openings = ((PipeEnd)file).Pipe.ReaderOpenings;
            file.Release();
            yield return cpu.Call(SYS_exit_group);
        }

        static IEnumerable<GuestExit> Writer(ScriptedCpu cpu)
        {
            yield return cpu.Spin(60);
            yield return cpu.Call(SYS_open, Data, O_WRONLY);
            while (true)
                yield return cpu.Spin(10);
        }
    }

    [Fact]
    public void A_signal_to_itself_acts_before_the_next_instruction()
    {
        using ScriptedGuest guest = NewGuest();
        bool wentOn = false;
        GuestEnd end = Run(guest, Program);
        Assert.Equal((EndCause.Signaled, (long)SIGUSR1), (end.Cause, end.Value));
        Assert.False(wentOn);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            foreach (GuestExit exit in Open(cpu))
                yield return exit;
            foreach (GuestExit exit in cpu.HandOver(SYS_kill, 2, SIGUSR1))
                yield return exit;
            wentOn = true;
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void Memory_that_a_call_takes_away_is_gone_before_the_program_goes_on()
    {
        using ScriptedGuest guest = NewGuest();
        ScriptedGuest.Exited(Run(guest, Program));
        Assert.Equal(1, guest.Personality.HostThreads.Sum().ExitsByKind[(int)GuestExitKind.ServedCall]);

        static IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            foreach (GuestExit exit in Open(cpu))
                yield return exit;
            cpu.Write(Data, 1);
            // What really happens at the exit is the platform's to test; here, that there is one.
            foreach (GuestExit exit in cpu.HandOver(SYS_munmap, Data, 4096))
                yield return exit;
            Assert.Equal(0, cpu.Result);
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void Attendants_come_to_threads_with_frequent_calls_and_leave_again()
    {
        Assert.SkipWhen(Environment.ProcessorCount < Attendance.MinimumCpus, "the host has one CPU: nobody is free to attend");
        using ScriptedGuest guest = NewGuest();
        guest.Personality.Attendance!.Start();
        GuestThread thread = guest.Begin(Program);
        ScriptedGuest.Exited(guest.Personality.WaitForEnd());
        Assert.Null(thread.Attendant);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            // On a busy host it may take more than one attempt.
            long end = Environment.TickCount64 + 60_000;
            while (Environment.TickCount64 < end && GuestThread.Current!.Counters.HandedOver < 10)
                foreach (GuestExit exit in cpu.HandOver(SYS_getpid))
                    yield return exit;
            Assert.True(GuestThread.Current!.Counters.HandedOver >= 10);
            for (int i = 0; i < 100 && GuestThread.Current!.Attendant is not null; i++)
                Thread.Sleep(10);
            Assert.Null(GuestThread.Current!.Attendant);
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(256, false)]
    public void Without_a_spare_cpu_or_with_handoff_off_nobody_attends(int cpus, bool handoff)
    {
        using ScriptedGuest guest = new(limits =>
        {
            limits.Cpus = cpus;
            limits.Handoff = handoff;
        });
        Assert.Null(guest.Personality.Attendance);
    }

    [Fact]
    public void Attending_in_vain_is_tried_more_and_more_rarely()
    {
        EngagementHistory history = new();
        Assert.True(history.IsWorthwhile());
        int tries = 0;
        for (int call = 0; call < 1000; call++)
        {
            if (!history.IsWorthwhile())
                continue;
            tries++;
            history.Ended(servedCalls: 0);
        }
        Assert.InRange(tries, 5, 15);
        history.Ended(servedCalls: 100);
        Assert.True(history.IsWorthwhile());
    }
}
