using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.Learning;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Records of a VMM about its decisions. What is taken is in order, says what the rules, in other words, say, and becomes
/// one line of JSON that moves no terminal.
/// </summary>
/// <remarks>Input: records, one behind the other.</remarks>
sealed class DecisionTarget : FuzzTarget
{
    private const int MaximumRecords = 8;

    private const string Policy = """
        version: 1
        fragment: true
        files:
          show: [{path: /d, memory: true, because: fuzzing}]
          rules:
            - {deny: read, path: /d/secret}
            - {deny: write, path: "/d/**/*.key"}
        syscalls:
          - {allow: "@all"}
          - {deny: ptrace, answer: kill}
          - {deny: uname, answer: ENOSYS}
          - {deny: ioctl, when: {argument: 1, as: int, is: ==, value: 0x5412}}
        """;

    private static readonly AuditedRun s_run = new("0123456789abcdef", "fuzz.yaml", new string('0', 64), 3, false);

    private readonly LaunchPlan _plan;
    private readonly CompiledPolicy _policy;

    public DecisionTarget()
    {
        Diagnostics diagnostics = new();
        _policy = CompiledPolicy.Load(new SourceText("fuzz.yaml", Policy), new NoFiles(), diagnostics)
            ?? throw new InvalidOperationException(diagnostics.List[0].Message);
        _plan = new LaunchPlan
        {
            Version = LaunchPlan.CurrentVersion, Arguments = ["x"], Environment = [], WorkingDirectory = "/", Hostname = "x",
            User = new GuestUser { Name = "x", Uid = 1, Gid = 1, Home = "/" },
            Limits = new GuestLimits
            {
                MemoryBytes = 1 << 24, Cpus = 1, WallMilliseconds = 0, CpuMilliseconds = 0, Processes = 1, OutputBytes = 0,
                TmpBytes = 0, OpenFiles = 3,
            },
            Files = [], PathRules = _policy.Paths.Tables, SystemCallRules = _policy.SystemCallTables,
            Streams = new GuestStreams { Stdin = -1, Stdout = -1, Stderr = -1, Terminal = false, Result = -1, Trace = -1 },
            Handoff = false, StartedAtNanoseconds = 0,
        };
    }

    public override string Name => "decisions";

    public override string Summary => "records of a VMM about its decisions";

    public override int MaximumLength => MaximumRecords * DecisionMessage.Size;

