using System.Security.Cryptography;
using System.Text;

namespace Sandbox.Supervisor.Audit;

/// <summary>
/// Binds each line of a log to all lines before it. A line's value is HMAC-SHA256, with the log's key, of the previous
/// value and the line without its own; the first line's previous value comes from the log's random name.
/// </summary>
sealed class LogChain : IDisposable
{
    /// <summary>Bytes of a value.</summary>
    public const int Size = 32;

    /// <summary>Bytes of <c>,"chain":"64 digits"}</c> and the newline, with which each line ends.</summary>
    public const int SuffixLength = 10 + 2 * Size + 3;

    static ReadOnlySpan<byte> Before => ",\"chain\":\""u8;

    static ReadOnlySpan<byte> After => "\"}\n"u8;

    readonly IncrementalHash _hash;
    readonly byte[] _value = new byte[Size];

    /// <summary>A chain that goes on from a value.</summary>
    public LogChain(AuditKey key, ReadOnlySpan<byte> value)
    {
        _hash = key.NewHash();
        value.CopyTo(_value);
    }

    /// <summary>A log's chain from its beginning.</summary>
    public LogChain(AuditKey key, string log)
    {
        _hash = key.NewHash();
        _hash.AppendData(Encoding.ASCII.GetBytes("sandbox audit log 1 " + log));
        _hash.GetHashAndReset(_value);
    }

    /// <summary>The last line's.</summary>
    public ReadOnlySpan<byte> Value => _value;

    /// <summary>Adds a line: takes a JSON object, answers the line with its value and a newline.</summary>
    public byte[] Seal(ReadOnlySpan<byte> json)
    {
        ReadOnlySpan<byte> body = json[..^1];
        Advance(body, _value);
        var line = new byte[body.Length + SuffixLength];
        body.CopyTo(line);
        Before.CopyTo(line.AsSpan(body.Length));
        Encoding.ASCII.GetBytes(Convert.ToHexStringLower(_value), line.AsSpan(body.Length + Before.Length));
        After.CopyTo(line.AsSpan(line.Length - After.Length));
        return line;
    }

    /// <summary>Goes on to the next line if that is what comes here; else stays.</summary>
    /// <param name="line">With its newline.</param>
    public bool TryFollow(ReadOnlySpan<byte> line)
    {
        if (!TrySplit(line, out ReadOnlySpan<byte> body, out ReadOnlySpan<byte> digits))
            return false;
        Span<byte> written = stackalloc byte[Size], next = stackalloc byte[Size];
        if (Convert.FromHexString(digits, written, out _, out _) != System.Buffers.OperationStatus.Done)
            return false;
        // Only one spelling, or a line could be changed.
        if (digits.ContainsAnyInRange((byte)'A', (byte)'F'))
            return false;
        Advance(body, next);
        if (!CryptographicOperations.FixedTimeEquals(written, next))
            return false;
        next.CopyTo(_value);
        return true;
    }

    /// <summary>Whether a line has the form that a chain gives it.</summary>
    public static bool TrySplit(ReadOnlySpan<byte> line, out ReadOnlySpan<byte> body, out ReadOnlySpan<byte> digits)
    {
        body = digits = default;
        if (line.Length <= SuffixLength || line[0] != (byte)'{' || !line.EndsWith(After))
            return false;
        body = line[..^SuffixLength];
        digits = line.Slice(body.Length + Before.Length, 2 * Size);
        return line[body.Length..].StartsWith(Before);
    }

    public void Dispose() => _hash.Dispose();

    void Advance(ReadOnlySpan<byte> body, Span<byte> next)
    {
        _hash.AppendData(_value);
        _hash.AppendData(body);
        _hash.GetHashAndReset(next);
    }
}
