namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>
/// What a terminal has received and nobody has read: complete lines, then the line being edited. Every byte knows
/// whether it ends a line. Not synchronised: the terminal's lock guards it.
/// </summary>
sealed class TerminalInput
{
    /// <summary>N_TTY_BUF_SIZE: the longest line, and the most that waits.</summary>
    public const int Capacity = 4096;

    private const int Mask = Capacity - 1;

    private readonly byte[] _bytes = new byte[Capacity];
    private readonly bool[] _endsLine = new bool[Capacity];
    private uint _head;
    private uint _lineStart;
    private uint _tail;

    /// <summary>All bytes, those of the unfinished line included.</summary>
    public int Count => (int)(_tail - _head);

    /// <summary>Bytes of complete lines, ends of file included.</summary>
    public int Complete => (int)(_lineStart - _head);

    /// <summary>Bytes of complete lines that reads will give: an end of file is none (FIONREAD).</summary>
    public int CompleteWithoutEnds
    {
        get
        {
            int count = 0;
            for (uint i = _head; i != _lineStart; i++)
                if (!_endsLine[i & Mask] || _bytes[i & Mask] != Terminal.Disabled)
                    count++;
            return count;
        }
    }

    /// <summary>Bytes of the line being edited.</summary>
    public int LineLength => (int)(_tail - _lineStart);

    public bool IsFull => Count == Capacity;

    /// <summary>A byte of the line being edited.</summary>
    public byte this[int index] => _bytes[(_lineStart + (uint)index) & Mask];

    /// <summary>Adds a byte; with <paramref name="endsLine"/> everything up to it becomes readable.</summary>
    public void Add(byte value, bool endsLine)
    {
        _bytes[_tail & Mask] = value;
        _endsLine[_tail & Mask] = endsLine;
        _tail++;
        if (endsLine)
            _lineStart = _tail;
    }

    /// <summary>Takes bytes off the end of the line being edited.</summary>
    public void Erase(int count) => _tail -= (uint)Math.Min(count, LineLength);

    /// <summary>
    /// One line, or the part of it that fits. A line-ending zero byte (end of file) is taken, not given.
    /// </summary>
    public int ReadLine(Span<byte> destination)
    {
        int count = 0;
        while (_head != _lineStart)
        {
            byte value = _bytes[_head & Mask];
            bool ends = _endsLine[_head & Mask];
            bool isEnd = ends && value == Terminal.Disabled;
            // An end of file right behind the last byte that fits belongs to this read, or the next would see it.
            if (count == destination.Length && !isEnd)
                break;
            _head++;
            if (isEnd)
                break;
            destination[count++] = value;
            if (ends)
                break;
        }
        return count;
    }

    public int ReadBytes(Span<byte> destination)
    {
        int count = 0;
        while (count < destination.Length && _head != _tail)
            destination[count++] = _bytes[_head++ & Mask];
        if ((int)(_lineStart - _head) < 0)
            _lineStart = _head;
        return count;
    }

    public void Clear() => _head = _lineStart = _tail;

    /// <summary>Canonical mode begins or ends: what waits is one readable piece in both.</summary>
    public void ChangeMode(bool canonical)
    {
        for (uint i = _head; i != _tail; i++)
            _endsLine[i & Mask] = false;
        if (canonical && _head != _tail)
            _endsLine[(_tail - 1) & Mask] = true;
        _lineStart = canonical ? _tail : _head;
    }
}
