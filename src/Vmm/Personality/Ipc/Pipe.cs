using System.Numerics;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>The buffer between the ends of a pipe or FIFO (pipe(7)).</summary>
public sealed class Pipe
{
    public const int DefaultCapacity = 65536;

    /// <summary>/proc/sys/fs/pipe-max-size.</summary>
    public const int MaximumCapacity = 1 << 20;

    /// <summary>Writes up to this many bytes are never interleaved with others (PIPE_BUF).</summary>
    public const int AtomicSize = 4096;

    private readonly Lock _lock = new();
    private readonly KernelMemory _memory;
    private readonly ByteRing _ring;
    private int _readers;
    private int _writers;

    /// <summary>A splice(2) has looked at the first bytes and not said yet how many of them it takes.</summary>
    private bool _isReserved;

    /// <summary>Room for bytes that splice(2) is about to take from elsewhere: nobody else writes there.</summary>
    private int _heldRoom;

    private Pipe(KernelMemory memory, ByteRing ring)
    {
        _memory = memory;
        _ring = ring;
    }

    /// <summary>Null when the sandbox's budget for kernel objects is spent: -ENFILE.</summary>
    public static Pipe? TryCreate(KernelMemory memory)
    {
        if (!memory.TryReserve(KernelMemory.ObjectCost))
            return null;
        ByteRing? ring = ByteRing.TryCreate(memory, DefaultCapacity);
        if (ring is null)
        {
            memory.Release(KernelMemory.ObjectCost);
            return null;
        }
        return new Pipe(memory, ring);
    }

    /// <summary>Readers and writers, blocked or polling.</summary>
    public WaitQueue Waiters { get; } = new();

    /// <summary>How often a reader (writer) has opened it: a FIFO's open(2) waits for the other's to change.</summary>
    internal int ReaderOpenings { get; private set; }

    internal int WriterOpenings { get; private set; }

    internal bool HasReaders => Volatile.Read(ref _readers) > 0;

    internal bool HasWriters => Volatile.Read(ref _writers) > 0;

