using System.Text;
using System.Text.Json;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Planning;
using Xunit;

namespace Sandbox.Supervisor.Tests.Audit;

/// <summary>One sandbox's trail: what is recorded, and what happens when it cannot be.</summary>
public sealed class AuditTrailTests
{
    /// <summary>Keeps the lines; fails or waits when told to.</summary>
    sealed class MemoryLog : IAuditLog
    {
        public List<JsonElement> Lines { get; } = [];
        public int Errno { get; set; }
        public ManualResetEventSlim Open { get; } = new(true);

        public void Append(IReadOnlyList<AuditEvent> events)
        {
            Open.Wait();
            if (Errno != 0)
                throw new HostException(Errno, "write", "log");
            lock (Lines)
                foreach (AuditEvent line in events)
                    Lines.Add(JsonDocument.Parse(line.Write(Lines.Count + 1)).RootElement);
        }

        public IEnumerable<string> Kinds => Lines.Select(line => line.GetProperty("Kind").GetString()!);

        public void Dispose() => Open.Set();
    }

    readonly MemoryLog _log = new();
    int _kills;

    static AuditSection Section(WhenFull whenFull, params AuditEvents[] record) => new(record, "/l", whenFull);

    static PlannedLaunch Launch(AuditSection section)
    {
        PolicyModel policy = FakeHost.DefaultPolicy;
        policy = policy with { Audit = new Sourced<AuditSection>(section, policy.Rules.First().Span, null) };
        return PlanBuilder.Build(new RunOptions { Arguments = ["true"] }, policy, new FakeHost().Facts, [], null, 0);
    }

