using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Sandbox.Supervisor.Audit;

/// <summary>How far a log goes.</summary>
/// <param name="Chain">The last line's value.</param>
sealed record LogExtent(long Lines, long Bytes, string Chain);

/// <summary>
/// What proves that a log is whole: how far it goes, kept apart from it and sealed with its key. Before lines are
/// written it says how far they will go, afterwards that they do, so that what an interruption may have cost is known.
/// </summary>
/// <param name="KeyId">Of the key that log and head are made with.</param>
/// <param name="Log">The log's random name.</param>
/// <param name="Pending">How far the log goes once a write that has begun is complete; null when none has.</param>
sealed record LogHead(string KeyId, string Log, LogExtent Committed, LogExtent? Pending)
{
    /// <summary>Bytes of the file, all within one sector: written whole or not at all.</summary>
    public const int Size = 512;

    const string Title = "sandbox-audit-head 1";

    public byte[] Write(AuditKey key)
    {
        string text = $"{Title}\nkey {KeyId}\nlog "
            + $"{Log}\n{Line("committed", Committed)}{(Pending is null ? "" : Line("pending", Pending))}";
        byte[] file = new byte[Size];
        file.AsSpan().Fill((byte)' ');
        Encoding.ASCII.GetBytes($"{text}mac {Mac(key, text)}\n", file);
        file[^1] = (byte)'\n';
        return file;
    }

    /// <param name="problem">What is wrong, when null is returned.</param>
    public static LogHead? Read(ReadOnlySpan<byte> file, AuditKey key, out string problem) =>
        Read(file, key, out problem, out _);

    /// <param name="problem">What is wrong, when null is returned.</param>
    /// <param name="isForeign">What is wrong is that the head was made with another key.</param>
    public static LogHead? Read(ReadOnlySpan<byte> file, AuditKey key, out string problem, out bool isForeign)
    {
        isForeign = false;
        problem = "is no head of a log";
        if (file.Length != Size || !Ascii.IsValid(file))
            return null;
        string text = Encoding.ASCII.GetString(file);
        int seal = text.LastIndexOf("\nmac ", StringComparison.Ordinal) + 1;
        string[] lines = text[..Math.Max(seal, 0)].Split('\n');
        if (lines is not [Title, { Length: > 4 } keyLine, { Length: > 4 } logLine, var committedLine, ..]
            || !keyLine.StartsWith("key ", StringComparison.Ordinal)
            || !logLine.StartsWith("log ", StringComparison.Ordinal))
            return null;
        problem = $"is made with another key ({keyLine[4..]}) than this one ({key.Id})";
        isForeign = keyLine[4..] != key.Id;
        if (isForeign)
            return null;
        problem = "was changed, or is not made with this key";
        string expected = $"mac {Mac(key, text[..seal])}\n";
        if (!CryptographicOperations.FixedTimeEquals(
                Encoding.ASCII.GetBytes(expected), Encoding.ASCII.GetBytes(text[seal..].TrimEnd() + "\n")))
            return null;
        LogExtent? committed = Extent("committed", committedLine);
        LogExtent? pending = lines.Length == 6 ? Extent("pending", lines[4]) : null;
        bool good = committed is not null && (lines.Length == 5 || pending is not null);
        problem = good ? "" : "is no head of a log";
        return good ? new LogHead(keyLine[4..], logLine[4..], committed!, pending) : null;
    }

    static string Line(string name, LogExtent extent) =>
        string.Create(CultureInfo.InvariantCulture, $"{name} {extent.Lines} {extent.Bytes} {extent.Chain}\n");

    static LogExtent? Extent(string name, string line)
    {
        string[] words = line.Split(' ');
        return words.Length == 4 && words[0] == name
            && long.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out long count)
            && long.TryParse(words[2], NumberStyles.None, CultureInfo.InvariantCulture, out long bytes)
            && words[3].Length == 2 * LogChain.Size
            ? new LogExtent(count, bytes, words[3])
            : null;
    }

    static string Mac(AuditKey key, string text)
    {
        using IncrementalHash hash = key.NewHash();
        // Its own words before it: no line of a log can be taken for a head.
        hash.AppendData("sandbox audit head "u8);
        hash.AppendData(Encoding.ASCII.GetBytes(text));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
