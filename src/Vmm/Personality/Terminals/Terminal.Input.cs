using Sandbox.Host;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

// Receiving what is typed: editing, signals, flow control (termios(3), input processing).
public sealed unsafe partial class Terminal
{
    private const int TabWidth = 8;

    private bool _literalNext;

    /// <summary>Signals that the bytes just received cause, as a set; sent once the lock is released.</summary>
    private ulong _raised;

    /// <summary>The other side has typed.</summary>
    public void Receive(ReadOnlySpan<byte> bytes)
    {
        ulong raised;
        lock (_lock)
        {
            if (_hungUp)
                return;
            _lastInputAt = HostClock.MonotonicNanoseconds();
            foreach (byte value in bytes)
                Receive(value);
            raised = _raised;
            _raised = 0;
        }
        for (int signal = 1; raised != 0; signal++, raised >>= 1)
        {
            if ((raised & 1) != 0)
                SignalForeground(signal);
        }
        Waiters.Notify(PollEvents.Readable | PollEvents.Writable);
        OutputReady?.Invoke();
        OutputWaiters.Notify(PollEvents.Readable);
    }

    /// <summary>
    /// Whether a key is for the terminal and not for a program, so that it need not wait behind what no program reads:
    /// one that interrupts, stops output or lets it go on.
    /// </summary>
    /// <param name="flushes">What was typed before it is dropped.</param>
    internal bool IsUrgent(byte key, out bool flushes)
    {
        lock (_lock)
        {
            bool interrupts = HasLocalFlag(ISIG) && (IsKey(key, VINTR) || IsKey(key, VQUIT) || IsKey(key, VSUSP));
            flushes = interrupts && !HasLocalFlag(NOFLSH);
            return interrupts || (HasInputFlag(IXON) && (IsKey(key, VSTART) || IsKey(key, VSTOP)));
        }
    }

    private void Receive(byte value)
    {
        if (HasInputFlag(ISTRIP))
            value &= 0x7f;
        if (HasInputFlag(IUCLC) && HasLocalFlag(IEXTEN))
            value = LatinCase.ToLower(value);
        if (_literalNext)
        {
            _literalNext = false;
            Store(value, isLiteral: true);
            return;
        }
        if (_stopped && HasInputFlag(IXON) && HasInputFlag(IXANY) && !IsKey(value, VSTOP))
            _stopped = false;
        if (HasInputFlag(IXON) && HandleFlowControl(value))
            return;
        if (HasLocalFlag(ISIG) && HandleSignal(value))
            return;
        bool isMapped = false;
        if (value == '\r')
        {
            if (HasInputFlag(IGNCR))
                return;
            if (HasInputFlag(ICRNL))
            {
                value = (byte)'\n';
                isMapped = true;
            }
        }
        else if (value == '\n' && HasInputFlag(INLCR))
        {
            value = (byte)'\r';
        }
        if (!IsCanonical || !Edit(value))
            Store(value, isLiteral: !isMapped);
    }

    private bool HandleFlowControl(byte value)
    {
        if (IsKey(value, VSTART))
            _stopped = false;
        else if (IsKey(value, VSTOP))
            _stopped = true;
        else
            return false;
        return true;
    }

    private bool HandleSignal(byte value)
    {
        int signal = IsKey(value, VINTR) ? SIGINT : IsKey(value, VQUIT) ? SIGQUIT : IsKey(value, VSUSP) ? SIGTSTP : 0;
        if (signal == 0)
            return false;
        if (!HasLocalFlag(NOFLSH))
        {
            _input.Clear();
            _output.Clear();
        }
        if (HasInputFlag(IXON))
            _stopped = false;
        if (HasLocalFlag(ECHO))
            Echo(value);
        _raised |= 1UL << (signal - 1);
        return true;
    }

    /// <summary>Canonical mode: keys that edit or end the line. False for a byte that is simply part of it.</summary>
    private bool Edit(byte value)
    {
        bool extended = HasLocalFlag(IEXTEN);
        if (IsKey(value, VERASE))
            EraseCharacter(value);
        else if (IsKey(value, VWERASE) && (extended || IsKey(value, VKILL)))
            EraseWord();
        else if (IsKey(value, VKILL))
            EraseLine(value);
        else if (extended && IsKey(value, VLNEXT))
            BeginLiteral();
        else if (extended && IsKey(value, VREPRINT) && HasLocalFlag(ECHO))
            Reprint(value);
        else if (value == '\n')
            EndLine(value, HasLocalFlag(ECHO | ECHONL));
        else if (IsKey(value, VEOF))
            EndLine(Disabled, echo: false);
        else if (IsKey(value, VEOL) || (extended && IsKey(value, VEOL2)))
            EndLine(value, HasLocalFlag(ECHO));
        else
            return false;
        return true;
    }

