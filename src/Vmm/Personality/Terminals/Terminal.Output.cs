using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

// Printing and echoing: output processing (OPOST).
public sealed unsafe partial class Terminal
{
    /// <summary>The most bytes that one printed byte becomes: a tab as spaces.</summary>
    private const int ExpandedByte = 8;

    private int _column;

    /// <summary>
    /// Where the line being edited began, or where processed output last began a line: what erasing a tab goes back to.
    /// </summary>
    private int _lineColumn;

    /// <summary>Prints as a program does: as much as there is room for, without waiting.</summary>
    /// <returns>Bytes taken, -EAGAIN, or -EIO after a hang-up.</returns>
    public long Write(ReadOnlySpan<byte> buffer)
    {
        int taken = 0;
        lock (_lock)
        {
            if (_hungUp)
                return -EIO;
            if (_stopped)
                return buffer.IsEmpty ? 0 : -EAGAIN;
            bool process = (_settings.c_oflag & OPOST) != 0;
            if (process)
            {
                while (taken < buffer.Length && _output.Room >= ExpandedByte)
                    PrintProcessed(buffer[taken++]);
            }
            else
            {
                taken = _output.Write(buffer);
            }
        }
        if (taken == 0)
            return buffer.IsEmpty ? 0 : -EAGAIN;
        OutputReady?.Invoke();
        OutputWaiters.Notify(PollEvents.Readable);
        return taken;
    }

    /// <summary>Echoes a byte through output processing; without room it is lost, as on a real line.</summary>
    private void Print(byte value)
    {
        if (_output.Room < ExpandedByte)
            return;
        if ((_settings.c_oflag & OPOST) != 0)
            PrintProcessed(value);
        else
            Put(value);
    }

    private void Put(byte value) => _output.Write(new ReadOnlySpan<byte>(in value));

    private void PrintProcessed(byte value)
    {
        uint flags = _settings.c_oflag;
        switch (value)
        {
            case (byte)'\n':
                if ((flags & (ONLRET | ONLCR)) != 0)
                    _column = 0;
                if ((flags & ONLCR) != 0)
                    Put((byte)'\r');
                _lineColumn = _column;
                break;
            case (byte)'\r':
                if ((flags & ONOCR) != 0 && _column == 0)
                    return;
                if ((flags & OCRNL) != 0)
                {
                    value = (byte)'\n';
                    if ((flags & ONLRET) != 0)
                        _lineColumn = _column = 0;
                    break;
                }
                _lineColumn = _column = 0;
                break;
            case (byte)'\t':
                int spaces = 8 - (_column & 7);
                _column += spaces;
                if ((flags & TABDLY) == XTABS)
                {
                    for (int i = 0; i < spaces; i++)
                        Put((byte)' ');
                    return;
                }
                break;
            case (byte)'\b':
                if (_column > 0)
                    _column--;
                break;
            default:
                if (IsControl(value))
                    break;
                if ((flags & OLCUC) != 0)
                    value = LatinCase.ToUpper(value);
                if (!IsContinuation(value))
                    _column++;
                break;
        }
        Put(value);
    }

    private static bool IsControl(byte value) => value is < 32 or 127;

    /// <summary>The second or a later byte of a UTF-8 sequence, where that matters (IUTF8).</summary>
    private bool IsContinuation(byte value) => HasInputFlag(IUTF8) && (value & 0xc0) == 0x80;

    /// <summary>Echoes a typed byte; control characters as ^X where ECHOCTL says so.</summary>
    private void Echo(byte value)
    {
        if (HasLocalFlag(ECHOCTL) && IsControl(value) && value != '\t')
        {
            Print((byte)'^');
            Print((byte)(value ^ 0x40));
            // Without output processing nothing else is counted: the kernel counts these all the same.
            if ((_settings.c_oflag & OPOST) == 0)
                _column += 2;
        }
        else
        {
            Print(value);
        }
    }

    private void PrintBackspaces(int count)
    {
        for (int i = 0; i < count; i++)
        {
            Print((byte)'\b');
            Print((byte)' ');
            Print((byte)'\b');
        }
    }
}
