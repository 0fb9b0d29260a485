using Sandbox.Host;

namespace Sandbox.Supervisor.Audit;

/// <summary>What comes next in a log.</summary>
enum LogLineKind
{
    /// <summary>A line with its newline.</summary>
    Line,

    /// <summary>More than <see cref="LogLines.MaximumLine"/> bytes without a newline.</summary>
    TooLong,

    /// <summary>Bytes without a newline at the end.</summary>
    Torn,

    End,
}

/// <summary>Reads a log line by line, in a buffer of fixed size, whatever it holds.</summary>
/// <param name="offset">Where a line begins.</param>
/// <param name="end">What lies beyond is not read.</param>
sealed class LogLines(FileDescriptor file, string path, long offset, long end)
{
    /// <summary>Bytes of the longest line that this program writes, newline included.</summary>
    public const int MaximumLine = 32 << 10;

    readonly byte[] _buffer = new byte[4 * MaximumLine];
    int _start;
    int _length;
    long _read = offset;

    /// <param name="line">Until the next call.</param>
    /// <exception cref="HostException">The file cannot be read.</exception>
    public LogLineKind Next(out ReadOnlySpan<byte> line)
    {
        while (true)
        {
            ReadOnlySpan<byte> rest = _buffer.AsSpan(_start, _length);
            int newline = rest[..Math.Min(rest.Length, MaximumLine)].IndexOf((byte)'\n');
            if (newline >= 0)
                return Take(LogLineKind.Line, newline + 1, out line);
            if (rest.Length >= MaximumLine)
                return Take(LogLineKind.TooLong, MaximumLine, out line);
            if (!Fill())
                return Take(_length > 0 ? LogLineKind.Torn : LogLineKind.End, _length, out line);
        }
    }

    LogLineKind Take(LogLineKind kind, int length, out ReadOnlySpan<byte> line)
    {
        line = _buffer.AsSpan(_start, length);
        _start += length;
        _length -= length;
        return kind;
    }

    bool Fill()
    {
        _buffer.AsSpan(_start, _length).CopyTo(_buffer);
        _start = 0;
        int room = (int)Math.Min(_buffer.Length - _length, end - _read);
        if (room <= 0)
            return false;
        int count = PrivateFile.ReadAt(file, _buffer.AsSpan(_length, room), _read, path);
        _read += count;
        _length += count;
        return count > 0;
    }
}
