using System.Text.Json;
using Sandbox.Host;
using Sandbox.Supervisor.Audit;
using Xunit;

namespace Sandbox.Supervisor.Tests.Audit;

/// <summary>Writing: what a line is, several writers, and writers that are ended anywhere.</summary>
public sealed class AuditLogTests : IDisposable
{
    readonly ScratchLog _log = new();

    public void Dispose() => _log.Dispose();

    [Fact]
    public void ALineIsCompactJsonOfSerilog()
    {
        _log.Append(1, 1);
        JsonElement line = JsonDocument.Parse(_log.Lines[0]).RootElement;
        Assert.InRange(line.GetProperty("@t").GetDateTimeOffset(), DateTimeOffset.UtcNow.AddMinutes(-1), DateTimeOffset.UtcNow);
        Assert.Equal("{Request}: {Result}", line.GetProperty("@mt").GetString());
        Assert.Equal("Warning", line.GetProperty("@l").GetString());
        Assert.Equal("0123456789abcdef-1", line.GetProperty("Id").GetString());
        Assert.Equal("open /file1 for read", line.GetProperty("Request").GetString());
        Assert.Equal(250, line.GetProperty("Nanoseconds").GetInt64());
        Assert.Equal(1, line.GetProperty("Line").GetInt64());
        Assert.Equal(64, line.GetProperty("chain").GetString()!.Length);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_log.Log));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_log.Head));
    }

    [Fact]
    public void TheLongestTextsFitIntoALine()
    {
        string nasty = new('\u0001', 100_000);
        AuditEvent line = AuditEvent.Of(new DecisionRecord(nasty, false, nasty, null, 1, 1), ScratchLog.Run with { PolicyName = nasty }, 1);
        Assert.InRange(line.Write(1).Length, 1, LogLines.MaximumLine - LogChain.SuffixLength);
    }

    [Fact]
    public void SeveralWritersTakeTurns()
    {
        const int writers = 4, rounds = 25;
        Thread[] threads = [.. Enumerable.Range(0, writers).Select(writer => new Thread(() =>
        {
            // A descriptor of its own, as another process has: locks are between them.
            using AuditLog log = _log.Open();
            for (int i = 0; i < rounds; i++)
                log.Append([ScratchLog.Event(writer), ScratchLog.Event(i)]);
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        Assert.Equal(new LogReport(writers * rounds * 2, 0, null, null), _log.Verify());
    }

    /// <summary>A writer that is killed after any byte of any of its steps: what it had committed stays, and the next writer goes on.</summary>
    [Fact]
    public void AWriterThatWasKilledIsRepaired()
    {
        _log.Append(1, 2);
        byte[] log = _log.Bytes, head = File.ReadAllBytes(_log.Head);
        LogHead before = _log.ReadHead();
        _log.Append(3, 3);
        byte[] longer = _log.Bytes;
        LogHead after = _log.ReadHead();
        int[] cuts = [log.Length, log.Length + 1, log.Length + 100, longer.Length - 1, longer.Length, .. LineEnds(longer, log.Length)];
        foreach (int cut in cuts)
        {
            // The head said beforehand what was to come.
            _log.WriteHead(before with { Pending = after.Committed });
            _log.Bytes = longer[..cut];
            LogReport report = _log.Verify();
            long whole = longer.AsSpan(0, cut).Count((byte)'\n');
            Assert.Null(report.Fault);
            Assert.Equal(whole, report.Lines);
            Assert.Contains($"{whole - 2} lines more", report.Note, StringComparison.Ordinal);
            Assert.Contains($"{5 - whole} that were about to be written are not there", report.Note, StringComparison.Ordinal);
            _log.Append(9, 1);
            Assert.Equal(new LogReport(whole + 2, 0, null, null), _log.Verify());
            JsonElement repaired = JsonDocument.Parse(_log.Lines[whole]).RootElement;
            Assert.Equal(("repaired", whole - 2, 5 - whole),
                (repaired.GetProperty("Kind").GetString(), repaired.GetProperty("Recovered").GetInt64(), repaired.GetProperty("Missing").GetInt64()));
        }

        // The power failed, and the head's last state was lost.
        File.WriteAllBytes(_log.Head, head);
        _log.Bytes = longer;
        _log.Append(9, 1);
        Assert.Equal((7, null), (_log.Verify().Lines, _log.Verify().Fault));
    }

    static IEnumerable<int> LineEnds(byte[] log, int from) =>
        Enumerable.Range(from, log.Length - from).Where(at => log[at] == '\n').Select(at => at + 1);

    /// <summary>An interruption is no excuse for what was there before, nor for what comes after.</summary>
    [Fact]
    public void AnInterruptionHidesNoTruncation()
    {
        _log.Append(1, 2);
        LogHead before = _log.ReadHead();
        byte[] log = _log.Bytes;
        _log.Append(3, 1);
        LogHead after = _log.ReadHead();
        byte[] longer = _log.Bytes;
        _log.WriteHead(before with { Pending = after.Committed });
        _log.Bytes = log[..^1];
        Assert.Equal(2, _log.Verify().FaultLine);
        OneLine.Refuses("was truncated", () => _log.Append(9, 1));
        // More than was to be written, or a whole line of somebody else's.
        _log.Bytes = [.. longer, (byte)'x'];
        Assert.Equal(4, _log.Verify().FaultLine);
        _log.Bytes = [.. log, .. "{}\n"u8];
        Assert.Equal(3, _log.Verify().FaultLine);
    }

    [Fact]
    public void AKeyIsMadeOnceAndKeptPrivate()
    {
        string path = Path.Combine(_log.Folder, "config", "sandbox", "audit.key");
        Assert.Null(AuditKey.Load(path));
        AuditKey key = AuditKey.LoadOrCreate(path);
        Assert.Equal(key.Id, AuditKey.LoadOrCreate(path).Id);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(path)!));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        OneLine.Refuses("can be used by others", () => AuditKey.Load(path));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.WriteAllText(path, "00\n");
        OneLine.Refuses("is no key", () => AuditKey.Load(path));
        File.Delete(path);
        File.CreateSymbolicLink(path, "/dev/zero");
        Assert.Throws<HostException>(() => AuditKey.Load(path));
    }

    [Fact]
    public void ALogIsARegularFileOfItsOwner()
    {
        File.WriteAllText(_log.Log, "");
        File.SetUnixFileMode(_log.Log, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherWrite);
        OneLine.Refuses("can be written by others", _log.Open);
        File.Delete(_log.Log);
        Directory.CreateDirectory(_log.Log);
        Assert.ThrowsAny<Exception>(_log.Open);
    }
}
