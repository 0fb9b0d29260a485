using Sandbox.Host;

namespace Sandbox.Supervisor.Audit;

/// <summary>
/// What lies behind the last line that a log's head knows of: nothing, or what a process left that was ended between
/// its lines and the head. Lines there count when the chain holds; a torn one is cut off.
/// </summary>
/// <param name="Extent">The log with the lines that count.</param>
/// <param name="Recovered">Lines that count and that the head did not know of.</param>
/// <param name="Missing">Lines that were about to be written and are not there.</param>
/// <param name="Torn">Bytes behind the last line that counts.</param>
sealed record LogTail(LogExtent Extent, long Recovered, long Missing, long Torn)
{
    /// <summary>What is wrong with a line that is no interrupted write.</summary>
    public static string Fault(long line) =>
        $"line {line}, behind the last line that the head knows of, is not this program's";

    /// <summary>Whether anything was interrupted.</summary>
    public bool WasInterrupted => Recovered + Missing + Torn > 0;

    /// <param name="size">Of the log, in bytes, not below the committed ones.</param>
    /// <param name="faultLine">Which line shows that this is no interrupted write, when null is returned.</param>
    /// <exception cref="HostException">The log cannot be read.</exception>
    public static LogTail? Examine(
        FileDescriptor file, string path, long size, LogHead head, AuditKey key, out long faultLine)
    {
        faultLine = 0;
        LogExtent committed = head.Committed;
        using var chain = new LogChain(key, Convert.FromHexString(committed.Chain));
        var lines = new LogLines(file, path, committed.Bytes, size);
        long count = committed.Lines, bytes = committed.Bytes;
        LogLineKind kind;
        while ((kind = lines.Next(out ReadOnlySpan<byte> line)) == LogLineKind.Line && chain.TryFollow(line))
        {
            count++;
            bytes += line.Length;
        }

        long torn = size - bytes;
        // A write that was interrupted leaves no more than it was going to write, and says beforehand how much that is.
        if (torn > 0 && !(kind != LogLineKind.Line && size < (head.Pending?.Bytes ?? 0)))
        {
            faultLine = count + 1;
            return null;
        }

        return new LogTail(
            new LogExtent(count, bytes, Convert.ToHexStringLower(chain.Value)), count - committed.Lines,
            Math.Max((head.Pending?.Lines ?? 0) - count, 0), torn);
    }
}
