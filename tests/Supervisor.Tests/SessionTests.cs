using System.Diagnostics;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Planning;
using Xunit;
using static Sandbox.Supervisor.Tests.FakeVmm;

namespace Sandbox.Supervisor.Tests;

public class SessionTests
{
    const string Started = "started";

    internal static LaunchPlan Plan { get; } = new()
    {
        Version = LaunchPlan.CurrentVersion,
        Arguments = ["true"],
        Environment = [],
        WorkingDirectory = "/",
        Hostname = "sandbox",
        User = new GuestUser { Name = "root", Uid = 0, Gid = 0, Home = "/root" },
        Limits = new GuestLimits
        {
            MemoryBytes = 1 << 20, Cpus = 1, WallMilliseconds = 60_000, CpuMilliseconds = 0, Processes = 1,
            OutputBytes = 0, TmpBytes = 0, OpenFiles = 16,
        },
        Files = [],
        Streams = new GuestStreams { Stdin = -1, Stdout = -1, Stderr = -1, Terminal = false, Result = -1, Trace = -1 },
        Handoff = false,
        StartedAtNanoseconds = 0,
    };

    // These never call KVM, so any descriptor will do.
    static VmmProcess StartVmm(string program)
    {
        using FileDescriptor nowhere = FileDescriptor.Open("/dev/null", Libc.O_RDWR);
        while (true)
        {
            // A shell script needs its files.
            VmmProcess vmm = VmmProcess.Start(program, nowhere, JailWalls.NoNewPrivileges);
            try
            {
                vmm.Confirm();
                return vmm;
            }
            catch (HostException busy) when (busy.Errno == Libc.ETXTBSY)
            {
                // Another test forked while the script was being written, and its child has not executed anything yet.
                vmm.Dispose();
            }
        }
    }

    /// <summary>What the session makes of a VMM that runs this script; nothing of it may be left afterwards.</summary>
    static Outcome Run(string script, LaunchPlan? plan = null, int startMilliseconds = 30_000)
    {
        using var fake = new FakeVmm(script.Replace(Started, $"{TakeMessage} >start; {Send(MessageKind.Started)}", StringComparison.Ordinal));
        using VmmProcess vmm = StartVmm(fake.Program);
        using SignalForwarder signals = SignalForwarder.Start(vmm, null);
        Outcome outcome = new Session(vmm, plan ?? Plan, signals) { StartMilliseconds = startMilliseconds }.Run([]);
        Assert.True(vmm.WaitForEnd(0));
        Assert.False(Directory.Exists($"/proc/{vmm.Pid}"));
        return outcome;
    }

    [Fact]
    public void AVmmThatSaysWhyTheGuestEndedIsBelieved()
    {
        Outcome outcome = Run($"{Started}; {Send(MessageKind.Ended, EndCause.Exited, 42, 7)}");
        Assert.Equal(new Outcome.Ended(EndCause.Exited, 0, 42, 7), outcome);
    }

    [Fact]
    public void TheVmmLearnsHowManyDescriptorsCome()
    {
        using var fake = new FakeVmm($"{TakeMessage} >start; {Send(MessageKind.Ended, EndCause.Exited)}");
        using VmmProcess vmm = StartVmm(fake.Program);
        using SignalForwarder signals = SignalForwarder.Start(vmm, null);
        using FileDescriptor nowhere = FileDescriptor.Open("/dev/null", Libc.O_RDWR);
        new Session(vmm, Plan, signals).Run([nowhere, nowhere, nowhere]);
        Assert.Equal("0100000001000000" + "0000000000000000" + "0300000000000000" + "0000000000000000", fake.Read("start"));
    }

