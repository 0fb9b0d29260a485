namespace Sandbox.Vmm.Personality.Loader;

/// <summary>The first line of a script: "#!interpreter [argument]" (execve(2), fs/binfmt_script.c).</summary>
public readonly ref struct ScriptHeader
{
    /// <summary>How much of the file the kernel looks at: BINPRM_BUF_SIZE.</summary>
    public const int LineLimit = 256;

    public ReadOnlySpan<byte> Interpreter { get; private init; }

    /// <summary>All of the line behind the interpreter, as one argument; empty when there is none.</summary>
    public ReadOnlySpan<byte> Argument { get; private init; }

    public static bool IsScript(ReadOnlySpan<byte> start) => start.StartsWith("#!"u8);

    /// <summary>False is ENOEXEC: no interpreter, or a path cut off by the limit.</summary>
    /// <param name="start">The file's first <see cref="LineLimit"/> bytes, or all of a shorter file.</param>
    public static bool TryParse(ReadOnlySpan<byte> start, out ScriptHeader header)
    {
        header = default;
        if (!IsScript(start))
            return false;
        bool isWhole = start.Length < LineLimit;
        if (!isWhole)
            start = start[..LineLimit];
        ReadOnlySpan<byte> line = start[2..];
        int newline = line.IndexOf((byte)'\n');
        if (newline >= 0)
        {
            line = line[..newline];
        }
        else if (!isWhole)
        {
            // The line goes on beyond the limit. The argument may be cut, as Linux does; the path may not. The last
            // byte is never part of either: the kernel keeps its place for a NUL.
            ReadOnlySpan<byte> path = line.TrimStart(" \t"u8);
            if (path.IndexOfAny((byte)' ', (byte)'\t', (byte)0) < 0)
                return false;
            line = line[..^1];
        }
        line = line.Trim(" \t"u8);
        int end = line.IndexOfAny((byte)' ', (byte)'\t', (byte)0);
        ReadOnlySpan<byte> interpreter = end < 0 ? line : line[..end];
        if (interpreter.IsEmpty)
            return false;
        ReadOnlySpan<byte> argument = default;
        if (end >= 0 && line[end] != 0)
        {
            argument = line[end..].TrimStart(" \t"u8);
            int nul = argument.IndexOf((byte)0);
            if (nul >= 0)
                argument = argument[..nul];
        }
        header = new ScriptHeader { Interpreter = interpreter, Argument = argument };
        return true;
    }
}
