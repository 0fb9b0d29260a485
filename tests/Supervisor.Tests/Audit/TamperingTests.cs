using System.Text;
using Sandbox.Supervisor.Audit;
using Xunit;

namespace Sandbox.Supervisor.Tests.Audit;

/// <summary>Whatever is done to a log without its key is found, and the first line that is wrong is named.</summary>
public sealed class TamperingTests : IDisposable
{
    readonly ScratchLog _log = new ScratchLog().Append(1, 4).Append(5, 4);

    public void Dispose() => _log.Dispose();

    void Finds(long line, string what)
    {
        LogReport report = _log.Verify();
        Assert.Equal(line, report.FaultLine);
        Assert.Contains(what, report.Fault, StringComparison.Ordinal);
        Assert.Equal(line - 1, report.Lines);
    }

    [Fact]
    public void NothingWasDone() => Assert.Equal(new LogReport(8, 0, null, null), _log.Verify());

    [Fact]
    public void AnEdit()
    {
        string[] lines = _log.Lines;
        lines[2] = lines[2].Replace("denied", "granted", StringComparison.Ordinal);
        _log.Lines = lines;
        Finds(3, "line 3 was changed");
    }

    [Fact]
    public void EveryByteCounts()
    {
        byte[] good = _log.Bytes;
        int firstLine = Array.IndexOf(good, (byte)'\n') + 1;
        for (int at = 0; at < 3 * firstLine; at++)
        {
            byte[] bad = [.. good];
            bad[at] ^= 0x20;
            _log.Bytes = bad;
            LogReport report = _log.Verify();
            Assert.True(report.Fault is not null && report.FaultLine <= 4, $"byte {at}: {report}");
        }
    }

    [Fact]
    public void ADeletion()
    {
        _log.Lines = [.. _log.Lines[..4], .. _log.Lines[5..]];
        Finds(5, "line 5 is missing here");
    }

    [Fact]
    public void ADeletionOfTheFirstLine()
    {
        _log.Lines = _log.Lines[1..];
        Finds(1, "line 1 is missing here");
    }

    [Fact]
    public void AnotherOrder()
    {
        string[] lines = _log.Lines;
        (lines[2], lines[3]) = (lines[3], lines[2]);
        _log.Lines = lines;
        Finds(3, "what stands here is line 4");
    }

    [Fact]
    public void ADuplicate()
    {
        _log.Lines = [.. _log.Lines[..3], _log.Lines[2], .. _log.Lines[3..]];
        Finds(4, "line 3 stands here again");
    }

    [Fact]
    public void ATruncation()
    {
        _log.Lines = _log.Lines[..6];
        Finds(7, "ends after line 6, but its head knows of 8");
        _log.Bytes = [];
        Finds(1, "ends after line 0");
    }

    [Fact]
    public void ATruncationWithinALine()
    {
        _log.Bytes = _log.Bytes[..^10];
        Finds(8, "ends after line 7");
    }

    [Fact]
    public void AnInsertion()
    {
        string forged = Encoding.UTF8.GetString(ScratchLog.Event(3).Write(3));
        _log.Lines = [.. _log.Lines[..2], $"{forged[..^1]},\"chain\":\"{new string('0', 64)}\"}}\n", .. _log.Lines[2..]];
        Finds(3, "line 3 was changed, or was not written with this key");
    }

    [Fact]
    public void LinesAtTheEnd()
    {
        byte[] good = _log.Bytes;
        foreach (string added in (string[])["x", "\n", "{}\n", _log.Lines[7], new string('y', 100_000)])
        {
            _log.Bytes = [.. good, .. Encoding.UTF8.GetBytes(added)];
            Finds(9, "line 9, behind the last line that the head knows of, is not this program's");
        }
    }

    /// <summary>The strongest attack without the key: a whole new log, well formed from its first line to its last.</summary>
    [Fact]
    public void ARebuildWithAnotherKey()
    {
        using ScratchLog other = new ScratchLog().Append(1, 8);
        _log.Bytes = other.Bytes;
        Finds(1, "not written with this key");
        // With the head replaced too.
        File.Copy(other.Head, _log.Head, overwrite: true);
        Assert.Null(LogHead.Read(File.ReadAllBytes(_log.Head), _log.Key, out string problem, out bool isForeign));
        Assert.True(isForeign);
        Assert.Contains("another key", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void ALogOfTheSameKeyInAnothersPlace()
    {
        using ScratchLog other = new ScratchLog { Key = _log.Key }.Append(1, 8);
        _log.Bytes = other.Bytes;
        Finds(1, "line 1 was changed");
    }

    [Fact]
    public void AHeadThatWasChanged()
    {
        byte[] good = File.ReadAllBytes(_log.Head);
        for (int at = 0; at < good.Length; at++)
        {
            byte[] bad = [.. good];
            bad[at] ^= 1;
            LogHead? head = LogHead.Read(bad, _log.Key, out string problem);
            // Blanks that fill the file up say nothing.
            Assert.True(head is null == problem.Length > 0);
            Assert.True(head is null || head == _log.ReadHead(), $"byte {at}");
        }

        Assert.Null(LogHead.Read(good.AsSpan(0, 100), _log.Key, out _));
        Assert.Null(LogHead.Read([], _log.Key, out _));
    }

    [Fact]
    public void AHeadOfAnEarlierTime()
    {
        using ScratchLog log = new ScratchLog().Append(1, 2);
        byte[] early = File.ReadAllBytes(log.Head);
        log.Append(3, 2);
        File.WriteAllBytes(log.Head, early);
        // What the key proves counts; an old head alone hides nothing.
        Assert.Equal((4, null), (log.Verify().Lines, log.Verify().Fault));
    }

    [Fact]
    public void WritersRefuseToGoOn()
    {
        byte[] good = _log.Bytes;
        _log.Bytes = good[..^200];
        Refuses("was truncated");
        _log.Bytes = [.. good, (byte)'x'];
        Refuses("line 9");
        _log.Bytes = good;
        byte[] head = File.ReadAllBytes(_log.Head);
        File.WriteAllBytes(_log.Head, []);
        Refuses("is gone or was never there");
        head[30] ^= 1;
        File.WriteAllBytes(_log.Head, head);
        Refuses("its head");
        Assert.Equal(good, _log.Bytes);
    }

    void Refuses(string why) => OneLine.Refuses(why, () => _log.Append(9, 1));
}
