using System.CommandLine;
using System.Globalization;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.LifeCycle;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Audit;

/// <summary>
/// The verbs of <c>sandbox audit</c>. Exit status: 0 good, 1 a fault was found, 3 the log cannot be checked.
/// </summary>
static class AuditTool
{
    const int Faulty = 1;
    const int Unknown = 3;

    /// <summary>Characters that are collected before they are printed.</summary>
    const int PrintAt = 32 << 10;

    public static int Run(AuditCommand model, ParseResult parsed)
    {
        if (parsed.CommandResult.Command == model.Running)
            return SandboxAudit.Run(
                StateOwner.Named(parsed.GetValue(model.User)), parsed.GetRequiredValue(model.Id),
                parsed.GetValue(model.Json));
        string log = parsed.GetRequiredValue(model.Log);
        return parsed.CommandResult.Command == model.Verify
            ? Verify(log, parsed.GetValue(model.Key) ?? AuditPlaces.Key, parsed.GetValue(model.Head))
            : Show(log, Filter.Of(model, parsed), parsed.GetValue(model.Json));
    }

    static int Verify(string log, string keyPath, string? headPath)
    {
        if (AuditKey.Load(keyPath) is not AuditKey key)
            return Say(Unknown,
                $"{Quote.Value(log)}: cannot be checked: there is no key {Quote.Value(keyPath)}; name it with --key");
        using FileDescriptor? file = OpenForReading(log);
        headPath ??= AuditPlaces.HeadOf(file is null ? Path.GetFullPath(log) : HostTree.PathOf(file)!);
        using FileDescriptor? headFile = OpenForReading(headPath);
        if (headFile is null)
            return file is null
                ? throw new UsageException($"audit verify: {Quote.Value(log)} is not there, and has no head")
                : Say(Unknown, $"{Quote.Value(log)}: cannot be checked: its head {Quote.Value(headPath)} is not there; "
                    + "name it with --head");
        // Read together, while nobody writes.
        while (flock(headFile.Value, LOCK_SH) != 0)
            if (errno != EINTR)
                throw HostException.Last("flock", headPath);
        byte[] text = new byte[LogHead.Size];
        int length = PrivateFile.ReadAt(headFile, text, 0, headPath);
        stat status = default;
        file?.GetStatus(out status);
        _ = flock(headFile.Value, LOCK_UN);
        if (length == 0 && status.st_size == 0)
            return Say(0, $"{Quote.Value(log)}: good, and empty");
        LogHead? head = LogHead.Read(text.AsSpan(0, length), key, out string problem, out bool isForeign);
        if (head is null)
            return Say(
                isForeign ? Unknown : Faulty, $"{Quote.Value(log)}:0: its head {Quote.Value(headPath)} {problem}");
        LogReport report = file is null
            ? new LogReport(0, 1, $"the log is gone; its head knows of {head.Committed.Lines} lines", null)
            : LogVerifier.Verify(file, log, status.st_size, head, key);
        if (report.Fault is not null)
            return Say(Faulty, $"{Quote.Value(log)}:{report.FaultLine}: {report.Fault}");
        return Say(
            0, $"{Quote.Value(log)}: good, {report.Lines} lines{(report.Note is null ? "" : "\n" + report.Note)}");
    }

    static int Show(string log, Filter filter, bool json)
    {
        using FileDescriptor file = OpenForReading(log)
            ?? throw new UsageException($"audit show: {Quote.Value(log)} is not there");
        var lines = new LogLines(file, log, 0, long.MaxValue);
        var text = new StringBuilder();
        long number = 0, bad = 0;
        LogLineKind kind;
        while ((kind = lines.Next(out ReadOnlySpan<byte> line)) == LogLineKind.Line)
        {
            number++;
            if (LogEntry.Read(line) is not LogEntry entry)
            {
                if (bad++ == 0)
                    StandardStreams.WriteError(
                        $"audit show: {Quote.Value(log)}:{number}: not a log's line; see sandbox audit verify");
                continue;
            }

            if (filter.Takes(entry))
                text.Append(json ? Encoding.UTF8.GetString(line) : entry.Row());
            if (text.Length < PrintAt)
                continue;
            if (!StandardStreams.WriteOutput(text.ToString()))
                return ExitStatus.SandboxFailed;
            text.Clear();
        }

        if (kind != LogLineKind.End)
            StandardStreams.WriteError(
                $"audit show: {Quote.Value(log)}:{number + 1}: no whole line; what follows is not shown");
        if (!StandardStreams.WriteOutput(text.ToString()))
            return ExitStatus.SandboxFailed;
        return bad > 0 || kind != LogLineKind.End ? Faulty : 0;
    }

    static FileDescriptor? OpenForReading(string path)
    {
        int error = CallerFile.TryOpen(path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, out FileDescriptor? file);
        if (error is -ENOENT or -ENOTDIR)
            return null;
        if (error != 0)
            throw new HostException(-error, "open", path);
        file!.GetStatus(out stat status);
        if (S_ISREG(status.st_mode))
            return file;
        file.Dispose();
        throw new UsageException($"audit: {Quote.Value(path)} is no regular file");
    }

    static int Say(int status, string line) =>
        StandardStreams.WriteOutput(line + "\n") ? status : ExitStatus.SandboxFailed;

    /// <summary>Which lines are shown.</summary>
    sealed record Filter(string? Sandbox, bool Denied, DateTimeOffset? Since)
    {
        public static Filter Of(AuditCommand model, ParseResult parsed) =>
            new(parsed.GetValue(model.Sandbox), parsed.GetValue(model.Denied), Time(parsed.GetValue(model.Since)));

        public bool Takes(LogEntry entry) =>
            (Sandbox is null || entry.Sandbox.StartsWith(Sandbox, StringComparison.Ordinal))
            && (!Denied || entry.Allowed == false) && (Since is null || entry.At >= Since);

        static DateTimeOffset? Time(string? text)
        {
            if (text is null)
                return null;
            if (DurationText.TryParse(text, out long milliseconds, out _))
                return DateTimeOffset.UtcNow - TimeSpan.FromMilliseconds(milliseconds);
            return DateTimeOffset.TryParse(
                text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time)
                ? time
                : throw new UsageException(
                    $"--since: {Quote.Value(text)} is neither a time, as 2026-01-31T12:00:00Z, nor a span, as 10m");
        }
    }
}
