using System.Runtime.InteropServices;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Vmm.Personality.Audit;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.SystemCalls;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

/// <summary>What the VMM says about decisions: each once, in order, with its rule, and nothing unsaid takes effect.</summary>
public sealed class DecisionRecordTests : IDisposable
{
    const string Policy = """
        version: 1
        fragment: true
        files:
          show:
            - {path: /tmp, memory: true, mode: "1777"}
          rules:
            - {deny: read, path: /tmp/secret}
            - {deny: [read, write, execute, create, delete], path: /tmp/nothing}
        """;

    readonly SeqpacketChannel _supervisor;
    readonly SeqpacketChannel _vmm;
    int _stops;
    GuestTree? _tree;

    public DecisionRecordTests()
    {
        (FileDescriptor mine, FileDescriptor theirs) = SeqpacketChannel.CreatePair();
        _supervisor = new SeqpacketChannel(mine);
        _vmm = new SeqpacketChannel(theirs);
    }

    public void Dispose()
    {
        _tree?.Dispose();
        _supervisor.Dispose();
        _vmm.Dispose();
    }

    sealed class NoFiles : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem) => throw new NotSupportedException(problem = name);
    }

    DecisionRecorder Recorder(bool all = true, WhenFull whenFull = WhenFull.Block) =>
        new(_vmm, new AuditPlan { Descriptor = 0, All = all, WhenFull = whenFull }, () => _stops++);

    GuestTree Tree(DecisionRecorder recorder)
    {
        var diagnostics = new Diagnostics();
        CompiledPolicy policy = CompiledPolicy.Load(new SourceText("p", Policy), new NoFiles(), diagnostics)!;
        return _tree = new GuestTree(policy.Paths, recorder, GuestTree.Grant("ro", "/ro", writable: false));
    }

    static string Request(DecisionMessage message) =>
        Encoding.UTF8.GetString(((ReadOnlySpan<byte>)message.Request)[..(int)message.Length]);

    /// <summary>All that was sent so far.</summary>
    List<DecisionMessage> Sent()
    {
        var all = new List<DecisionMessage>();
        var readable = new pollfd { fd = _supervisor.Socket.Value, events = POLLIN };
        unsafe
        {
            while (poll(&readable, 1, 0) == 1 && _supervisor.Receive(out DecisionMessage message))
                all.Add(message);
        }

        return all;
    }

    [Fact]
    public void EachAccessIsOneDecisionWithItsRule()
    {
        GuestTree tree = Tree(Recorder());
        tree.Write("/tmp/secret", "x");
        Sent();
        Assert.Equal(-EACCES, tree.Try("/tmp/secret", O_RDWR));
        List<DecisionMessage> sent = Sent();
        Assert.Equal(2, sent.Count);
        Assert.Equal((DecisionKind.Path, PathAccess.Read, EACCES, 1, "/tmp/secret"),
            (sent[0].Kind, sent[0].Access, sent[0].Result, sent[0].Rule, Request(sent[0])));
        Assert.Equal((DecisionKind.Path, PathAccess.Write, 0, 0, "/tmp/secret"),
            (sent[1].Kind, sent[1].Access, sent[1].Result, sent[1].Rule, Request(sent[1])));
        Assert.Equal(sent[0].Sequence + 1, sent[1].Sequence);
        Assert.All(sent, message => Assert.InRange(message.Nanoseconds, 0, 1_000_000_000));
        Assert.All(sent, message => Assert.Equal((1u, 0u), (message.Version, message.Truncated)));
    }

    [Fact]
    public void WhereDenialsAreRecordedNothingElseIs()
    {
        GuestTree tree = Tree(Recorder(all: false));
        tree.Write("/tmp/secret", "x");
        Assert.Empty(Sent());
        Assert.Equal(-EACCES, tree.Try("/tmp/secret", O_RDONLY));
        Assert.Equal(-EACCES, tree.Try("/tmp/nothing", O_CREAT | O_WRONLY));
        Assert.Equal(["/tmp/secret", "/tmp/nothing", "/tmp/nothing"], Sent().Select(Request));
    }

    [Fact]
    public void WhatAReadOnlyMountRefusesIsADenialToo()
    {
        GuestTree tree = Tree(Recorder(all: false));
        Assert.Equal(-EROFS, tree.Try("/ro/new", O_CREAT | O_WRONLY));
        Assert.Equal(-EROFS, tree.MakeDirectory("/ro/folder"));
        List<DecisionMessage> sent = Sent();
        Assert.Equal(["/ro/new", "/ro/folder"], sent.Select(Request));
        Assert.All(sent, message => Assert.Equal(
            (PathAccess.Create, EROFS, Verdict.NoRule), (message.Access, message.Result, message.Rule)));
    }

    [Fact]
    public void LooksAndMovesAreDecisions()
    {
        GuestTree tree = Tree(Recorder());
        tree.Write("/tmp/a", "x");
        tree.Write("/tmp/secret", "x");
        Sent();
        Assert.Equal(-EXDEV, tree.Rename("/tmp/secret", "/tmp/b"));
        DecisionMessage move = Assert.Single(Sent(), message => message.Kind == DecisionKind.Move);
        Assert.Equal((EXDEV, "/tmp/secret\0/tmp/b"), (move.Result, Request(move)));
        Assert.Equal(0, PathGuard.CheckVisible(tree.Find("/tmp/a")));
        DecisionMessage look = Assert.Single(Sent());
        Assert.Equal((DecisionKind.Look, 0, 0, "/tmp/a"), (look.Kind, look.Result, look.Rule, Request(look)));
    }

    [Fact]
    public void ALongPathIsCutAndSaysSo()
    {
        DecisionRecorder recorder = Recorder();
        byte[] path = new byte[DecisionMessage.RequestBytes + 1];
        path.AsSpan().Fill((byte)'a');
        Assert.True(recorder.RecordPath(DecisionKind.Path, PathAccess.Read, 0, 0, 5, path, isWhole: true));
        Assert.True(recorder.RecordPath(DecisionKind.Path, PathAccess.Read, 0, 0, 5, path.AsSpan(1), isWhole: true));
        Assert.True(recorder.RecordPath(DecisionKind.Path, PathAccess.Read, 0, 0, 5, "/x"u8, isWhole: false));
        Assert.True(recorder.RecordMove(0, 5, path, "/x"u8, areWhole: true));
        List<DecisionMessage> sent = Sent();
        Assert.Equal([1u, 0u, 1u, 1u], sent.Select(message => message.Truncated));
        Assert.Equal((uint)DecisionMessage.RequestBytes, sent[0].Length);
        Assert.EndsWith("a\0/x", Request(sent[3]));
    }

    [Fact]
    public void ACallIsItsNumberAndSixArguments()
    {
        DecisionRecorder recorder = Recorder();
        recorder.RecordCall(7, new SystemCallArguments(1, 2, 3, 4, 5, ulong.MaxValue), new(false, 3, SystemCallTables.Kill), 9);
        recorder.RecordCall(8, new SystemCallArguments(0, 0, 0, 0, 0, 0), new(true, 4, 0), 9);
        List<DecisionMessage> sent = Sent();
        Assert.Equal((DecisionKind.SystemCall, DecisionMessage.Killed, 3, 9L, 56u),
            (sent[0].Kind, sent[0].Result, sent[0].Rule, sent[0].Nanoseconds, sent[0].Length));
        DecisionMessage call = sent[0];
        Assert.Equal([7UL, 1UL, 2UL, 3UL, 4UL, 5UL, ulong.MaxValue],
            MemoryMarshal.Cast<byte, ulong>(((ReadOnlySpan<byte>)call.Request)[..56]).ToArray());
        Assert.Equal(0, sent[1].Result);
    }

    /// <returns>How many fitted before the first that did not.</returns>
    static int Fill(DecisionRecorder recorder, Func<bool> full)
    {
        int count = 0;
        while (!full())
        {
            recorder.RecordPath(DecisionKind.Path, PathAccess.Read, 0, 0, 0, "/x"u8, isWhole: true);
            Assert.InRange(++count, 0, 100_000);
        }

        return count;
    }

    [Fact]
    public void AFullSinkStopsTheGuestOnceAndRefusesWhatIsUnsaid()
    {
        DecisionRecorder recorder = Recorder(whenFull: WhenFull.Stop);
        int count = Fill(recorder, () => _stops > 0);
        Assert.False(recorder.RecordPath(DecisionKind.Path, PathAccess.Read, 0, 0, 0, "/x"u8, isWhole: true));
        Assert.Equal(1, _stops);
        Assert.Equal(count - 1, Sent().Count);
        // Also once there is room again: what came in between would be missing.
        GuestTree tree = Tree(recorder);
        Assert.Equal(-EACCES, tree.Try("/tmp/new", O_CREAT | O_WRONLY));
        Assert.Empty(Sent());
    }

    [Fact]
    public void AFullSinkDropsAndSaysHowMany()
    {
        DecisionRecorder recorder = Recorder(whenFull: WhenFull.Drop);
        for (int i = 0; i < 5_000; i++)
            Assert.True(recorder.RecordPath(DecisionKind.Path, PathAccess.Read, 0, 0, 0, "/x"u8, isWhole: true));
        int before = Sent().Count;
        Assert.InRange(before, 10, 4_999);
        recorder.RecordPath(DecisionKind.Path, PathAccess.Read, 0, 0, 0, "/y"u8, isWhole: true);
        List<DecisionMessage> after = Sent();
        Assert.Equal((DecisionKind.Dropped, 5_000UL - (ulong)before, (ulong)before + 1), (after[0].Kind, after[0].Count, after[0].Sequence));
        Assert.Equal("/y", Request(after[1]));
        Assert.Equal(0, _stops);
    }

    [Fact]
    public void AFullSinkBlocksUntilThereIsRoom()
    {
        DecisionRecorder recorder = Recorder();
        int written = 0;
        var thread = new Thread(() =>
        {
            for (; written < 5_000; written++)
                recorder.RecordPath(DecisionKind.Path, PathAccess.Read, 0, 0, 0, "/x"u8, isWhole: true);
            recorder.Finish();
        });
        thread.Start();
        Assert.False(thread.Join(300));
        Assert.InRange(Volatile.Read(ref written), 10, 4_999);
        for (ulong sequence = 1; sequence <= 5_001; sequence++)
        {
            Assert.True(_supervisor.Receive(out DecisionMessage message));
            Assert.Equal(sequence, message.Sequence);
            Assert.Equal(sequence == 5_001 ? DecisionKind.End : DecisionKind.Path, message.Kind);
        }

        thread.Join();
    }

    [Fact]
    public void ASupervisorThatHasGoneLetsNothingHappenUnrecorded()
    {
        DecisionRecorder recorder = Recorder();
        // Closing would not do: a process that another test has just forked may hold it, too.
        Assert.Equal(0, shutdown(_supervisor.Socket.Value, SHUT_RDWR));
        Assert.False(recorder.RecordPath(DecisionKind.Path, PathAccess.Read, 0, 0, 0, "/x"u8, isWhole: true));
        Assert.Equal(1, _stops);
    }

    [Fact]
    public void RecordingAllocatesNothing()
    {
        DecisionRecorder recorder = Recorder(whenFull: WhenFull.Drop);
        GuestTree tree = Tree(recorder);
        tree.Write("/tmp/a", "x");
        Dentry a = tree.Find("/tmp/a");
        long allocated = long.MaxValue;
        // The first round compiles.
        for (int round = 0; round < 3 && allocated != 0; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 1_000; i++)
            {
                PathGuard.Check(a, PathAccess.Read | PathAccess.Write);
                PathGuard.CheckVisible(a);
                PathGuard.RefuseReadOnly(a, default, PathAccess.Write);
                PathGuard.CheckMove(a, a.Parent!, "b"u8);
                recorder.RecordCall(1, new SystemCallArguments(1, 2, 3, 4, 5, 6), new(true, 0, 0), 1);
            }

            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.Equal(0, allocated);
    }
}
