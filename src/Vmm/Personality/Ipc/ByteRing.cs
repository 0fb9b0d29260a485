using System.Numerics;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// A first-in first-out buffer of bytes with a capacity. Memory is taken from the sandbox's budget only as it fills;
/// when the budget is spent, there is no more room than it has. Not synchronised: its owner's lock guards it.
/// </summary>
public sealed class ByteRing
{
    /// <summary>What every ring can hold, whatever the budget says later: PIPE_BUF.</summary>
    public const int Minimum = 4096;

    private readonly KernelMemory _memory;
    private byte[] _storage = [];
    private int _reserved;
    private int _head;

    /// <summary>What it can hold now: less than its capacity when the budget is spent, until it is empty.</summary>
    private int _bound;

    private ByteRing(KernelMemory memory, int capacity)
    {
        _memory = memory;
        _reserved = Minimum;
        Capacity = _bound = capacity;
    }

    /// <summary>Null when the budget has no room for even the smallest ring.</summary>
    public static ByteRing? TryCreate(KernelMemory memory, int capacity) =>
        memory.TryReserve(Minimum) ? new ByteRing(memory, Math.Max(capacity, Minimum)) : null;

    public int Capacity { get; private set; }

    public int Count { get; private set; }

    public int Room => _bound - Count;

    /// <summary>Takes memory for so many more bytes, as far as the budget goes: how many of them fit.</summary>
    public int Grow(int length)
    {
        length = Math.Min(length, Room);
        if (length > 0)
            EnsureStorage(Count + length);
        return Math.Min(length, Room);
    }

    /// <summary>Stores as much as fits and returns how much that was.</summary>
    public int Write(ReadOnlySpan<byte> source)
    {
        int length = Grow(source.Length);
        if (length == 0)
            return 0;
        int tail = (_head + Count) & (_storage.Length - 1);
        int first = Math.Min(length, _storage.Length - tail);
        source[..first].CopyTo(_storage.AsSpan(tail));
        source[first..length].CopyTo(_storage);
        Count += length;
        return length;
    }

    /// <summary>Takes out up to the destination's length.</summary>
    public int Read(Span<byte> destination)
    {
        int length = Peek(destination, 0);
        Discard(length);
        return length;
    }

    /// <summary>Copies without taking out, beginning <paramref name="skip"/> bytes in.</summary>
    public int Peek(Span<byte> destination, int skip)
    {
        int length = Math.Min(destination.Length, Count - skip);
        if (length <= 0)
            return 0;
        int start = (_head + skip) & (_storage.Length - 1);
        int first = Math.Min(length, _storage.Length - start);
        _storage.AsSpan(start, first).CopyTo(destination);
        _storage.AsSpan(0, length - first).CopyTo(destination[first..]);
        return length;
    }

    public void Discard(int length)
    {
        length = Math.Min(length, Count);
        Count -= length;
        if (Count > 0)
        {
            _head = (_head + length) & (_storage.Length - 1);
            return;
        }
        _head = 0;
        _bound = Capacity;
    }

    public void Clear() => Discard(Count);

    /// <summary>Changes the capacity. False when more is in it than that, or the budget has no room.</summary>
    public bool TrySetCapacity(int capacity)
    {
        capacity = Math.Max(capacity, Minimum);
        if (Count > capacity)
            return false;
        int needed = (int)BitOperations.RoundUpToPowerOf2((uint)capacity);
        if (needed > _reserved)
        {
            // Asked for by name (F_SETPIPE_SZ): promised memory must really be there.
            if (!_memory.TryReserve(needed - _reserved))
                return false;
            _reserved = needed;
        }
        else if (needed < _storage.Length)
        {
            Resize(needed);
        }
        if (needed < _reserved)
        {
            _memory.Release(_reserved - needed);
            _reserved = needed;
        }
        Capacity = _bound = capacity;
        return true;
    }

    /// <summary>Gives everything back. The ring must not be used afterwards.</summary>
    public void Free()
    {
        _memory.Release(_reserved);
        _reserved = 0;
        _storage = [];
        Capacity = _bound = Count = 0;
    }

    private void EnsureStorage(int length)
    {
        if (length <= _storage.Length)
            return;
        int size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(length, Minimum));
        if (size > _reserved)
        {
            if (_memory.TryReserve(size - _reserved))
                _reserved = size;
            else
                _bound = size = _reserved;
        }
        if (size > _storage.Length)
            Resize(size);
    }

    private void Resize(int size)
    {
        byte[] storage = GC.AllocateUninitializedArray<byte>(size);
        Peek(storage, 0);
        _storage = storage;
        _head = 0;
    }
}
