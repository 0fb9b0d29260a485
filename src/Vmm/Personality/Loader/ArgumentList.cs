using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>argv or envp: byte strings packed one behind the other, each with its NUL, as they will lie on the stack.</summary>
public sealed class ArgumentList
{
    /// <summary>One string may take this much, NUL included: MAX_ARG_STRLEN.</summary>
    public const int MaximumStringBytes = 32 * Page.Size;

    /// <summary>Whatever RLIMIT_STACK says, this much may be passed: ARG_MAX.</summary>
    public const ulong GuaranteedBytes = 32 * Page.Size;

    /// <summary>Whatever RLIMIT_STACK says, no more may be passed: three quarters of _STK_LIM.</summary>
    public const ulong MaximumBytes = 6UL << 20;

    private byte[] _bytes;
    private int[] _starts;
    private int _length;

    public ArgumentList(int capacityBytes = 256)
    {
        _bytes = new byte[capacityBytes];
        _starts = new int[8];
    }

    public int Count { get; private set; }

    /// <summary>All strings with their NULs.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, _length);

    /// <summary>One string without its NUL.</summary>
    public ReadOnlySpan<byte> this[int index] => _bytes.AsSpan(StartOf(index), EndOf(index) - StartOf(index));

    /// <summary>Where a string begins in <see cref="Bytes"/>.</summary>
    public int StartOf(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count);
        return _starts[index];
    }

    /// <summary>What execve(2) allows argv and envp together to take: strings, and a pointer for each.</summary>
    /// <param name="stackLimit">RLIMIT_STACK's soft limit.</param>
    public static ulong Limit(ulong stackLimit) => Math.Max(Math.Min(stackLimit / 4, MaximumBytes), GuaranteedBytes);

    /// <summary>False is E2BIG: the string is too long. NULs inside are not allowed.</summary>
    public bool TryAdd(ReadOnlySpan<byte> value)
    {
        if (value.Length >= MaximumStringBytes || _length > int.MaxValue - MaximumStringBytes)
            return false;
        if (value.Contains((byte)0))
            throw new ArgumentException("an argument holds a NUL", nameof(value));
        Reserve(value.Length + 1);
        value.CopyTo(_bytes.AsSpan(_length));
        Finish(value.Length);
        return true;
    }

    /// <summary>Copies a NULL-terminated vector of strings out of the guest, as execve(2) reads argv.</summary>
    /// <param name="vector">Null counts as an empty vector.</param>
    /// <param name="limit">Bytes that may still be taken; what this vector takes is subtracted.</param>
    /// <returns>0, -EFAULT or -E2BIG.</returns>
    public static long Read(AddressSpace memory, VirtualAddress vector, ref ulong limit, out ArgumentList list)
    {
        list = new ArgumentList();
        if (vector.IsNull)
            return 0;
        const int firstRoom = 512;
        for (ulong index = 0; ; index++)
        {
            if (!vector.TryAdd(index * sizeof(ulong), out VirtualAddress slot)
                || !memory.TryRead(slot, out ulong pointer))
                return -EFAULT;
            if (pointer == 0)
                return 0;
            int room = firstRoom;
            int length;
            while (true)
            {
                list.Reserve(room);
                length = memory.ReadString(new VirtualAddress(pointer), list._bytes.AsSpan(list._length, room));
                if (length != -ENAMETOOLONG)
                    break;
                if (room == MaximumStringBytes)
                    return -E2BIG;
                room = Math.Min(room * 16, MaximumStringBytes);
            }
            if (length < 0)
                return length;
            ulong cost = (ulong)length + 1 + sizeof(ulong);
            if (cost > limit)
                return -E2BIG;
            limit -= cost;
            list.Finish(length);
        }
    }

    /// <summary>
    /// What a script's interpreter gets: its own path, the line's argument if there is one, the script's path, and
    /// these arguments without the first. Null is E2BIG.
    /// </summary>
    public ArgumentList? ForScript(
        ReadOnlySpan<byte> interpreter, ReadOnlySpan<byte> argument, ReadOnlySpan<byte> script)
    {
        ArgumentList list = new(_length + interpreter.Length + argument.Length + script.Length + 3);
        bool fits = list.TryAdd(interpreter) && (argument.IsEmpty || list.TryAdd(argument)) && list.TryAdd(script);
        for (int i = 1; fits && i < Count; i++)
            fits = list.TryAdd(this[i]);
        return fits ? list : null;
    }

    private int EndOf(int index) => (index + 1 < Count ? _starts[index + 1] : _length) - 1;

    private void Reserve(int room)
    {
        if (_bytes.Length - _length < room)
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, _length + room));
    }

    private void Finish(int length)
    {
        if (Count == _starts.Length)
            Array.Resize(ref _starts, Count * 2);
        _starts[Count++] = _length;
        _bytes[_length + length] = 0;
        _length += length + 1;
    }
}
