using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Ipc;
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

    /// <summary>What ordinary command lines take: a budget that is spent keeps none of these from running.</summary>
    private const int UncountedBytes = 16 << 10;

    private readonly KernelMemory? _budget;
    private byte[] _bytes = new byte[256];
    private int[] _starts = new int[8];
    private int _length;
    private long _held;
    private long _counted;

    /// <param name="budget">Counts what a guest's list takes, until <see cref="Release"/>. Null for the plan's.</param>
    public ArgumentList(KernelMemory? budget = null) => _budget = budget;

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

    /// <summary>NULs inside are not allowed.</summary>
    /// <returns>0, -E2BIG for a string that is too long, or -ENOMEM when the budget is spent.</returns>
    public long Add(ReadOnlySpan<byte> value)
    {
        if (value.Length >= MaximumStringBytes || _length > int.MaxValue - MaximumStringBytes)
            return -E2BIG;
        if (value.Contains((byte)0))
            throw new ArgumentException("an argument holds a NUL", nameof(value));
        if (!TryReserve(value.Length + 1, int.MaxValue))
            return -ENOMEM;
        value.CopyTo(_bytes.AsSpan(_length));
        return TryFinish(value.Length) ? 0 : -ENOMEM;
    }

    /// <summary>Copies a NULL-terminated vector of strings out of the guest, as execve(2) reads argv.</summary>
    /// <param name="vector">Null counts as an empty vector.</param>
    /// <param name="limit">Bytes that may still be taken; what this vector takes is subtracted.</param>
    /// <param name="list">Holds nothing of the budget when this fails.</param>
    /// <returns>0, -EFAULT, -E2BIG, or -ENOMEM when the budget is spent.</returns>
    public static long Read(
        AddressSpace memory, VirtualAddress vector, ref ulong limit, KernelMemory? budget, out ArgumentList list)
    {
        list = new ArgumentList(budget);
        long error = vector.IsNull ? 0 : list.Read(memory, vector, ref limit);
        if (error != 0)
            list.Release();
        return error;
    }

    private long Read(AddressSpace memory, VirtualAddress vector, ref ulong limit)
    {
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
                if (!TryReserve(room, (long)Math.Min(limit, MaximumBytes)))
                    return -ENOMEM;
                length = memory.ReadString(new VirtualAddress(pointer), _bytes.AsSpan(_length, room));
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
            if (!TryFinish(length))
                return -ENOMEM;
        }
    }

    /// <summary>
    /// What a script's interpreter gets: its own path, the line's argument if there is one, the script's path, and
    /// these arguments without the first.
    /// </summary>
    /// <returns>As <see cref="Add"/>; the list holds nothing of the budget then.</returns>
    public long ForScript(
        ReadOnlySpan<byte> interpreter, ReadOnlySpan<byte> argument, ReadOnlySpan<byte> script, out ArgumentList list)
    {
        list = new ArgumentList(_budget);
        int room = _length + interpreter.Length + argument.Length + script.Length + 3;
        long error = list.TryReserve(room, 0) ? list.Add(interpreter) : -ENOMEM;
        if (error == 0 && !argument.IsEmpty)
            error = list.Add(argument);
        if (error == 0)
            error = list.Add(script);
        for (int i = 1; error == 0 && i < Count; i++)
            error = list.Add(this[i]);
        if (error != 0)
            list.Release();
        return error;
    }

    /// <summary>Counts what else a load holds because of its arguments. False when the budget is spent.</summary>
    internal bool TryHold(long bytes)
    {
        long more = Math.Max(_held + bytes - UncountedBytes, 0) - _counted;
        if (_budget is not null && !_budget.TryReserve(more))
            return false;
        _held += bytes;
        _counted += more;
        return true;
    }

    /// <summary>Gives the budget back what the list took of it; the list is not used any more.</summary>
    public void Release()
    {
        _budget?.Release(_counted);
        _held = _counted = 0;
    }

    private int EndOf(int index) => (index + 1 < Count ? _starts[index + 1] : _length) - 1;

    /// <param name="ahead">Doubled as it grows, but with no more than this beyond the room.</param>
    private bool TryReserve(int room, long ahead)
    {
        long least = (long)_length + room;
        if (_bytes.Length >= least)
            return true;
        long capacity = Math.Min(Math.Max(_bytes.Length * 2L, least), least + ahead);
        if (!TryHold(capacity - _bytes.Length))
            return false;
        Array.Resize(ref _bytes, (int)capacity);
        return true;
    }

    private bool TryFinish(int length)
    {
        if (Count == _starts.Length)
        {
            if (!TryHold(Count * (long)sizeof(int)))
                return false;
            Array.Resize(ref _starts, Count * 2);
        }
        _starts[Count++] = _length;
        _bytes[_length + length] = 0;
        _length += length + 1;
        return true;
    }
}
