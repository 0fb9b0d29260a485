using Sandbox.Host;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>
/// A terminal with Linux's standard line discipline (termios(3), N_TTY). On one side are the programs; on the other
/// whoever types and shows what is printed: a pseudo-terminal's master, or the operator's own terminal. This part is
/// what both sides share; the others receive, echo, print, and answer ioctl.
/// </summary>
/// <remarks>
/// The terminal's lock is never held while signals are sent: those that input causes are collected and sent after.
/// </remarks>
public sealed unsafe partial class Terminal
{
    /// <summary>A control character that is switched off (_POSIX_VDISABLE), and how an end of file is stored.</summary>
    public const byte Disabled = 0;

    /// <summary>Printed bytes that wait for the other side.</summary>
    private const int OutputCapacity = 16 * 1024;

    /// <summary>The other side types at most this, then looks for room again: a long paste is not lost.</summary>
    internal const int MaximumTyped = TerminalInput.Capacity / 4;

    private readonly Lock _lock = new();
    private readonly LinuxPersonality? _personality;
    private readonly TerminalInput _input = new();
    private readonly ByteRing _output;
    private termios _settings;
    private winsize _size;
    private bool _stopped;
    private bool _hungUp;
    private long _lastInputAt;

    private Terminal(LinuxPersonality? personality, int number, ByteRing output)
    {
        _personality = personality;
        Number = number;
        _output = output;
        _settings = DefaultSettings();
    }

    /// <summary>Null when the sandbox's budget for kernel objects is spent.</summary>
    /// <param name="personality">Whose processes get its signals; null for a terminal without any.</param>
    /// <param name="number">N of /dev/pts/N.</param>
    public static Terminal? TryCreate(KernelMemory memory, LinuxPersonality? personality, int number)
    {
        ByteRing? output = ByteRing.TryCreate(memory, OutputCapacity);
        return output is null ? null : new Terminal(personality, number, output);
    }

    public int Number { get; }

    public string Name => $"/dev/pts/{Number}";

    /// <summary>Programs that read from or write to the terminal.</summary>
    public WaitQueue Waiters { get; } = new();

    /// <summary>The other side: told when there is something to show, or the last program has gone.</summary>
    public WaitQueue OutputWaiters { get; } = new();

    /// <summary>Called, without the terminal's lock, when there may be something to show.</summary>
    internal Action? OutputReady { get; set; }

    /// <summary>Called, without the terminal's lock, when there may be room to type into.</summary>
    internal Action? InputTaken { get; set; }

    /// <summary>How a Linux terminal starts: canonical, echoing, with the usual keys.</summary>
    private static termios DefaultSettings()
    {
        termios settings = new()
        {
            c_iflag = ICRNL | IXON,
            c_oflag = OPOST | ONLCR,
            c_cflag = B38400 | CS8 | CREAD | HUPCL,
            c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
        };
        settings.c_cc[VINTR] = 3;
        settings.c_cc[VQUIT] = 28;
        settings.c_cc[VERASE] = 127;
        settings.c_cc[VKILL] = 21;
        settings.c_cc[VEOF] = 4;
        settings.c_cc[VMIN] = 1;
        settings.c_cc[VSTART] = 17;
        settings.c_cc[VSTOP] = 19;
        settings.c_cc[VSUSP] = 26;
        settings.c_cc[VREPRINT] = 18;
        settings.c_cc[VDISCARD] = 15;
        settings.c_cc[VWERASE] = 23;
        settings.c_cc[VLNEXT] = 22;
        return settings;
    }

    private bool IsCanonical => (_settings.c_lflag & ICANON) != 0;

    private bool HasInputFlag(uint flag) => (_settings.c_iflag & flag) != 0;

    private bool HasLocalFlag(uint flag) => (_settings.c_lflag & flag) != 0;

    private bool IsKey(byte value, int index) => value != Disabled && _settings.c_cc[index] == value;

    /// <summary>Reads as a program does, without waiting.</summary>
    /// <param name="nonBlocking">Then fewer bytes than VMIN asks for are enough.</param>
    /// <returns>Bytes, 0 at the end of file or after a hang-up, or -EAGAIN.</returns>
    public long Read(Span<byte> buffer, bool nonBlocking)
    {
        long result;
        lock (_lock)
        {
            if (buffer.IsEmpty)
                return 0;
            if (IsCanonical)
            {
                if (_input.Complete == 0)
                    return _hungUp ? 0 : -EAGAIN;
                result = _input.ReadLine(buffer);
            }
            else
            {
                int minimum = _settings.c_cc[VMIN];
                int wanted = nonBlocking ? 1 : Math.Min(Math.Max(minimum, 1), buffer.Length);
                if (_input.Count < wanted)
                {
                    if (_hungUp)
                        return _input.ReadBytes(buffer);
                    bool polling = minimum == 0 && _settings.c_cc[VTIME] == 0;
                    return polling ? 0 : -EAGAIN;
                }
                result = _input.ReadBytes(buffer);
            }
        }
        AnnounceRoom();
        return result;
    }

    /// <summary>VTIME: when a read that began at a time gives up, in the same clock's nanoseconds.</summary>
    public long ReadDeadline(long startedAt)
    {
        const long Tenth = 100_000_000;
        lock (_lock)
        {
            long time = _settings.c_cc[VTIME] * Tenth;
            if (IsCanonical || time == 0)
                return Parker.Forever;
            if (_settings.c_cc[VMIN] == 0)
                return startedAt + time;
            return _input.Count > 0 ? _lastInputAt + time : Parker.Forever;
        }
    }

