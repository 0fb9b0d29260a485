using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Terminals;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The line discipline: what is typed, printed, read and configured, compared step by step with a pseudo-terminal of
/// the host's kernel. Where the host has none, only what cannot be anywhere is checked.
/// </summary>
/// <remarks>
/// Input: steps of a kind (1) and what it needs: bytes after a length (1), a length (1), or flags and a key. Signals go
/// to nobody on either side.
/// </remarks>
sealed class TerminalTarget : FuzzTarget
{
    private const int MaximumSteps = 64;

    /// <summary>Both sides hold far more: what a full buffer loses is not compared.</summary>
    private const int MaximumBytes = 3000;

    private const int MaximumPiece = 64;

    /// <summary>How long a busy host may take to show what it will show. Milliseconds.</summary>
    private const int Patience = 10_000;

    private const uint InputFlags = ISTRIP | INLCR | IGNCR | ICRNL | IUCLC | IMAXBEL | IUTF8;
    private const uint OutputFlags = OPOST | OLCUC | ONLCR | OCRNL | ONOCR | ONLRET | TABDLY;
    private const uint LocalFlags = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHONL | ECHOCTL | ECHOKE | IEXTEN;

    /// <summary>
    /// What a signal's flush takes of the echo depends on how far the host's kernel has come with it.
    /// </summary>
    private const uint AlwaysSet = NOFLSH;

    private readonly KernelMemory _memory = new(long.MaxValue);
    private readonly byte[] _ours = new byte[32 * 1024];
    private readonly byte[] _hosts = new byte[32 * 1024];

    private enum Step : byte
    {
        Type, Print, Read, Flags, Key, Flush, Restore,
    }

    private const int StepCount = 7;

    public override string Name => "terminal";

    public override string Summary => "the line discipline, compared with the host kernel's";

    public override int MaximumLength => 1024;

