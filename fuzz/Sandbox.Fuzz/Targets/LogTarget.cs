using System.Text;
using Sandbox.Host;
using Sandbox.Supervisor.Audit;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// An audit log and its head, as <c>sandbox audit</c> and the next writer read them: the head's bytes, then the log's.
/// The key is known here and nothing else is: a line that is proved must be one that was sealed.
/// </summary>
sealed class LogTarget : FuzzTarget, IDisposable
{
    const string LogName = "00112233445566778899aabbccddeeff";

    static readonly AuditKey s_key = new([.. Enumerable.Repeat((byte)0x42, AuditKey.Length)]);

    readonly FileDescriptor _file = FileDescriptor.CreateMemory("log", 0);
    readonly HashSet<string> _sealed = new(StringComparer.Ordinal);

    public LogTarget()
    {
        foreach (byte[] line in Sealed(8, out _))
            _sealed.Add(Encoding.UTF8.GetString(line));
    }

    public override string Name => "log";

    public override string Summary => "audit logs and their heads: verifying, repairing, showing";

    public override int MaximumLength => 128 << 10;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
        [.. "\n|{\"@t\":\"|\"Kind\":\"|decision|,\"chain\":\"|\"}\n|\"Line\":|committed |pending |mac |true|null|\\u001b|{|}".Split('|').Select(Encoding.UTF8.GetBytes)];

    public override IEnumerable<(string, byte[])> Seeds()
    {
        byte[][] lines = Sealed(5, out LogExtent[] extents);
        byte[] good = [.. lines.SelectMany(line => line)];
        LogHead head = Head(extents[5]);
        LogHead interrupted = Head(extents[2]) with { Pending = extents[5] };
        yield return ("good", Input(head, good));
        yield return ("empty", Input(Head(extents[0]), []));
        yield return ("edit", Input(head, Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(good).Replace("file2", "file9", StringComparison.Ordinal))));
        yield return ("deletion", Input(head, [.. lines[0], .. lines[2], .. lines[3], .. lines[4]]));
        yield return ("order", Input(head, [.. lines[0], .. lines[2], .. lines[1], .. lines[3], .. lines[4]]));
        yield return ("duplicate", Input(head, [.. lines[0], .. lines[0], .. lines[1], .. lines[2], .. lines[3], .. lines[4]]));
        yield return ("truncation", Input(head, [.. lines[0], .. lines[1]]));
        yield return ("truncation-in-line", Input(head, good[..^9]));
        yield return ("addition", Input(head, [.. good, .. "{}\n"u8]));
        yield return ("long-line", Input(head, [.. lines[0], .. Enumerable.Repeat((byte)'x', LogLines.MaximumLine + 5), .. lines[1]]));
        yield return ("torn", Input(interrupted, good[..^9]));
        yield return ("unwritten", Input(interrupted, [.. lines[0], .. lines[1]]));
        yield return ("head-behind", Input(Head(extents[3]), good));
        yield return ("terminal", Input(head, Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(good).Replace("file2", "\\u001b[2J\u009b", StringComparison.Ordinal))));
    }

    public override bool Run(ReadOnlySpan<byte> input)
    {
        int headLength = Math.Min(input.Length, LogHead.Size);
        LogHead? head = LogHead.Read(input[..headLength], s_key, out string problem);
        OracleException.Check(head is null == problem.Length > 0, "a head with a problem, or none without");
        ReadOnlySpan<byte> log = input[headLength..];
        Fill(log);
        ShowAll(log.Length);
        if (head is null)
            return false;
        LogReport report = LogVerifier.Verify(_file, "log", log.Length, head, s_key);
        OracleException.Check(report.Fault is null == (report.FaultLine == 0), "a fault without a line, or a line without");
        string[] lines = Encoding.UTF8.GetString(log).Split('\n');
        OracleException.Check(report.Lines < lines.Length || report.Lines == 0, "more lines proved than there are");
        for (int i = 0; i < report.Lines; i++)
            OracleException.Check(_sealed.Contains(lines[i] + "\n"), "a line was proved that was never sealed");
        if (report.Fault is null)
        {
            OracleException.Check(report.Lines >= head.Committed.Lines, "a log that lost lines was found whole");
            OracleException.Check(report.Note is not null || log.Length == head.Committed.Bytes, "bytes that belong to nothing");
        }

        return true;
    }

    void ShowAll(int length)
    {
        var lines = new LogLines(_file, "log", 0, length);
        while (lines.Next(out ReadOnlySpan<byte> line) is LogLineKind.Line or LogLineKind.TooLong)
            if (LogEntry.Read(line) is LogEntry entry)
                OracleException.Check(!entry.Row()[..^1].Any(char.IsControl), "a terminal would obey what is shown");
    }

    void Fill(ReadOnlySpan<byte> log)
    {
        OracleException.Check(Libc.ftruncate(_file.Value, 0) == 0 && PrivateFile.WriteAt(_file, log, 0) == 0, "the input cannot be kept");
    }

    static LogHead Head(LogExtent extent) => new(s_key.Id, LogName, extent, null);

    static byte[] Input(LogHead head, byte[] log) => [.. head.Write(s_key), .. log];

    /// <param name="extents">After no line, after the first, and so on.</param>
    static byte[][] Sealed(int count, out LogExtent[] extents)
    {
        using var chain = new LogChain(s_key, LogName);
        var lines = new byte[count][];
        extents = new LogExtent[count + 1];
        extents[0] = new LogExtent(0, 0, Convert.ToHexStringLower(chain.Value));
        for (int i = 0; i < count; i++)
        {
            lines[i] = chain.Seal(Encoding.UTF8.GetBytes(
                $"{{\"@t\":\"2026-01-31T12:00:0{i}.0000000Z\",\"@mt\":\"{{Request}}: {{Result}}\",\"Kind\":\"decision\",\"Sandbox\":\"0123456789abcdef\","
                + $"\"Request\":\"open /file{i + 1} for read\",\"Result\":\"denied EACCES\",\"Allowed\":false,\"Line\":{i + 1}}}"));
            extents[i + 1] = new LogExtent(i + 1, extents[i].Bytes + lines[i].Length, Convert.ToHexStringLower(chain.Value));
        }

        return lines;
    }

    public void Dispose() => _file.Dispose();
}