    [Fact]
    public void AGuestsConnectionIsAnsweredAndOnlyWhereItsPolicyGivesASocket()
    {
        string script = $"{TakeMessage} >start; {Send(MessageKind.Started)}; {Send(MessageKind.Connect, value: 9)}; "
            + $"{TakeMessage} >answer; {Send(MessageKind.Ended, EndCause.Exited)}";
        using var fake = new FakeVmm(script);
        using VmmProcess vmm = StartVmm(fake.Program);
        using SignalForwarder signals = SignalForwarder.Start(vmm, null);
        var session = new Session(vmm, Plan, signals) { Services = new VsockServices(VsockServicesTests.Rule("/nowhere/guest.sock")) };
        Assert.IsType<Outcome.Ended>(session.Run([]));
        // ENOENT, and the number of the request.
        Assert.Equal("0100000006000000" + "0000000002000000" + "0900000000000000" + "0000000000000000", fake.Read("answer"));
        Assert.IsType<Outcome.VmmMisbehaved>(Run($"{Started}; {Send(MessageKind.Connect, value: 9)}; exec sleep 60"));
    }

    [Fact]
    public void AVmmThatEndsWithoutAWordIsSeen()
    {
        Assert.Equal(new Outcome.VmmDied(3 << 8), Run("exit 3"));
        Assert.Equal(new Outcome.VmmDied(0), Run($"{Started}; exit 0"));
        Assert.Equal(new Outcome.VmmDied(Libc.SIGSEGV), Run($"{Started}; ulimit -c 0; kill -SEGV $$"));
    }

    /// <summary>Of a VMM that runs this script in a jail with next to no wall, in a launch whose policy requires walls.</summary>
    static (Outcome Outcome, JailInspection Inspection, string Heard) RunInspected(string script, params Wall[] required)
    {
        using var fake = new FakeVmm($"{TakeMessage} >start; {script}");
        using VmmProcess vmm = StartVmm(fake.Program);
        using SignalForwarder signals = SignalForwarder.Start(vmm, null);
        var launch = new PlannedLaunch(Plan, []);
        var inspection = new JailInspection(vmm, ExpectedJail.Of(vmm, launch, []),
            [.. required.Select(wall => new Sourced<Wall>(wall, new SourceSpan(new SourceText("walls.yaml", ""), 3, 13, 1), null))], null);
        Outcome outcome = new Session(vmm, Plan, signals, null, inspection).Run([]);
        string file = Path.Combine(fake.Folder, "go");
        return (outcome, inspection, File.Exists(file) ? File.ReadAllText(file) : "");
    }

    static readonly string s_confined = Send(MemoryMarshal.AsBytes(
        [new ChannelMessage { Version = 1, Kind = MessageKind.Confined, Detail32 = (uint)StartOrders.Inspection }]));

    [Fact]
    public void AVmmGoesOnOnlyOnceItsJailHasBeenLookedAt()
    {
        (Outcome outcome, JailInspection inspection, string heard) = RunInspected(
            $"{s_confined}; {TakeMessage} >go; {Send(MessageKind.Started)}; {Send(MessageKind.Ended, EndCause.Exited, 5)}");
        Assert.Equal(new Outcome.Ended(EndCause.Exited, 0, 5, 0), outcome);
        Assert.StartsWith("0100000004000000", heard, StringComparison.Ordinal);
        // A script has a shell's descriptors, and this user's namespaces.
        Assert.Equal("holds", FactReport.WordOf(inspection.Lines.Single(line => line.Wall == JailWalls.NoNewPrivileges).Verdict));
        Assert.Equal("missing", FactReport.WordOf(inspection.Lines.First(line => line.Wall == JailWalls.Network).Verdict));
    }

    [Fact]
    public void AVmmThatStartsItsGuestBeforeIsEnded()
    {
        Assert.IsType<Outcome.VmmMisbehaved>(RunInspected($"{Send(MessageKind.Started)}; exec sleep 60").Outcome);
        Assert.IsType<Outcome.VmmMisbehaved>(RunInspected($"{s_confined}; {s_confined}; exec sleep 60").Outcome);
    }

