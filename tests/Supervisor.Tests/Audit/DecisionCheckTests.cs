using System.Buffers.Binary;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Planning;
using Xunit;

namespace Sandbox.Supervisor.Tests.Audit;

/// <summary>A VMM that has fallen says what it likes; only what could be true is taken.</summary>
public sealed class DecisionCheckTests : IDisposable
{
    readonly string _folder = Directory.CreateTempSubdirectory("sandbox-audit-").FullName;
    readonly PlannedLaunch _launch;
    readonly DecisionCheck _check;
    ulong _sequence;

    public DecisionCheckTests()
    {
        string file = Path.Combine(_folder, "p.yaml");
        File.WriteAllText(file, """
            version: 1
            extends: builtin:default.yaml
            files: {rules: [{deny: read, path: /tmp/secret, because: a test}]}
            syscalls: [{deny: ptrace, answer: kill}, {deny: uname, answer: ENOSYS}]
            audit: {record: [lifecycle, decisions], to: /l, when-full: block}
            """);
        _launch = PlanBuilder.Build(new RunOptions { Arguments = ["true"] }, PolicyOpener.Load(file), new FakeHost().Facts, [], null, 0);
        _check = new DecisionCheck(_launch.Plan, _launch.PathRules, _launch.SystemCallRules);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    int DenyRule => _launch.PathRules.Count - 1;

    DecisionMessage Message(DecisionKind kind, ReadOnlySpan<byte> request)
    {
        var message = new DecisionMessage
        {
            Version = DecisionMessage.CurrentVersion, Kind = kind, Sequence = ++_sequence, Length = (uint)request.Length, Process = 1,
        };
        request.CopyTo(message.Request);
        return message;
    }

    DecisionMessage Denied(string path = "/tmp/secret") =>
        Message(DecisionKind.Path, Encoding.UTF8.GetBytes(path)) with { Access = PathAccess.Read, Result = Libc.EACCES, Rule = DenyRule };

    DecisionMessage Call(ulong number, int result, int rule)
    {
        Span<byte> request = stackalloc byte[56];
        request.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(request, number);
        BinaryPrimitives.WriteUInt64LittleEndian(request[8..], 0xabc);
        return Message(DecisionKind.SystemCall, request) with { Result = result, Rule = rule };
    }

    string Text(DecisionMessage message)
    {
        Assert.Null(_check.Fault(message));
        DecisionRecord decision = DecisionText.Of(message, _check.RuleOf(message));
        return $"{decision.Request}: {decision.Result} by {decision.Rule?.Text ?? "none"}";
    }

    [Fact]
    public void TheTruthIsTakenAndPutIntoWords()
    {
        Assert.Equal("open /tmp/secret for read: denied EACCES by deny read of /tmp/secret", Text(Denied()));
        DecisionMessage look = Message(DecisionKind.Look, "/usr/bin"u8) with { Rule = 0 };
        Assert.Equal($"look at /usr/bin: allowed by {_launch.PathRules[0].Text}", Text(look));
        DecisionMessage move = Message(DecisionKind.Move, "/tmp/secret\0/tmp/a\u001b\\"u8) with { Rule = -1, Result = Libc.EXDEV };
        Assert.Equal(@"move /tmp/secret to /tmp/a\x1b\\: denied EXDEV by none", Text(move));
        int calls = _launch.SystemCallRules.Count;
        Assert.StartsWith("syscall ptrace 0xabc 0x0 0x0 0x0 0x0 0x0: denied, the guest is ended by deny ptrace",
            Text(Call(101, DecisionMessage.Killed, calls - 2)), StringComparison.Ordinal);
        Assert.EndsWith("denied ENOSYS by deny uname", Text(Call(63, Libc.ENOSYS, calls - 1)), StringComparison.Ordinal);
        Assert.StartsWith("syscall read", Text(Call(0, 0, 0)), StringComparison.Ordinal);
        DecisionMessage notUtf8 = Message(DecisionKind.Path, [.. "/tmp/"u8, 0xff, 0xc3]) with { Access = PathAccess.Write, Rule = TmpRule };
        Assert.StartsWith(@"open /tmp/\xff\xc3 for write: allowed", Text(notUtf8), StringComparison.Ordinal);
        DecisionMessage readOnly = Message(DecisionKind.Path, "/usr/x"u8) with { Access = PathAccess.Write, Rule = -1, Result = Libc.EROFS };
        Assert.Equal("open /usr/x for write: denied EROFS by none", Text(readOnly));
        Assert.Null(_check.Fault(Message(DecisionKind.Dropped, []) with { Count = 5 }));
        Assert.False(_check.HasEnded);
        Assert.Null(_check.Fault(Message(DecisionKind.End, [])));
        Assert.True(_check.HasEnded);
        Assert.Contains("after the last one", _check.Fault(Denied()), StringComparison.Ordinal);
    }

    int TmpRule => _launch.PathRules.ToList().FindIndex(rule => rule is ShownFile { Path: "/tmp" });

    public static TheoryData<string, string> Lies => new()
    {
        { "version 0", "of version 0" },
        { "version 2", "of version 2" },
        { "sequence again", "sent record 1 where 2 was due" },
        { "sequence ahead", "sent record 3 where 2 was due" },
        { "kind 0", "makes no sense" },
        { "kind 7", "makes no sense" },
        { "rule too high", "makes no sense" },
        { "rule too low", "makes no sense" },
        { "length too long", "makes no sense" },
        { "truncated 2", "makes no sense" },
        { "result -2", "makes no sense" },
        { "result 4096", "makes no sense" },
        { "killed by a path", "makes no sense" },
        { "two accesses", "makes no sense" },
        { "no access", "makes no sense" },
        { "unknown access", "makes no sense" },
        { "process -1", "makes no sense" },
        { "time -1", "makes no sense" },
        { "a count", "makes no sense" },
        { "not absolute", "makes no sense" },
        { "a NUL", "makes no sense" },
        { "empty", "makes no sense" },
        { "move without a second path", "makes no sense" },
        { "call of another length", "makes no sense" },
        { "dropped none", "makes no sense" },
        { "an end with a count", "makes no sense" },
        { "allowed what is denied", "contradicts the policy" },
        { "another rule", "contradicts the policy" },
        { "denied what is allowed", "contradicts the policy" },
        { "a look that is denied", "contradicts the policy" },
        { "a call that is allowed", "contradicts the policy" },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public void ALieIsNot(string lie, string fault)
    {
        Assert.Null(_check.Fault(Denied()));
        DecisionMessage message = Denied();
        DecisionMessage bad = lie switch
        {
            "version 0" => message with { Version = 0 },
            "version 2" => message with { Version = 2 },
            "sequence again" => message with { Sequence = 1 },
            "sequence ahead" => message with { Sequence = 3 },
            "kind 0" => message with { Kind = 0 },
            "kind 7" => message with { Kind = (DecisionKind)7 },
            "rule too high" => message with { Rule = _launch.PathRules.Count },
            "rule too low" => message with { Rule = -2 },
            "length too long" => message with { Length = DecisionMessage.RequestBytes + 1 },
            "truncated 2" => message with { Truncated = 2 },
            "result -2" => message with { Result = -2 },
            "result 4096" => message with { Result = 4096 },
            "killed by a path" => message with { Result = DecisionMessage.Killed },
            "two accesses" => message with { Access = PathAccess.Read | PathAccess.Write },
            "no access" => message with { Access = 0 },
            "unknown access" => message with { Access = (PathAccess)32 },
            "process -1" => message with { Process = -1 },
            "time -1" => message with { Nanoseconds = -1 },
            "a count" => message with { Count = 1 },
            "not absolute" => Again(Denied("tmp/secret")),
            "a NUL" => Again(Denied("/tmp/\0secret")),
            "empty" => message with { Length = 0 },
            "move without a second path" => message with { Kind = DecisionKind.Move, Access = 0, Rule = -1, Result = 0 },
            "call of another length" => Again(Call(0, 0, 0)) with { Length = 48 },
            "dropped none" => message with { Kind = DecisionKind.Dropped, Length = 0 },
            "an end with a count" => message with { Kind = DecisionKind.End, Length = 0, Count = 1 },
            "allowed what is denied" => message with { Result = 0 },
            "another rule" => message with { Rule = 0 },
            "denied what is allowed" => Again(Denied("/tmp/other")),
            "a look that is denied" => message with { Kind = DecisionKind.Look, Access = 0 },
            "a call that is allowed" => Again(Call(101, 0, 0)),
            _ => throw new ArgumentException(lie),
        };
        Assert.Contains(fault, _check.Fault(bad), StringComparison.Ordinal);
    }

    static DecisionMessage Again(DecisionMessage message) => message with { Sequence = 2 };
}
