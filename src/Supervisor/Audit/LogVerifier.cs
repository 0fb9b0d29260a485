using System.Text.Json;
using Sandbox.Host;

namespace Sandbox.Supervisor.Audit;

/// <summary>What became of checking a log.</summary>
/// <param name="Lines">How many lines are proved.</param>
/// <param name="FaultLine">From 1; 0 when the log has none.</param>
/// <param name="Fault">What is wrong first; null when the log is whole.</param>
/// <param name="Note">What an interrupted writer left, which is no fault; null for nothing.</param>
sealed record LogReport(long Lines, long FaultLine, string? Fault, string? Note);

/// <summary>Checks a log against its head, line by line, and finds the first fault. Any bytes will do.</summary>
static class LogVerifier
{
    /// <param name="path">For messages.</param>
    /// <param name="size">Of the log, in bytes, as it was when the head was read.</param>
    /// <exception cref="HostException">The log cannot be read.</exception>
    public static LogReport Verify(FileDescriptor file, string path, long size, LogHead head, AuditKey key)
    {
        LogExtent committed = head.Committed;
        using var chain = new LogChain(key, head.Log);
        var lines = new LogLines(file, path, 0, Math.Min(size, committed.Bytes));
        long count = 0;
        while (true)
        {
            LogLineKind kind = lines.Next(out ReadOnlySpan<byte> line);
            if (kind == LogLineKind.End || (kind == LogLineKind.Torn && size < committed.Bytes))
                break;
            if (kind != LogLineKind.Line || !chain.TryFollow(line))
                return new LogReport(count, count + 1, Describe(kind, line, count + 1), null);
            count++;
        }

        if (size < committed.Bytes)
            return new LogReport(count, count + 1,
                $"the log ends after line {count}, but its head knows of {committed.Lines}: it was truncated", null);
        if (count != committed.Lines || Convert.ToHexStringLower(chain.Value) != committed.Chain)
            return new LogReport(
                count, count, $"the log has {count} lines that its head does not know in this way", null);
        if (LogTail.Examine(file, path, size, head, key, out long faultLine) is not LogTail tail)
            return new LogReport(faultLine - 1, faultLine, LogTail.Fault(faultLine), null);
        return new LogReport(tail.Extent.Lines, 0, null, tail.WasInterrupted ? NoteOf(tail) : null);
    }

    static string NoteOf(LogTail tail) =>
        $"a writer was interrupted: {tail.Recovered} lines more than the head knows of are proved, "
        + $"{tail.Missing} that were about to be written are not there, {tail.Torn} bytes belong to no whole line";

    static string Describe(LogLineKind kind, ReadOnlySpan<byte> line, long number)
    {
        if (kind == LogLineKind.TooLong)
            return $"line {number} is longer than any line of a log";
        if (kind == LogLineKind.Torn || !LogChain.TrySplit(line, out _, out _))
            return $"line {number} has not the form of a log's line";
        return PlaceOf(line) switch
        {
            null => $"line {number} was changed: it does not say its place",
            long place when place > number =>
                $"line {number} is missing here, or was moved: what stands here is line {place}",
            long place when place < number =>
                $"line {number} is missing here: line {place} stands here again, copied or moved",
            _ => $"line {number} was changed, or was not written with this key",
        };
    }

    /// <summary>
    /// What the line itself says about its place in the log. Good enough to describe a fault, and no proof.
    /// </summary>
    static long? PlaceOf(ReadOnlySpan<byte> line)
    {
        try
        {
            var reader = new Utf8JsonReader(line);
            while (reader.Read())
                if (reader.CurrentDepth == 1
                    && reader.TokenType == JsonTokenType.PropertyName
                    && reader.ValueTextEquals("Line"u8))
                    return reader.Read()
                        && reader.TokenType == JsonTokenType.Number
                        && reader.TryGetInt64(out long place)
                        ? place
                        : null;
            return null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