    [Theory]
    [InlineData(Wall.NoNetwork, "no-network", "network namespace: the supervisor's net:[")]
    [InlineData(Wall.Seccomp, "seccomp", "seccomp filter: mode 0 on thread ")]
    [InlineData(Wall.Landlock, "landlock", "Landlock: not put on")]
    [InlineData(Wall.Cgroup, "cgroup", "control group: none, expected limits of memory")]
    [InlineData(Wall.UserMapping, "user-mapping", "user namespace: the supervisor's user:[")]
    public void AWallThatTheKernelDoesNotShowIsTheEnd(Wall wall, string name, string found)
    {
        (Outcome outcome, _, string heard) = RunInspected($"{s_confined}; {TakeMessage} >go; exec sleep 60", wall);
        Assert.Equal("", heard);
        (int status, string? line) = ExitReport.For(Plan, outcome);
        Assert.Equal(ExitStatus.SandboxFailed, status);
        Assert.StartsWith($"walls.yaml:3:13: the policy requires the wall {name}, which does not stand as the kernel shows it ({found}",
            line, StringComparison.Ordinal);
        Assert.EndsWith("the guest was stopped before its first instruction", line, StringComparison.Ordinal);
    }

    [Fact]
    public void AnEndBeforeTheStartIsBelievedToo()
    {
        Outcome outcome = Run($"{Send(MessageKind.Ended, EndCause.Failed, Libc.EIO, (long)VmmFailure.KvmCall)}; {TakeMessage} >start");
        Assert.Equal(new Outcome.Ended(EndCause.Failed, 0, Libc.EIO, (long)VmmFailure.KvmCall), outcome);
    }

    [Fact]
    public void AVmmThatLingersAfterItsLastWordIsEnded()
    {
        var clock = Stopwatch.StartNew();
        Outcome outcome = Run($"{Started}; {Send(MessageKind.Ended, EndCause.Exited)}; exec sleep 60");
        Assert.IsType<Outcome.Ended>(outcome);
        Assert.InRange(clock.Elapsed.TotalSeconds, 1.5, 20);
    }

    [Fact]
    public void AVmmThatClosesItsChannelAndStaysIsEnded()
    {
        var clock = Stopwatch.StartNew();
        Assert.IsType<Outcome.VmmDied>(Run($"{Started}; exec sleep 60 3>&-"));
        Assert.InRange(clock.Elapsed.TotalSeconds, 1.5, 20);
    }

    [Fact]
    public void AVmmThatIgnoresTheWallClockLimitIsEnded()
    {
        LaunchPlan plan = Plan with { Limits = Plan.Limits with { WallMilliseconds = 100 } };
        var clock = Stopwatch.StartNew();
        Assert.IsType<Outcome.WallTimeEnforced>(Run($"{Started}; exec sleep 60", plan));
        Assert.InRange(clock.Elapsed.TotalSeconds, 2, 20);
    }

    [Fact]
    public void AVmmThatNeverStartsItsGuestIsEnded() =>
        Assert.IsType<Outcome.VmmSilent>(Run("exec sleep 60", null, startMilliseconds: 300));

    public static TheoryData<string, string> HostileMessages => new()
    {
        { "an older version", Send(MessageKind.Started, version: 0) },
        { "a newer version", Send(MessageKind.Started, version: 2) },
        { "any bytes", Send([.. Enumerable.Repeat((byte)0xff, 32)]) },
        { "zeros", Send(new byte[32]) },
        { "too short", Send(new byte[31]) },
        { "one byte", Send([1]) },
        { "too long", Send(new byte[33]) },
        { "much too long", "head -c 65536 /dev/zero >&3 2>/dev/null" },
        { "our own kind of message", Send(MessageKind.Start) },
        { "our own signal", Send(MessageKind.Signal) },
        { "an unknown kind", Send((MessageKind)21) },
        { "counted, which nobody asked for", $"{Send(MessageKind.Started)}; {Send(MessageKind.Counted, value: 1)}" },
        { "confined, which nobody asked for", Send(MessageKind.Confined) },
        { "started twice", $"{Send(MessageKind.Started)}; {Send(MessageKind.Started)}" },
        { "stopped without a terminal", $"{Send(MessageKind.Started)}; {Send(MessageKind.Stopped)}" },
        { "stopped before the start", Send(MessageKind.Stopped) },
    };

