using System.Runtime.InteropServices;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>
/// The guest's side of a transfer: one buffer, or the array of readv(2) and writev(2), copied in once and checked.
/// Hands out and takes bytes in order. Only addresses and lengths: every access goes through the address space.
/// </summary>
ref struct GuestBuffers
{
    /// <summary>No transfer moves more (MAX_RW_COUNT).</summary>
    public const ulong MaximumTotal = 0x7ffff000;

    /// <summary>The first address no user program can use (TASK_SIZE_MAX).</summary>
    public const ulong UserLimit = 0x7ffffffff000;

    private readonly AddressSpace _memory;
    private readonly ReadOnlySpan<ulong> _rest;
    private ulong _base;
    private ulong _length;
    private int _next;

    private GuestBuffers(AddressSpace memory, ulong start, ulong length, ReadOnlySpan<ulong> rest)
    {
        _memory = memory;
        _base = start;
        _length = length;
        _rest = rest;
    }

    /// <summary>Bytes still to move.</summary>
    public ulong Remaining { get; private set; }

    /// <summary>Leaves out what is behind that many bytes.</summary>
    public void Truncate(ulong length) => Remaining = Math.Min(Remaining, length);

    /// <summary>access_ok: whether the range can belong to a user program at all.</summary>
    public static bool IsUserRange(ulong start, ulong length) => start <= UserLimit && length <= UserLimit - start;

    /// <summary>The buffer of read(2) or write(2).</summary>
    /// <returns>0 or -EFAULT.</returns>
    public static long TryCreate(AddressSpace memory, ulong start, ulong length, out GuestBuffers buffers)
    {
        buffers = default;
        if (!IsUserRange(start, length))
            return -EFAULT;
        length = Math.Min(length, MaximumTotal);
        buffers = new GuestBuffers(memory, start, length, default) { Remaining = length };
        return 0;
    }

    /// <summary>Copies an array of struct iovec in.</summary>
    /// <param name="storage">Holds the copy while the buffers are in use: two words for each element.</param>
    /// <returns>0, -EINVAL (too many, or a negative length) or -EFAULT.</returns>
    public static long TryCreate(
        AddressSpace memory, ulong vector, ulong count, ulong[] storage, out GuestBuffers buffers)
    {
        buffers = default;
        if (count > UIO_MAXIOV)
            return -EINVAL;
        Span<ulong> words = storage.AsSpan(0, 2 * (int)count);
        if (count > 0 && !memory.TryRead(new VirtualAddress(vector), MemoryMarshal.AsBytes(words)))
            return -EFAULT;

        ulong total = 0;
        for (int i = 0; i < words.Length; i += 2)
        {
            if ((long)words[i + 1] < 0)
                return -EINVAL;
            if (!IsUserRange(words[i], words[i + 1]))
                return -EFAULT;
            // Past the maximum the rest is left out, as the kernel does.
            words[i + 1] = Math.Min(words[i + 1], MaximumTotal - total);
            total += words[i + 1];
        }
        buffers = new GuestBuffers(memory, 0, 0, words) { Remaining = total };
        return 0;
    }

    /// <summary>Bytes from here on that can be accessed, at most <paramref name="limit"/>; 0 is EFAULT.</summary>
    public readonly int Accessible(int limit, bool write)
    {
        ulong wanted = Math.Min((ulong)limit, Remaining);
        ulong found = 0;
        ulong start = _base, length = _length;
        for (int next = _next; found < wanted; next += 2)
        {
            ulong piece = Math.Min(length, wanted - found);
            if (piece > 0)
            {
                ulong accessible = (ulong)_memory.Accessible(new VirtualAddress(start), piece, write);
                found += accessible;
                if (accessible < piece)
                    break;
            }
            if (next >= _rest.Length)
                break;
            start = _rest[next];
            length = _rest[next + 1];
        }
        return (int)found;
    }

    /// <summary>Copies the next bytes out of guest memory.</summary>
    /// <returns>How many: fewer than wanted only where guest memory ends.</returns>
    public int CopyIn(Span<byte> destination)
    {
        int copied = 0;
        while (copied < destination.Length && MoveToSegment())
        {
            int piece = (int)Math.Min(_length, (ulong)(destination.Length - copied));
            VirtualAddress address = new(_base);
            if (!_memory.TryRead(address, destination.Slice(copied, piece)))
            {
                piece = (int)_memory.Accessible(address, (ulong)piece, write: false);
                if (piece > 0 && _memory.TryRead(address, destination.Slice(copied, piece)))
                {
                    Advance(piece);
                    copied += piece;
                }
                break;
            }
            Advance(piece);
            copied += piece;
        }
        return copied;
    }

    /// <summary>Copies the next bytes into guest memory. False is EFAULT.</summary>
    public bool CopyOut(ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            if (!MoveToSegment())
                return false;
            int piece = (int)Math.Min(_length, (ulong)source.Length);
            if (!_memory.TryWrite(new VirtualAddress(_base), source[..piece]))
                return false;
            Advance(piece);
            source = source[piece..];
        }
        return true;
    }

    /// <summary>Lends the next bytes to a host call; see <see cref="AddressSpace.TryPin"/>.</summary>
    public bool TryPin(int limit, int minimum, bool write, out AddressSpace.PinnedMemory pinned)
    {
        pinned = default;
        if (!MoveToSegment())
            return false;
        int length = (int)Math.Min(Math.Min(_length, Remaining), (ulong)limit);
        return length >= minimum && _memory.TryPin(new VirtualAddress(_base), length, minimum, write, out pinned);
    }

    /// <summary>Bytes of the present segment have been moved by other means.</summary>
    public void Skip(long count) => Advance((int)count);

    private bool MoveToSegment()
    {
        while (_length == 0)
        {
            if (_next >= _rest.Length)
                return false;
            _base = _rest[_next];
            _length = _rest[_next + 1];
            _next += 2;
        }
        return true;
    }

    private void Advance(int count)
    {
        _base += (ulong)count;
        _length -= (ulong)count;
        Remaining -= (ulong)count;
    }
}