    /// <summary>What there is when VTIME is over; perhaps nothing.</summary>
    public long ReadTimedOut(Span<byte> buffer)
    {
        long result;
        lock (_lock)
            result = IsCanonical ? -EAGAIN : _input.ReadBytes(buffer);
        AnnounceRoom();
        return result;
    }

    private void AnnounceRoom()
    {
        OutputWaiters.Notify(PollEvents.Writable);
        InputTaken?.Invoke();
    }

    /// <summary>Readiness for programs.</summary>
    public PollEvents Poll()
    {
        lock (_lock)
        {
            if (_hungUp)
                return PollEvents.Readable | PollEvents.Writable | PollEvents.HangUp | PollEvents.Error;
            int wanted = _settings.c_cc[VTIME] == 0 ? Math.Max((int)_settings.c_cc[VMIN], 1) : 1;
            bool readable = IsCanonical ? _input.Complete > 0 : _input.Count >= wanted;
            bool writable = !_stopped && _output.Room >= ExpandedByte;
            return (readable ? PollEvents.Readable : 0) | (writable ? PollEvents.Writable : 0);
        }
    }

    /// <summary>FIONREAD for programs.</summary>
    public int Available
    {
        get
        {
            lock (_lock)
                return IsCanonical ? _input.CompleteWithoutEnds : _input.Count;
        }
    }

    /// <summary>What the other side has to show; 0 when there is nothing.</summary>
    public int TakeOutput(Span<byte> buffer)
    {
        int count;
        lock (_lock)
            count = _output.Read(buffer);
        if (count > 0)
            Waiters.Notify(PollEvents.Writable);
        return count;
    }

    /// <summary>
    /// The same without taking it, for a side that may not be able to show all; see <see cref="DropOutput"/>.
    /// </summary>
    public int PeekOutput(Span<byte> buffer)
    {
        lock (_lock)
            return _output.Peek(buffer, 0);
    }

    public void DropOutput(int count)
    {
        lock (_lock)
            _output.Discard(count);
        Waiters.Notify(PollEvents.Writable);
    }

    public int OutputCount
    {
        get
        {
            lock (_lock)
                return _output.Count;
        }
    }

    /// <summary>
    /// Whether of <see cref="MaximumTyped"/> bytes some might be lost, until a program reads. A line that is too long
    /// is cut off however long one waits.
    /// </summary>
    public bool IsInputFull
    {
        get
        {
            lock (_lock)
                return _input.Count >= TerminalInput.Capacity - MaximumTyped && (!IsCanonical || _input.Complete > 0);
        }
    }

    public bool IsHungUp
    {
        get
        {
            lock (_lock)
                return _hungUp;
        }
    }

    /// <summary>
    /// The other side is gone for good: reads end, writes fail, and the session hears of it (SIGHUP).
    /// </summary>
    public void HangUp()
    {
        lock (_lock)
        {
            if (_hungUp)
                return;
            _hungUp = true;
            _stopped = false;
        }
        SignalHangUp();
        Waiters.Notify(PollEvents.All);
    }

    internal void Free()
    {
        lock (_lock)
            _output.Free();
    }

    public winsize Size
    {
        get
        {
            lock (_lock)
                return _size;
        }
    }

    /// <summary>TIOCSWINSZ; the foreground group hears of a change.</summary>
    public void Resize(in winsize size)
    {
        lock (_lock)
        {
            if (_size.ws_row == size.ws_row && _size.ws_col == size.ws_col
                && _size.ws_xpixel == size.ws_xpixel && _size.ws_ypixel == size.ws_ypixel)
                return;
            _size = size;
        }
        SignalForeground(SIGWINCH);
    }

    public termios Settings
    {
        get
        {
            lock (_lock)
                return _settings;
        }
    }

    /// <summary>TCSETS, or with <paramref name="flushInput"/> TCSETSF.</summary>
    public void Configure(in termios settings, bool flushInput)
    {
        lock (_lock)
        {
            if (flushInput)
                _input.Clear();
            bool changesMode = ((_settings.c_lflag ^ settings.c_lflag) & ICANON) != 0;
            _settings = settings;
            if (changesMode)
            {
                _input.ChangeMode(IsCanonical);
                _literalNext = false;
            }
            if (!HasInputFlag(IXON))
                _stopped = false;
        }
        Waiters.Notify(PollEvents.All);
        OutputReady?.Invoke();
        OutputWaiters.Notify(PollEvents.Readable);
        AnnounceRoom();
    }

    /// <summary>TCXONC with TCOOFF and TCOON: stops and starts output.</summary>
    public void SetStopped(bool stopped)
    {
        lock (_lock)
            _stopped = stopped;
        if (!stopped)
            Waiters.Notify(PollEvents.Writable);
    }

    /// <summary>TCFLSH.</summary>
    public void Flush(bool input, bool output)
    {
        lock (_lock)
        {
            if (input)
                _input.Clear();
            if (output)
                _output.Clear();
        }
        Waiters.Notify(PollEvents.Writable);
        if (input)
            AnnounceRoom();
    }
}