    public override int RecordLength => DecisionMessage.Size;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
        ["/d/secret"u8.ToArray(), "/d/a.key"u8.ToArray(), "/d\0/d/x"u8.ToArray(), [16], [63], [101]];

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("paths",
        [
            .. Record(1, DecisionKind.Path, "/d/x"u8, PathAccess.Read, 0, 0),
            .. Record(2, DecisionKind.Path, "/d/secret"u8, PathAccess.Read, Libc.EACCES, 1),
            .. Record(3, DecisionKind.Look, "/etc"u8, PathAccess.None, Libc.ENOENT, Verdict.NoRule),
            .. Record(4, DecisionKind.Move, "/d/a\0/d/b"u8, PathAccess.None, 0, Verdict.NoRule),
            .. Record(5, DecisionKind.Path, "/d/\u202e\x1b[2J"u8, PathAccess.Create, 0, 0),
        ]);
        yield return ("calls",
        [
            .. Call(1, 0, 0, 0), .. Call(2, 101, DecisionMessage.Killed, 1), .. Call(3, 63, Libc.ENOSYS, 2),
            .. Call(4, uint.MaxValue, Libc.EPERM, Verdict.NoRule), .. Record(5, DecisionKind.End, [], PathAccess.None, 0, 0),
        ]);
        yield return ("dropped", Record(1, DecisionKind.Dropped, [], PathAccess.None, 0, 0, count: ulong.MaxValue));
        byte[] end = Encoding.ASCII.GetBytes(new string('x', DecisionMessage.RequestBytes));
        yield return ("cut", Record(1, DecisionKind.Path, end, PathAccess.Read, Libc.EACCES, 0, truncated: 1));
    }

    private static byte[] Call(ulong sequence, ulong number, int result, int rule)
    {
        byte[] request = new byte[7 * sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(request, number);
        return Record(sequence, DecisionKind.SystemCall, request, PathAccess.None, result, rule);
    }

    private static byte[] Record(
        ulong sequence, DecisionKind kind, ReadOnlySpan<byte> request, PathAccess access, int result, int rule,
        ulong count = 0, uint truncated = 0)
    {
        DecisionMessage message = new()
        {
            Version = DecisionMessage.CurrentVersion, Kind = kind, Sequence = sequence, Access = access, Result = result,
            Rule = rule, Process = 1, Count = count, Length = (uint)request.Length, Truncated = truncated,
        };
        request.CopyTo(message.Request);
        return MemoryMarshal.AsBytes(new ReadOnlySpan<DecisionMessage>(in message)).ToArray();
    }

    public override bool Run(ReadOnlySpan<byte> input)
    {
        DecisionCheck check = new(_plan, _policy.PathRuleList, _policy.Model.SystemCallRules);
        ObservationCollector learned = new();
        ulong taken = 0;
        bool ended = false;
        for (int at = 0; at + DecisionMessage.Size <= input.Length; at += DecisionMessage.Size)
        {
            DecisionMessage message = MemoryMarshal.Read<DecisionMessage>(input[at..]);
            if (check.Fault(message) is string fault)
            {
                OracleException.Check(fault.Length < 200 && !fault.Any(char.IsControl), "a fault that is no line");
                break;
            }
            OracleException.Check(!ended && message.Sequence == ++taken, "a record out of order is taken");
            ended = message.Kind == DecisionKind.End;
            OracleException.Check(check.HasEnded == ended, "an end that is none");
            if (message.Kind is DecisionKind.End or DecisionKind.Dropped)
                continue;
            learned.Take(message);
            CheckVerdict(message);
            CheckLine(AuditEvent.Of(DecisionText.Of(message, check.RuleOf(message)), s_run, (long)taken));
        }
        _ = ObservationText.Read(ObservationText.Write(learned.Finish()), out _);
        return taken > 0;
    }

    private static void CheckLine(AuditEvent line)
    {
        byte[] text = line.Write(1);
        OracleException.Check(text.Length < 16 << 10 && !text.Any(one => one < ' '), "a line that is not one, or endless");
        using JsonDocument json = JsonDocument.Parse(text);
        string request = json.RootElement.GetProperty("Request").GetString()!;
        OracleException.Check(!request.Any(c => char.IsControl(c) || c is '\u2028' or '\u2029'), "a request that moves a terminal");
        OracleException.Check(
            json.RootElement.GetProperty("Allowed").GetBoolean() == (json.RootElement.GetProperty("Result").GetString() == "allowed"),
            "a result that says otherwise");
    }

    /// <summary>The rules in other words.</summary>
    private void CheckVerdict(in DecisionMessage message)
    {
        ReadOnlySpan<byte> request = ((ReadOnlySpan<byte>)message.Request)[..(int)message.Length];
        if (message.Kind == DecisionKind.SystemCall)
        {
            ulong number = BinaryPrimitives.ReadUInt64LittleEndian(request);
            uint second = BinaryPrimitives.ReadUInt32LittleEndian(request[(2 * sizeof(ulong))..]);
            int right = number switch
            {
                101 => DecisionMessage.Killed,
                63 => Libc.ENOSYS,
                16 when second == 0x5412 => Libc.EPERM,
                >= SystemCallTables.Limit => Libc.EPERM,
                _ => 0,
            };
            OracleException.Check(message.Result == right, "a call's verdict that the rules do not give");
            return;
        }

        string[] names = Encoding.Latin1.GetString(request).Split('/')[1..];
        bool comparable = message.Truncated == 0 && message.Kind != DecisionKind.Move && message.Result != Libc.EROFS
            && (names is [""] || names.All(name => name.Length is > 0 and <= 255));
        if (!comparable)
            return;
        bool allowed = message.Kind == DecisionKind.Look
            ? Enumerable.Range(0, PathTables.AccessCount).Any(bit => IsAllowed(names, (PathAccess)(1 << bit)))
            : IsAllowed(names, message.Access);
        OracleException.Check(allowed == (message.Result == 0), "a path's verdict that the rules do not give");
    }

    private static bool IsAllowed(string[] names, PathAccess access)
    {
        if (names is [""])
            return access == PathAccess.Read;
        if (names[0] != "d")
            return false;
        bool secret = access == PathAccess.Read && names is [_, "secret"];
        bool key = access == PathAccess.Write && names.Length > 1 && names[^1].EndsWith(".key", StringComparison.Ordinal);
        return !secret && !key;
    }

    private sealed class NoFiles : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem)
        {
            problem = "is not there";
            return null;
        }
    }
}
