using Sandbox.Host;
using Sandbox.Supervisor.Audit;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.Audit;

/// <summary>What is on the disk, and when, and what becomes of a log whose disk or host fails in between.</summary>
public sealed class FlushTests : IDisposable
{
    readonly ScratchLog _log = new();

    public void Dispose() => _log.Dispose();

    /// <summary>What has been done to log and head, in order: the contents of the file that it was done to.</summary>
    readonly List<(bool IsHead, bool IsFlush, byte[] Content)> _done = [];

    sealed class RecordingFile(FileDescriptor file, string path, Action<bool, byte[]> done) : LogFile(file, path)
    {
        public override int WriteAt(ReadOnlySpan<byte> bytes, long offset) => Done(base.WriteAt(bytes, offset));
        public override int Truncate(long length) => Done(base.Truncate(length));
        public override int Flush() => Done(base.Flush(), isFlush: true);

        int Done(int result, bool isFlush = false)
        {
            // By the descriptor: the runtime takes a lock on what it opens, and the head is locked.
            byte[] content = new byte[1 << 16];
            done(isFlush, content[..PrivateFile.ReadAt(Descriptor, content, 0, Path)]);
            return result;
        }
    }

    AuditLog OpenRecorded() => _log.Open(
        (file, path) => new RecordingFile(file, path, (isFlush, content) => _done.Add((false, isFlush, content))),
        (file, path) => new RecordingFile(file, path, (isFlush, content) => _done.Add((true, isFlush, content))));

    [Fact]
    public void APowerFailureAtAnyMomentLeavesALogThatGoesOn()
    {
        using (AuditLog log = OpenRecorded())
        {
            log.Append([ScratchLog.Event(1)]);
            log.Append([ScratchLog.Event(2), ScratchLog.Event(3), ScratchLog.Event(4)]);
        }

        // A writer was killed in the midst of its second line, before it flushed them: that is repaired.
        LogHead head = _log.ReadHead();
        _log.Append(5, 2);
        byte[] torn = _log.Bytes[..^10];
        _log.WriteHead(head with { Pending = _log.ReadHead().Committed });
        _log.Bytes = torn;
        _done.Add((true, true, File.ReadAllBytes(_log.Head)));
        _done.Add((false, false, torn));
        using (AuditLog log = OpenRecorded())
            log.Append([ScratchLog.Event(7)]);

        Assert.InRange(_done.Count, 15, 40);
        for (int steps = 0; steps <= _done.Count; steps++)
            // Of what was not flushed, the disk may have all the same.
            foreach (bool headToo in (bool[])[false, true])
                foreach (bool logToo in (bool[])[false, true])
                {
                    using ScratchLog after = new() { Key = _log.Key };
                    Directory.CreateDirectory(Path.GetDirectoryName(after.Head)!);
                    Put(after.Head, Survives(steps, isHead: true, headToo));
                    Put(after.Log, Survives(steps, isHead: false, logToo));
                    Exception? failure = Record.Exception(() => after.Append(9, 1));
                    Assert.True(failure is null, $"after step {steps}, {headToo}, {logToo}: {failure?.Message}");
                    Assert.Null(after.Verify().Fault);
                }
    }

    byte[] Survives(int steps, bool isHead, bool unflushedToo) => _done.Take(steps)
        .LastOrDefault(step => step.IsHead == isHead && (step.IsFlush || unflushedToo)).Content ?? [];

    static void Put(string path, byte[] content)
    {
        File.WriteAllBytes(path, content);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    /// <summary>A file of which one write fails.</summary>
    sealed class FailingFile(FileDescriptor file, string path, int failing) : LogFile(file, path)
    {
        int _writes;

        public override int WriteAt(ReadOnlySpan<byte> bytes, long offset) =>
            ++_writes == failing ? -EIO : base.WriteAt(bytes, offset);
    }

    /// <summary>Lines that are in the log have been written, and are not written again.</summary>
    [Fact]
    public void AHeadThatFailsAfterTheLinesLosesAndRepeatsNothing()
    {
        using (AuditLog log = _log.Open((file, path) => new LogFile(file, path), (file, path) => new FailingFile(file, path, 2)))
        {
            log.Append([ScratchLog.Event(1), ScratchLog.Event(2)]);
            Assert.Equal(2, _log.Lines.Length);
            log.Append([ScratchLog.Event(3)]);
        }

        Assert.Null(_log.Verify().Fault);
        Assert.Equal(["/file1", "/file2", "/file3"], _log.Lines.SelectMany(line =>
            ((string[])["/file1", "/file2", "/file3"]).Where(name => line.Contains(name, StringComparison.Ordinal))));
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(0, 1)]
    public void ABatchThatFailsIsNotInTheLog(int failingHead, int failingLog)
    {
        using AuditLog log = _log.Open(
            (file, path) => new FailingFile(file, path, failingLog), (file, path) => new FailingFile(file, path, failingHead));
        Assert.Equal(EIO, Assert.Throws<HostException>(() => log.Append([ScratchLog.Event(1)])).Errno);
        Assert.Empty(_log.Bytes);
        log.Append([ScratchLog.Event(2)]);
        Assert.Equal(new LogReport(1, 0, null, null), _log.Verify());
    }
}