    [Theory, MemberData(nameof(HostileMessages))]
    public void AVmmThatBreaksTheRulesIsEndedAtOnce(string what, string message)
    {
        Assert.NotEmpty(what);
        var clock = Stopwatch.StartNew();
        Outcome outcome = Run($"{TakeMessage} >start; {message}; exec sleep 60");
        Assert.IsType<Outcome.VmmMisbehaved>(outcome);
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 15);
        (int status, string? line) = ExitReport.For(Plan, outcome);
        Assert.Equal(ExitStatus.SandboxFailed, status);
        Assert.DoesNotContain(line!, char.IsControl);
    }

    [Fact]
    public void NothingAfterTheLastWordCounts()
    {
        string bad = Send(new byte[7]);
        Outcome outcome = Run($"{Started}; {Send(MessageKind.Ended, EndCause.Exited, 1)}; {bad}; {Send(MessageKind.Ended, EndCause.Exited, 2)}");
        Assert.Equal(new Outcome.Ended(EndCause.Exited, 0, 1, 0), outcome);
    }

    [Fact]
    public void TheVmmIsGivenNothingButItsChannelAndKvm()
    {
        System.Environment.SetEnvironmentVariable("SANDBOX_TEST_SECRET", "secret");
        using FileDescriptor inherited = FileDescriptor.Open("/etc/passwd", Libc.O_RDONLY);
        int copy = Libc.fcntl(inherited.Value, Libc.F_DUPFD, 100);
        Assert.True(copy >= 100);
        try
        {
            using var fake = new FakeVmm($"""
                tr '\0' '\n' </proc/$$/environ >environment
                ls -1 /proc/$$/fd >descriptors
                readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/4 >streams
                ps -o pid=,sid=,pgid=,tty= $$ >session
                grep -E '^Sig(Blk|Ign)' /proc/self/status >signals
                echo $$ >pid
                {Send(MessageKind.Ended, EndCause.Exited)}
                """);
            using VmmProcess vmm = StartVmm(fake.Program);
            using SignalForwarder signals = SignalForwarder.Start(vmm, null);
            Assert.IsType<Outcome.Ended>(new Session(vmm, Plan, signals).Run([]));
            Assert.Equal("", fake.Read("environment"));
            // 255 is where bash keeps its script.
            Assert.Equal(["0", "1", "2", "255", "3", "4"], fake.Read("descriptors").Split('\n', StringSplitOptions.RemoveEmptyEntries));
            Assert.Equal("/dev/null\n/dev/null\n/dev/null\n", fake.Read("streams"));
            string pid = fake.Read("pid").Trim();
            Assert.Equal([pid, pid, pid, "?"], fake.Read("session").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
            Assert.Equal("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n", fake.Read("signals"));
        }
        finally
        {
            Libc.close(copy);
        }
    }

    [Fact]
    public void AMissingVmmIsExplained()
    {
        HostException failure = Assert.Throws<HostException>(() => StartVmm("/nonexistent/sandbox-vmm"));
        Assert.Equal(Libc.ENOENT, failure.Errno);
        Assert.Contains("belongs beside sandbox", failure.Message, StringComparison.Ordinal);
        using var notExecutable = new FakeVmm("true");
        File.SetUnixFileMode(notExecutable.Program, UnixFileMode.UserRead);
        Assert.Equal(Libc.EACCES, Assert.Throws<HostException>(() => StartVmm(notExecutable.Program)).Errno);
    }

    [Fact]
    public void DisposingEndsTheVmm()
    {
        using var fake = new FakeVmm("exec sleep 60");
        VmmProcess vmm = StartVmm(fake.Program);
        int pid = vmm.Pid;
        Assert.True(Directory.Exists($"/proc/{pid}"));
        vmm.Dispose();
        Assert.False(Directory.Exists($"/proc/{pid}"));
    }
}