    public override long AllocationLimit => 1 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        .. new[] { "\r", "\n", "\t", "\x7f", "\x15", "\x17", "\x16", "\x12", "\x04", "\x03", "a b\x17", "\u00e4\x7f",
        "\x1b[A" }
            .Select(text => (byte[])[(byte)Step.Type, (byte)Encoding.UTF8.GetByteCount(text),
                .. Encoding.UTF8.GetBytes(text)]),
        [(byte)Step.Read, 64], [(byte)Step.Read, 1], [(byte)Step.Flags, 0, 0, 0, 0],
    ];

    public override bool Run(ReadOnlySpan<byte> input)
    {
        Terminal terminal = Terminal.TryCreate(_memory, null, 0)!;
        using HostTerminal? host = HostTerminal.TryOpen();
        termios initial = terminal.Settings;
        // Stopped output is not compared: the host's may or may not have come through already.
        initial.c_iflag &= ~(uint)IXON;
        initial.c_lflag |= AlwaysSet;
        Configure(terminal, host, initial);
        InputReader reader = new(input);
        int steps = 0, bytes = 0;
        while (!reader.IsAtEnd && steps++ < MaximumSteps)
        {
            Step step = (Step)(reader.Byte() % StepCount);
            switch (step)
            {
                case Step.Type or Step.Print:
                    ReadOnlySpan<byte> piece = reader.Bytes(reader.Byte() % MaximumPiece);
                    bytes += piece.Length;
                    if (bytes > MaximumBytes)
                        break;
                    if (step == Step.Type)
                        Type(terminal, host, piece.ToArray());
                    else
                        Print(terminal, host, piece);
                    break;
                case Step.Read:
                    Read(terminal, host, reader.Byte());
                    break;
                case Step.Flags:
                    Configure(terminal, host, WithFlags(terminal.Settings, ref reader));
                    break;
                case Step.Key:
                    Configure(terminal, host, WithKey(terminal.Settings, reader.Byte(), reader.Byte()));
                    break;
                case Step.Flush:
                    terminal.Flush(input: true, output: false);
                    host?.Flush(input: true, output: false);
                    break;
                case Step.Restore:
                    Configure(terminal, host, initial);
                    break;
            }
            CompareShown(terminal, host);
            if (host is not null)
                OracleException.Check(terminal.Available == host.Available, "FIONREAD differs");
        }
        terminal.Free();
        return steps > 0;
    }

    private void Type(Terminal terminal, HostTerminal? host, byte[] piece)
    {
        // The host passes typed bytes on at once only to a reader that has none.
        bool isRaw = (terminal.Settings.c_lflag & ICANON) == 0;
        while (Read(terminal, host, MaximumPiece) is var count && (count > 0 || (count == 0 && !isRaw)))
        {
        }
        // The host's echo buffer marks its operations with this byte, and shows it without output processing.
        piece.AsSpan().Replace((byte)0xff, (byte)0xfe);
        terminal.Receive(piece);
        if (host is null || piece.Length == 0)
            return;
        host.Type(piece);
        host.Settle();
    }

    private static void Print(Terminal terminal, HostTerminal? host, ReadOnlySpan<byte> piece)
    {
        long result = terminal.Write(piece);
        OracleException.Check(result == piece.Length, "a terminal with room does not print");
        if (host is not null)
            OracleException.Check(host.Print(piece) == result, "printing differs");
    }

    /// <returns>Bytes read, or a negative error number.</returns>
    private long Read(Terminal terminal, HostTerminal? host, int length)
    {
        long result = terminal.Read(_ours.AsSpan(0, length), nonBlocking: true);
        OracleException.Check(result <= length && result >= -EAGAIN, "a read of another length");
        if (host is null)
            return result;
        long expected = host.Read(_hosts.AsSpan(0, length));
        OracleException.Check(result == expected, $"a read answers {result}, the host {expected}");
        if (result > 0)
            OracleException.Check(_ours.AsSpan(0, (int)result).SequenceEqual(_hosts.AsSpan(0, (int)result)),
                "a read differs");
        return result;
    }

    private void CompareShown(Terminal terminal, HostTerminal? host)
    {
        int ours = terminal.TakeOutput(_ours), hosts = 0;
        if (host is null)
            return;
        for (int i = 0; i <= Patience; i++)
        {
            long more;
            while ((more = host.TakeShown(_hosts.AsSpan(hosts))) > 0)
                hosts += (int)more;
            // Not equal yet: perhaps it is still on its way.
            if (hosts >= ours)
                break;
            Thread.Sleep(1);
        }
        OracleException.Check(_ours.AsSpan(0, ours).SequenceEqual(_hosts.AsSpan(0, hosts)), "what is shown differs");
    }

    private static void Configure(Terminal terminal, HostTerminal? host, in termios settings)
    {
        terminal.Configure(settings, flushInput: false);
        host?.Configure(settings, flushInput: false);
    }

    private static termios WithFlags(termios settings, ref InputReader reader)
    {
        settings.c_iflag = Pick(InputFlags, reader.Byte() | (uint)reader.Byte() << 8);
        settings.c_oflag = Pick(OutputFlags, reader.Byte());
        if ((settings.c_oflag & TABDLY) != XTABS)
            settings.c_oflag &= ~(uint)TABDLY;
        settings.c_lflag = AlwaysSet | Pick(LocalFlags, reader.Byte() | (uint)reader.Byte() << 8);
        return settings;
    }

    /// <summary>Spreads bits over the flags that there are.</summary>
    private static uint Pick(uint flags, uint choice)
    {
        uint picked = 0;
        for (; flags != 0; flags &= flags - 1, choice >>= 1)
            if ((choice & 1) != 0)
                picked |= flags & (uint)-(int)flags;
        return picked;
    }

    private static unsafe termios WithKey(termios settings, byte which, byte value)
    {
        ReadOnlySpan<int> keys = [VINTR, VQUIT, VERASE, VKILL, VEOF, VEOL, VEOL2, VREPRINT, VWERASE, VLNEXT, VMIN];
        int key = keys[which % keys.Length];
        // Waiting for many bytes is another matter, and asked without waiting.
        settings.c_cc[key] = key == VMIN ? (byte)(value % 3) : value;
        return settings;
    }

    private static byte[] Typed(string text) => [(byte)Step.Type, (byte)text.Length, .. Encoding.Latin1.GetBytes(text)];

    private static byte[] Printed(string text) => [(byte)Step.Print, (byte)text.Length,
        .. Encoding.Latin1.GetBytes(text)];

    private static readonly byte[] ReadAll = [(byte)Step.Read, 200];

    /// <summary>The bits of the flags in the order of the masks above.</summary>
    private static byte[] Flags(byte input, byte output, ushort local) =>
        [(byte)Step.Flags, input, 0, output, (byte)local, (byte)(local >> 8)];

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        const ushort raw = 0, noEcho = 0x103, everything = 0x1ff;
        yield return ("lines", [.. Typed("hello\r"), .. ReadAll, .. Typed("two\nlines\n"), .. ReadAll, .. ReadAll,
            .. Typed("end\x04"), .. ReadAll]);
        yield return ("editing", [.. Typed("abc\x7f\x7f"), .. Typed("word word\x17"), .. Typed("x\ty\t\x7f\x7f"),
            .. Typed("\x15new\x12\r"), .. ReadAll]);
        yield return ("literal", [.. Typed("\x16\x03\x16\x7f\x01\x7f\r"), .. ReadAll, .. Typed("\x03\x1c\x1a"),
            .. Typed("a\x03"), .. ReadAll]);
        yield return ("raw", [.. Flags(0, 0, raw), .. Typed("a\r\n\x03"), .. ReadAll, (byte)Step.Restore,
            .. Typed("b\r"), .. ReadAll]);
        yield return ("printing", [.. Printed("a\nb\tc\r\x08\x01\n"), .. Flags(0, 0x7f, everything),
            .. Printed("a\nb\tc\rd\x08e\n"), .. Typed("a\tb\x7f\x7f\n")]);
        yield return ("flags", [.. Flags(0x7f, 1, everything), .. Typed("AB\xc3\xa4\x7f\r\n"), .. ReadAll, .. Flags(2,
            3, noEcho), .. Typed("x\n\r"), .. ReadAll]);
        yield return ("keys", [(byte)Step.Key, 5, (byte)'e', .. Typed("the\r"), .. ReadAll, .. ReadAll, (byte)Step.Key,
            2, 0, .. Typed("a\x7f\n"), .. ReadAll]);
        yield return ("mode-change", [.. Typed("partial"), .. Flags(0, 1, raw), .. ReadAll, .. Typed("more"),
            (byte)Step.Restore, .. ReadAll, (byte)Step.Flush]);
    }
}