    AuditTrail Begin(AuditSection section)
    {
        var trail = AuditTrail.Open(section, ScratchLog.Run, _log);
        trail.Begin(Launch(section), () => Interlocked.Increment(ref _kills));
        return trail;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void WallsAreALifecycleEvent(bool lifecycle)
    {
        using AuditTrail trail = Begin(Section(WhenFull.Block, lifecycle ? AuditEvents.Lifecycle : AuditEvents.Decisions));
        trail.RecordWalls(
        [
            new FactLine(JailWalls.Network, "network namespace", "another", "net:[2]", FactVerdict.Holds, FactSource.Read, null),
            new FactLine(JailWalls.Landlock, "Landlock", "put on", "", FactVerdict.Missing, FactSource.Reported, "no"),
        ]);
        trail.End("done", 0, default);
        JsonElement[] walls = [.. _log.Lines.Where(line => line.GetProperty("Kind").GetString() == "walls")];
        Assert.Equal(lifecycle ? 1 : 0, walls.Length);
        if (!lifecycle)
            return;
        Assert.Equal((1, 2), (walls[0].GetProperty("Holding").GetInt32(), walls[0].GetProperty("Checked").GetInt32()));
        JsonElement landlock = walls[0].GetProperty("Walls")[1];
        Assert.Equal(("Landlock", "missing", "reported"), (landlock.GetProperty("Wall").GetString(),
            landlock.GetProperty("Verdict").GetString(), landlock.GetProperty("Source").GetString()));
        LogEntry entry = LogEntry.Read(Encoding.UTF8.GetBytes(walls[0].GetRawText()))!;
        Assert.Equal("walls           1 of 2 hold; Landlock missing", entry.Text);
    }

    static DecisionRecord Denied(int number) => new($"connect tcp 10.0.0.{number}:1", false, "denied", null, 0, 5);

    static SeqpacketChannel Vmm(AuditTrail trail) => new(trail.VmmEnd!.Duplicate());

    static DecisionMessage Path(ulong sequence, bool allowed)
    {
        var message = new DecisionMessage
        {
            Version = DecisionMessage.CurrentVersion, Kind = DecisionKind.Path, Sequence = sequence, Length = 4,
            Access = allowed ? PathAccess.Read : PathAccess.Write, Rule = allowed ? 0 : -1, Result = allowed ? 0 : Libc.EACCES,
        };
        Encoding.ASCII.GetBytes("/usr").CopyTo((Span<byte>)message.Request);
        return message;
    }

    static DecisionMessage End(ulong sequence) => new()
    {
        Version = DecisionMessage.CurrentVersion, Kind = DecisionKind.End, Sequence = sequence,
    };

    /// <summary>A VMM's end that it has given away, in a message that nobody takes: reading ends with the VMM all the same.</summary>
    [Fact]
    public void WhoHasTheVmmsEndTooIsNotWaitedFor()
    {
        using AuditTrail trail = Begin(Section(WhenFull.Block, AuditEvents.Lifecycle, AuditEvents.Decisions));
        using FileDescriptor other = trail.VmmEnd!.Duplicate();
        using var vmm = new SeqpacketChannel(other.Duplicate());
        vmm.Send(Path(1, allowed: true));
        vmm.Send(End(2));
        Outcome? drained = null;
        var drain = new Thread(() => drained = trail.Drain(Exited)) { IsBackground = true };
        drain.Start();
        Assert.True(drain.Join(10_000), "it waits for somebody else");
        Assert.Equal(Exited, drained);
        Assert.Null(trail.End("the program exited", 0, default));
        Assert.Equal((1, true), (_log.Lines[^1].GetProperty("Decisions").GetInt32(), _log.Lines[^1].GetProperty("Complete").GetBoolean()));
    }

    static Outcome Exited => new Outcome.Ended(EndCause.Exited, 0, 0, 0);

    [Fact]
    public void AllOfARunIsRecorded()
    {
        AuditSection section = Section(WhenFull.Block, AuditEvents.Lifecycle, AuditEvents.Decisions);
        using AuditTrail trail = Begin(section);
        using (SeqpacketChannel vmm = Vmm(trail))
        {
            vmm.Send(Path(1, allowed: true));
            vmm.Send(Path(2, allowed: false));
            vmm.Send(End(3));
        }

        Assert.True(trail.Record(Denied(1)));
        Assert.Equal(Exited, trail.Drain(Exited));
        Assert.Null(trail.End("the program exited", 0, default));
        Assert.Equal(["start", "decision", "decision", "decision", "end"], _log.Kinds.OrderBy(kind => kind == "start" ? 0 : kind == "end" ? 2 : 1));
        JsonElement end = _log.Lines[^1];
        Assert.Equal((3, 0, true), (end.GetProperty("Decisions").GetInt32(), end.GetProperty("Dropped").GetInt32(), end.GetProperty("Complete").GetBoolean()));
        JsonElement allowed = _log.Lines.Single(line => line.TryGetProperty("Allowed", out JsonElement is_) && is_.GetBoolean());
        Assert.Equal("open /usr for read", allowed.GetProperty("Request").GetString());
        Assert.Equal("programs and libraries", allowed.GetProperty("Because").GetString());
        Assert.StartsWith("builtin:base.yaml:", allowed.GetProperty("Place").GetString(), StringComparison.Ordinal);
        Assert.Equal(0, _kills);
    }

    /// <summary>Its VMM decides nothing and has no socket to say so on.</summary>
    [Fact]
    public void ARunWhoseVmmRecordsNothingIsComplete()
    {
        AuditSection section = Section(WhenFull.Block, AuditEvents.Lifecycle, AuditEvents.Decisions);
        using AuditTrail trail = AuditTrail.Open(section, ScratchLog.Run, _log);
        PlannedLaunch launch = Launch(section);
        trail.Begin(launch with { Plan = launch.Plan with { Audit = null } }, () => { });
        Assert.True(trail.Record(Denied(1)));
        Assert.Equal(Exited, trail.Drain(Exited));
        Assert.Null(trail.End("the guest powered off", 0, default));
        Assert.Equal((1, true), (_log.Lines[^1].GetProperty("Decisions").GetInt32(), _log.Lines[^1].GetProperty("Complete").GetBoolean()));
    }

    /// <summary>Of a process that runs several, as one that learns does: nobody else's time and memory.</summary>
    [Fact]
    public void TheEndHasWhatItsOwnVmmTook()
    {
        foreach ((int seconds, int kibibytes) in ((int, int)[])[(3, 70_000), (1, 5_000)])
        {
            using AuditTrail trail = Begin(Section(WhenFull.Block, AuditEvents.Lifecycle));
            rusage usage = new() { ru_utime = new() { tv_sec = seconds }, ru_stime = new() { tv_usec = 2000 }, ru_maxrss = kibibytes };
            Assert.Null(trail.End("x", 0, usage));
            JsonElement end = _log.Lines[^1];
            Assert.Equal((seconds * 1000 + 2, kibibytes),
                (end.GetProperty("CpuMilliseconds").GetInt32(), end.GetProperty("PeakKibibytes").GetInt32()));
        }
    }

    [Fact]
    public void OnlyWhatThePolicySaysIsRecorded()
    {
        using AuditTrail trail = Begin(Section(WhenFull.Block, AuditEvents.Denials));
        using (SeqpacketChannel vmm = Vmm(trail))
        {
            vmm.Send(Path(1, allowed: true));
            vmm.Send(Path(2, allowed: false));
        }

        Assert.True(trail.Record(Denied(1) with { Allowed = true }));
        trail.Drain(Exited);
        trail.End("x", 0, default);
        Assert.Equal(["decision"], _log.Kinds);
        var lifecycle = new MemoryLog();
        using AuditTrail other = AuditTrail.Open(Section(WhenFull.Block, AuditEvents.Lifecycle), ScratchLog.Run, lifecycle);
        Assert.Null(other.VmmEnd);
        other.Begin(Launch(Section(WhenFull.Block, AuditEvents.Lifecycle)), () => { });
        Assert.True(other.Record(Denied(1)));
        other.Drain(Exited);
        other.End("x", 0, default);
        Assert.Equal(["start", "end"], lifecycle.Kinds);
    }

    [Fact]
    public void AVmmThatDiedLeavesAnIncompleteRecord()
    {
        using AuditTrail trail = Begin(Section(WhenFull.Block, AuditEvents.Lifecycle, AuditEvents.Decisions));
        using (SeqpacketChannel vmm = Vmm(trail))
            vmm.Send(Path(1, allowed: true));
        trail.Drain(Exited);
        trail.End("x", 0, default);
        Assert.False(_log.Lines[^1].GetProperty("Complete").GetBoolean());
    }

    [Fact]
    public void AVmmThatLiesIsEndedAndThatIsRecorded()
    {
        using AuditTrail trail = Begin(Section(WhenFull.Block, AuditEvents.Lifecycle, AuditEvents.Decisions));
        using (SeqpacketChannel vmm = Vmm(trail))
        {
            vmm.Send(Path(1, allowed: true));
            vmm.Send(Path(5, allowed: true));
            vmm.Send(Path(2, allowed: true));
        }

        Outcome outcome = trail.Drain(Exited);
        Assert.Equal("sent record 5 where 2 was due", Assert.IsType<Outcome.VmmMisbehaved>(outcome).What);
        Assert.Equal(1, _kills);
        trail.End("x", 125, default);
        Assert.Equal(["start", "decision", "misbehaved", "end"], _log.Kinds);
    }

    [Fact]
    public void AMessageOfAnotherSizeIsMisbehaviour()
    {
        using AuditTrail trail = Begin(Section(WhenFull.Block, AuditEvents.Decisions));
        using (SeqpacketChannel vmm = Vmm(trail))
            vmm.Send(new ChannelMessage { Version = 1 });
        Assert.Contains("broke the rules", Assert.IsType<Outcome.VmmMisbehaved>(trail.Drain(Exited)).What, StringComparison.Ordinal);
        trail.End("x", 125, default);
    }

    static void Wait(Func<bool> until)
    {
        for (int i = 0; i < 2_000 && !until(); i++)
            Thread.Sleep(5);
        Assert.True(until());
    }

    [Fact]
    public void AFullDiskIsWaitedFor()
    {
        using AuditTrail trail = Begin(Section(WhenFull.Block, AuditEvents.Denials));
        _log.Errno = Libc.ENOSPC;
        Assert.True(trail.Record(Denied(1)));
        Thread.Sleep(200);
        Assert.Equal(0, _kills);
        _log.Errno = 0;
        Wait(() => { lock (_log.Lines) return _log.Lines.Count == 1; });
        trail.Drain(Exited);
        Assert.Null(trail.End("x", 0, default));
    }

    [Fact]
    public void NobodyWaitsForAFullDiskOnceTheGuestHasEnded()
    {
        using AuditTrail trail = Begin(Section(WhenFull.Block, AuditEvents.Denials));
        _log.Errno = Libc.ENOSPC;
        trail.Record(Denied(1));
        trail.Drain(Exited);
        Assert.Contains("ENOSPC", trail.End("x", 0, default), StringComparison.Ordinal);
    }

    [Fact]
    public void AFullDiskDropsAndTheCountIsRecorded()
    {
        using AuditTrail trail = Begin(Section(WhenFull.Drop, AuditEvents.Lifecycle, AuditEvents.Denials));
        _log.Errno = Libc.ENOSPC;
        Assert.True(trail.Record(Denied(1)));
        Assert.True(trail.Record(Denied(2)));
        Thread.Sleep(200);
        _log.Errno = 0;
        Assert.True(trail.Record(Denied(3)));
        trail.Drain(Exited);
        Assert.Null(trail.End("x", 0, default));
        Assert.Equal(["start", "dropped", "decision", "end"], _log.Kinds);
        Assert.Equal(2, _log.Lines[1].GetProperty("Count").GetInt64());
        Assert.Equal(2, _log.Lines[^1].GetProperty("Dropped").GetInt64());
        Assert.False(_log.Lines[^1].GetProperty("Complete").GetBoolean());
        Assert.Equal(0, _kills);
    }

    [Theory]
    [InlineData(WhenFull.Stop, Libc.ENOSPC)]
    [InlineData(WhenFull.Stop, Libc.EIO)]
    [InlineData(WhenFull.Block, Libc.EIO)]
    [InlineData(WhenFull.Drop, Libc.EIO)]
    public void ALogThatCannotBeWrittenStopsTheGuest(WhenFull whenFull, int errno)
    {
        using AuditTrail trail = Begin(Section(whenFull, AuditEvents.Denials));
        _log.Errno = errno;
        trail.Record(Denied(1));
        Wait(() => Volatile.Read(ref _kills) == 1);
        Assert.Equal(whenFull == WhenFull.Drop, trail.Record(Denied(2)));
        Assert.IsType<Outcome.AuditFailed>(trail.Drain(Exited));
        Assert.NotNull(trail.End("x", 0, default));
    }

    [Fact]
    public void AFullQueueDoesWhatThePolicySays()
    {
        using AuditTrail stop = Begin(Section(WhenFull.Stop, AuditEvents.Denials));
        _log.Open.Reset();
        int taken = 0;
        while (stop.Record(Denied(1)))
            Assert.InRange(++taken, 0, 2 * AuditWriter.Capacity);
        Assert.InRange(taken, AuditWriter.Capacity, 2 * AuditWriter.Capacity);
        Assert.Equal(1, _kills);
        _log.Open.Set();
        Assert.IsType<Outcome.AuditFailed>(stop.Drain(Exited));
        stop.End("x", 0, default);

        using AuditTrail block = AuditTrail.Open(Section(WhenFull.Block, AuditEvents.Denials), ScratchLog.Run, _log);
        block.Begin(Launch(Section(WhenFull.Block, AuditEvents.Denials)), () => { });
        _log.Open.Reset();
        // Who can wait stops early enough for one that does not ask.
        while (block.HasRoom)
            Assert.True(block.Record(Denied(1)));
        for (taken = 0; block.Record(Denied(1)); taken++)
            Assert.InRange(taken, 0, AuditWriter.Capacity);
        Assert.InRange(taken, 10, 1000);
        _log.Open.Set();
        Wait(() => block.HasRoom);
        Assert.True(block.Record(Denied(1)));
        block.Drain(Exited);
        Assert.Null(block.End("x", 0, default));

        var log = new MemoryLog();
        using AuditTrail drop = AuditTrail.Open(Section(WhenFull.Drop, AuditEvents.Denials), ScratchLog.Run, log);
        drop.Begin(Launch(Section(WhenFull.Drop, AuditEvents.Denials)), () => { });
        log.Open.Reset();
        const int count = 2 * AuditWriter.Capacity;
        for (int i = 0; i < count; i++)
            Assert.True(drop.Record(Denied(1)));
        log.Open.Set();
        drop.Drain(Exited);
        drop.End("x", 0, default);
        long dropped = log.Lines.Where(line => line.GetProperty("Kind").GetString() == "dropped").Sum(line => line.GetProperty("Count").GetInt64());
        Assert.InRange(dropped, 1, count);
        Assert.Equal(count, dropped + log.Kinds.Count(kind => kind == "decision"));
    }

    [Fact]
    public void AFloodIsTakenNoFasterThanItsBound()
    {
        const int count = DecisionSocket.MaximumPerSecond * 3 / 2;
        using AuditTrail trail = Begin(Section(WhenFull.Block, AuditEvents.Denials));
        long began = HostClock.MonotonicNanoseconds();
        using (SeqpacketChannel vmm = Vmm(trail))
            for (ulong i = 1; i <= count; i++)
                vmm.Send(Path(i, allowed: true));
        trail.Drain(Exited);
        trail.End("x", 0, default);
        // Half a second's records more than one second takes: they wait for most of that half.
        Assert.InRange(HostClock.MonotonicNanoseconds() - began, 250_000_000, 120_000_000_000);
        Assert.Empty(_log.Kinds);
    }
}