    /// <param name="isLiteral">Not a carriage return that became a newline: that alone is echoed as it is, not as
    /// ^J.</param>
    private void Store(byte value, bool isLiteral)
    {
        // The last place is for the byte that ends the line.
        if (_input.Count >= TerminalInput.Capacity - (IsCanonical ? 1 : 0))
        {
            if (HasInputFlag(IMAXBEL))
                Print(7);
            return;
        }
        if (HasLocalFlag(ECHO))
        {
            if (_input.LineLength == 0)
                _lineColumn = _column;
            if (value == '\n' && !isLiteral)
                Print(value);
            else
                Echo(value);
        }
        _input.Add(value, endsLine: false);
    }

    private void EndLine(byte value, bool echo)
    {
        if (_input.IsFull)
        {
            if (HasInputFlag(IMAXBEL))
                Print(7);
            return;
        }
        if (echo)
        {
            if (value == '\n')
                Print(value);
            else
                Echo(value);
        }
        _input.Add(value, endsLine: true);
    }

    private void BeginLiteral()
    {
        _literalNext = true;
        if (HasLocalFlag(ECHO) && HasLocalFlag(ECHOCTL))
        {
            Print((byte)'^');
            Print((byte)'\b');
        }
    }

    private void Reprint(byte value)
    {
        Echo(value);
        Print((byte)'\n');
        for (int i = 0; i < _input.LineLength; i++)
            Echo(_input[i]);
    }

    private void EraseCharacter(byte key)
    {
        int length = LastCharacter(out byte first);
        if (length == 0)
            return;
        bool showsKey = HasLocalFlag(ECHO) && !HasLocalFlag(ECHOE);
        EraseLast(length, first, HasLocalFlag(ECHO) && !showsKey);
        if (showsKey)
            Echo(key);
    }

    private void EraseWord()
    {
        bool inWord = false;
        while (LastCharacter(out byte first) is > 0 and int length)
        {
            bool isWord = first == '_' || LatinCase.IsAlphanumeric(first);
            if (inWord && !isWord)
                return;
            inWord |= isWord;
            EraseLast(length, first, HasLocalFlag(ECHO));
        }
    }

    private void EraseLine(byte key)
    {
        if (_input.LineLength == 0)
            return;
        if (!HasLocalFlag(ECHO))
        {
            _input.Erase(_input.LineLength);
        }
        else if (HasLocalFlag(ECHOK) && HasLocalFlag(ECHOKE) && HasLocalFlag(ECHOE))
        {
            while (LastCharacter(out byte first) is > 0 and int length)
                EraseLast(length, first, echo: true);
        }
        else
        {
            _input.Erase(_input.LineLength);
            Echo(key);
            if (HasLocalFlag(ECHOK))
                Print((byte)'\n');
        }
    }

    /// <summary>
    /// The bytes of the line's last character, several of them under IUTF8, and its first; 0 when there is none, or
    /// only
    /// the rest of one.
    /// </summary>
    private int LastCharacter(out byte first)
    {
        first = 0;
        for (int length = 1; length <= _input.LineLength; length++)
        {
            first = _input[_input.LineLength - length];
            if (!IsContinuation(first))
                return length;
        }
        return 0;
    }

    /// <summary>Takes the last character off the line, and off the screen.</summary>
    private void EraseLast(int length, byte first, bool echo)
    {
        _input.Erase(length);
        if (!echo)
            return;
        if (first == '\t')
        {
            for (int i = ColumnsOfLastTab(); i > 0; i--)
                Print((byte)'\b');
        }
        else if (!IsControl(first))
        {
            PrintBackspaces(1);
        }
        else if (HasLocalFlag(ECHOCTL))
        {
            PrintBackspaces(2);
        }
    }

    /// <summary>
    /// How far a tab behind what is left of the line went: from the tab before it, or from the column where the line
    /// began, whatever has been printed in between.
    /// </summary>
    private int ColumnsOfLastTab()
    {
        int columns = 0;
        int i = _input.LineLength - 1;
        for (; i >= 0 && _input[i] != '\t'; i--)
        {
            if (IsControl(_input[i]))
                columns += HasLocalFlag(ECHOCTL) ? 2 : 0;
            else if (!IsContinuation(_input[i]))
                columns++;
        }
        if (i < 0)
            columns += _lineColumn;
        return TabWidth - (columns & (TabWidth - 1));
    }
}
