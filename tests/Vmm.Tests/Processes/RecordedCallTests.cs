using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Platforms;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>Decisions about system calls, where they are served: each is recorded once, and none takes effect unrecorded.</summary>
public sealed class RecordedCallTests : IDisposable
{
    private const ulong Data = ScriptedGuest.Data;

    private readonly SeqpacketChannel _supervisor;
    private readonly FileDescriptor _socket;

    public RecordedCallTests()
    {
        (FileDescriptor mine, _socket) = SeqpacketChannel.CreatePair();
        _supervisor = new SeqpacketChannel(mine);
    }

    public void Dispose()
    {
        _supervisor.Dispose();
        _socket.Dispose();
    }

    private sealed class NoFiles : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem) => throw new NotSupportedException(problem = name);
    }

    private ScriptedGuest NewGuest(WhenFull whenFull, bool handoff = false)
    {
        CompiledPolicy policy = CompiledPolicy.Load(
            new SourceText("p", "version: 1\nfragment: true\nsyscalls: [{allow: '@all'}, {deny: uname, answer: ENOSYS}]\n"),
            new NoFiles(), new Diagnostics())!;
        ScriptedGuest guest = new(limits =>
        {
            limits.Handoff = handoff;
            limits.Rules = policy.SystemCallTables;
            limits.Audit = new AuditPlan { Descriptor = 0, All = true, WhenFull = whenFull };
        });
        guest.Personality.RecordDecisionsTo(_socket);
        return guest;
    }

    private List<ulong> Numbers(ScriptedGuest guest)
    {
        guest.Personality.Recorder!.Finish();
        List<ulong> numbers = [];
        while (_supervisor.Receive(out DecisionMessage message) && message.Kind != DecisionKind.End)
            numbers.Add(System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(message.Request));
        return numbers;
    }

    [Fact]
    public void Every_call_is_recorded_with_what_it_was_answered()
    {
        using ScriptedGuest guest = NewGuest(WhenFull.Block);
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal([SYS_getpid, SYS_uname, SYS_exit_group], Numbers(guest).Select(number => (int)number));

        static IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_getpid);
            yield return cpu.Call(SYS_uname, Data);
            Assert.Equal(-ENOSYS, cpu.Result);
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void A_sink_that_is_full_ends_the_guest_with_its_cause()
    {
        using ScriptedGuest guest = NewGuest(WhenFull.Stop);
        GuestEnd end = guest.Run(Program);
        Assert.Equal(EndCause.AuditFull, end.Cause);
        Assert.InRange(guest.Personality.HostThreads.Sum().Calls[SYS_getpid], 10, 99_999);

        static IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            for (int i = 0; i < 100_000; i++)
            {
                yield return cpu.Call(SYS_getpid);
                Assert.True(cpu.Result is 2 or -EPERM);
            }
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void A_call_that_is_handed_back_is_recorded_once()
    {
        using ScriptedGuest guest = NewGuest(WhenFull.Block, handoff: true);
        Routine writer = Writer;
        GuestThread thread = guest.Begin(Program);
        using (new HandedOverCallTests.Attending(thread))
            ScriptedGuest.Exited(guest.Personality.WaitForEnd());
        List<ulong> numbers = Numbers(guest);
        Assert.Equal(2, numbers.Count(number => number == SYS_read));
        Assert.Equal(3, numbers.Count(number => number == SYS_getpid));

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_pipe, Data);
            foreach (GuestExit exit in HandedOverCallTests.Open(cpu))
                yield return exit;
            cpu.Child = guest.Platform.AddressOf(writer);
            yield return cpu.Call(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, Data + 0x10000);
            for (int i = 0; i < 2; i++)
            {
                foreach (GuestExit exit in cpu.HandOver(SYS_read, (ulong)cpu.Read<int>(Data), Data + 64, 7))
                    yield return exit;
                Assert.Equal(7, cpu.Result);
            }
            for (int i = 0; i < 3; i++)
                foreach (GuestExit exit in cpu.HandOver(SYS_getpid))
                    yield return exit;
            yield return cpu.Call(SYS_exit_group);
        }

        IEnumerable<GuestExit> Writer(ScriptedCpu cpu)
        {
            for (int i = 0; i < 2; i++)
            {
                yield return cpu.Spin(60);
                yield return cpu.Call(SYS_write, (ulong)cpu.Read<int>(Data + 4), Data + 1024, 7);
            }
            yield return cpu.Call(SYS_exit);
        }
    }
}