    /// <summary>FIONREAD.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
                return _ring.Count;
        }
    }

    public int Capacity
    {
        get
        {
            lock (_lock)
                return _ring.Capacity;
        }
    }

    /// <summary>F_SETPIPE_SZ: rounded up to a power of two of pages.</summary>
    /// <returns>The new capacity, -EINVAL, -EPERM (above the system's maximum), -EBUSY or -ENOMEM.</returns>
    public long SetCapacity(ulong bytes)
    {
        if (bytes > 1UL << 31)
            return -EINVAL;
        if (bytes > MaximumCapacity)
            return -EPERM;
        int capacity = Math.Max((int)BitOperations.RoundUpToPowerOf2((uint)bytes), AtomicSize);
        lock (_lock)
        {
            if (_ring.Count + _heldRoom > capacity)
                return -EBUSY;
            if (!_ring.TrySetCapacity(capacity))
                return -ENOMEM;
        }
        Waiters.Notify(PollEvents.Writable);
        return capacity;
    }

    internal void Attach(bool reader, bool writer)
    {
        lock (_lock)
        {
            if (reader)
            {
                _readers++;
                ReaderOpenings++;
            }
            if (writer)
            {
                _writers++;
                WriterOpenings++;
            }
        }
        // Wakes those whose open(2) waits for this end.
        Waiters.Notify(PollEvents.All);
    }

    internal void Detach(bool reader, bool writer)
    {
        PollEvents events = PollEvents.None;
        lock (_lock)
        {
            if (reader && --_readers == 0)
                events |= PollEvents.Error | PollEvents.Writable;
            if (writer && --_writers == 0)
                events |= PollEvents.HangUp | PollEvents.Readable;
            if (_readers == 0 && _writers == 0)
                _ring.Clear();
        }
        if (events != PollEvents.None)
            Waiters.Notify(events);
    }

    /// <summary>Nothing refers to the pipe any more: both ends are closed, and no inode holds it.</summary>
    public void Free()
    {
        lock (_lock)
            _ring.Free();
        _memory.Release(KernelMemory.ObjectCost);
    }

    internal long Read(Span<byte> buffer)
    {
        if (buffer.IsEmpty)
            return 0;
        int count;
        lock (_lock)
        {
            if (_isReserved)
                return -EAGAIN;
            count = _ring.Read(buffer);
            if (count == 0)
                return _writers == 0 ? 0 : -EAGAIN;
        }
        Waiters.Notify(PollEvents.Writable);
        return count;
    }

    /// <summary>Looks at what the next read would take: for splice(2) and tee(2).</summary>
    /// <param name="reserve">
    /// When there is something, nobody else reads until <see cref="Take"/> says what becomes of it.
    /// </param>
    internal long Peek(Span<byte> buffer, bool reserve)
    {
        lock (_lock)
        {
            if (_isReserved)
                return -EAGAIN;
            int count = _ring.Peek(buffer, 0);
            _isReserved = reserve && count > 0;
            return count > 0 ? count : _writers == 0 ? 0 : -EAGAIN;
        }
    }

    /// <summary>Takes so many of the bytes that were reserved, and lets others read the rest.</summary>
    internal void Take(int count)
    {
        lock (_lock)
        {
            _ring.Discard(count);
            _isReserved = false;
        }
        Waiters.Notify(PollEvents.Readable | PollEvents.Writable);
    }

    internal long Write(ReadOnlySpan<byte> buffer)
    {
        int count;
        lock (_lock)
        {
            if (_readers == 0)
                return -EPIPE;
            if (buffer.IsEmpty)
                return 0;
            // Memory first: for want of it a write that must be whole would be cut.
            int fitting = _ring.Grow(_heldRoom + buffer.Length) - _heldRoom;
            if (fitting <= 0 || (buffer.Length <= AtomicSize && fitting < buffer.Length))
                return -EAGAIN;
            count = _ring.Write(buffer[..fitting]);
        }
        Waiters.Notify(PollEvents.Readable);
        return count;
    }

    /// <summary>Keeps room, until <see cref="WriteHeld"/>, for bytes that cannot be put back.</summary>
    /// <returns>How much: up to what is wanted, and 0 where poll(2) promises none.</returns>
    internal int HoldRoom(int wanted)
    {
        lock (_lock)
        {
            if (_ring.Room - _heldRoom < AtomicSize)
                return 0;
            int held = _ring.Grow(_heldRoom + wanted) - _heldRoom;
            _heldRoom += held;
            return held;
        }
    }

    /// <summary>Writes into room that was held, whether there still is a reader or not, and gives up the rest.</summary>
    internal void WriteHeld(ReadOnlySpan<byte> bytes, int held)
    {
        lock (_lock)
        {
            _heldRoom -= held;
            _ring.Write(bytes);
        }
        Waiters.Notify(bytes.IsEmpty ? PollEvents.Writable : PollEvents.Readable | PollEvents.Writable);
    }

    /// <summary>Readiness of an end; see <see cref="PipeEnd"/>.</summary>
    internal PollEvents Poll(bool reader, bool writer, bool everHadWriter)
    {
        PollEvents events = PollEvents.None;
        lock (_lock)
        {
            if (reader)
            {
                if (_ring.Count > 0 && !_isReserved)
                    events |= PollEvents.Readable;
                if (_writers == 0 && everHadWriter)
                    events |= PollEvents.HangUp;
            }
            if (writer)
            {
                // Only with room for an atomic write, so that what poll(2) promises can be kept.
                if (_ring.Room - _heldRoom >= AtomicSize)
                    events |= PollEvents.Writable;
                if (_readers == 0)
                    events |= PollEvents.Error;
            }
        }
        return events;
    }
}
