using Sandbox.Host;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

// Receiving what is typed: editing, signals, flow control (termios(3), input processing).
public sealed unsafe partial class Terminal
{
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

    private void Receive(byte value)
    {
        if (HasInputFlag(ISTRIP))
            value &= 0x7f;
        if (HasInputFlag(IUCLC) && HasLocalFlag(IEXTEN) && value is >= (byte)'A' and <= (byte)'Z')
            value += 'a' - 'A';
        if (_literalNext)
        {
            _literalNext = false;
            Store(value);
            return;
        }
        if (_stopped && HasInputFlag(IXON) && HasInputFlag(IXANY) && !IsKey(value, VSTOP))
            _stopped = false;
        if (HasInputFlag(IXON) && HandleFlowControl(value))
            return;
        if (HasLocalFlag(ISIG) && HandleSignal(value))
            return;
        if (value == '\r')
        {
            if (HasInputFlag(IGNCR))
                return;
            if (HasInputFlag(ICRNL))
                value = (byte)'\n';
        }
        else if (value == '\n' && HasInputFlag(INLCR))
        {
            value = (byte)'\r';
        }
        if (!IsCanonical || !Edit(value))
            Store(value);
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
        else if (IsKey(value, VKILL))
            EraseLine(value);
        else if (extended && IsKey(value, VWERASE))
            EraseWord();
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

    private void Store(byte value)
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
            if (value == '\n')
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
        _lineColumn = _column;
        for (int i = 0; i < _input.LineLength; i++)
            Echo(_input[i]);
    }

    private void EraseCharacter(byte key)
    {
        if (_input.LineLength == 0)
            return;
        if (HasLocalFlag(ECHO) && !HasLocalFlag(ECHOE))
        {
            EraseLast(echo: false);
            Echo(key);
        }
        else
        {
            EraseLast(HasLocalFlag(ECHO));
        }
    }

    private void EraseWord()
    {
        bool inWord = false;
        while (_input.LineLength > 0)
        {
            byte last = _input[_input.LineLength - 1];
            bool isWord = char.IsAsciiLetterOrDigit((char)last) || last == '_' || last >= 0x80;
            if (inWord && !isWord)
                return;
            inWord |= isWord;
            EraseLast(HasLocalFlag(ECHO));
        }
    }

    private void EraseLine(byte key)
    {
        if (!HasLocalFlag(ECHO))
        {
            _input.Erase(_input.LineLength);
        }
        else if (HasLocalFlag(ECHOK) && HasLocalFlag(ECHOKE) && HasLocalFlag(ECHOE))
        {
            while (_input.LineLength > 0)
                EraseLast(echo: true);
        }
        else
        {
            _input.Erase(_input.LineLength);
            Echo(key);
            if (HasLocalFlag(ECHOK))
                Print((byte)'\n');
        }
    }

    /// <summary>Takes the last character, all its bytes under IUTF8, off the line and the screen.</summary>
    private void EraseLast(bool echo)
    {
        int length = 1;
        while (length < _input.LineLength && IsContinuation(_input[_input.LineLength - length]))
            length++;
        byte first = _input[_input.LineLength - length];
        _input.Erase(length);
        if (!echo)
            return;
        if (first == '\t')
        {
            int column = ColumnAtEnd();
            for (int i = Math.Min(_column - column, 8); i > 0; i--)
                Print((byte)'\b');
            _column = column;
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

    /// <summary>The column behind the line being edited, from the one where it began.</summary>
    private int ColumnAtEnd()
    {
        int column = _lineColumn;
        for (int i = 0; i < _input.LineLength; i++)
        {
            byte value = _input[i];
            if (value == '\t')
                column += 8 - (column & 7);
            else if (IsControl(value))
                column += HasLocalFlag(ECHOCTL) ? 2 : 0;
            else if (!IsContinuation(value))
                column++;
        }
        return column;
    }
}
