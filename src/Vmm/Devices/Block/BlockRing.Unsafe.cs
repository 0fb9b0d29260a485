using System.Diagnostics.CodeAnalysis;
using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Devices.Block;

/// <summary>
/// The requests of one queue that the kernel works on while the queue is served on: reads, durable writes and flushes
/// of one image, and nothing else that an io_uring can do. Whoever uses it holds the queue's worker.
/// </summary>
public sealed unsafe class BlockRing : IDisposable
{
    /// <summary>Requests at once.</summary>
    public const int Depth = 32;

    private readonly IoUring _ring;
    private readonly MemoryMapping _vectors = MemoryMapping.Map(
        Depth * BlockDevice.QueueSize * (nuint)sizeof(iovec), PROT_READ | PROT_WRITE, MAP_PRIVATE,
        what: "a disk's ring");
    private readonly BlockOperation[] _operations = new BlockOperation[Depth];
    private readonly BlockOperation[] _free = new BlockOperation[Depth];
    private int _freeCount = Depth;
    private bool _isRefused;

    private BlockRing(IoUring ring)
    {
        _ring = ring;
        for (int i = 0; i < Depth; i++)
            _operations[i] = _free[i] = new BlockOperation(i);
    }

    /// <summary>Makes a ring, before the process's filters: they let none be made.</summary>
    /// <param name="image">Stays the caller's.</param>
    /// <returns>Null where the host's kernel has none for this process.</returns>
    /// <exception cref="HostException">There is one, but no memory for it.</exception>
    public static BlockRing? TryCreate(FileDescriptor image)
    {
        ReadOnlySpan<byte> operations = [IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC];
        return IoUring.TryCreate(Depth, image, operations, out _) is { } ring ? new BlockRing(ring) : null;
    }

    /// <summary>Readable when something has ended.</summary>
    internal FileDescriptor File => _ring.File;

    /// <summary>The chain for the next request; null when all places are taken.</summary>
    internal DescriptorChain? Room => _freeCount == 0 ? null : _free[_freeCount - 1].Chain;

    internal bool IsIdle => _freeCount == Depth;

    internal bool HasEnded => _ring.HasEnded;

    /// <summary>Adds the request in <see cref="Room"/>; <see cref="Submit"/> begins it.</summary>
    /// <param name="skip">Bytes of the part to read that come before the data.</param>
    /// <param name="bytes">Of data, which the chain has.</param>
    internal void Add(BlockAction action, long offset, uint skip, uint bytes)
    {
        BlockOperation operation = _free[--_freeCount];
        operation.Action = action;
        operation.Offset = offset;
        operation.Bytes = bytes;
        operation.StartedAt = HostClock.MonotonicNanoseconds();
        iovec* vector = (iovec*)_vectors.Address + (operation.Number * BlockDevice.QueueSize);
        Span<iovec> room = new(vector, BlockDevice.QueueSize);
        int pieces = action switch
        {
            BlockAction.Read => operation.Chain.MapWritable(0, bytes, room),
            BlockAction.Write => operation.Chain.MapReadable(skip, bytes, room),
            _ => 0,
        };
        io_uring_sqe request = Request(action, offset, (ulong)vector, pieces);
        request.user_data = (ulong)operation.Number;
        _ring.Add(request);
    }

    /// <summary>What the kernel is asked for. A write is on the host's disk when it ends.</summary>
    /// <param name="vector">The address of as many <see cref="iovec"/> as there are pieces.</param>
    internal static io_uring_sqe Request(BlockAction action, long offset, ulong vector, int pieces)
    {
        (int operation, int flags) = action switch
        {
            BlockAction.Read => (IORING_OP_READV, 0),
            BlockAction.Write => (IORING_OP_WRITEV, RWF_DSYNC),
            _ => (IORING_OP_FSYNC, IORING_FSYNC_DATASYNC),
        };
        return new io_uring_sqe
        {
            opcode = (byte)operation,
            off = (ulong)offset,
            addr = pieces == 0 ? 0 : vector,
            len = (uint)pieces,
            rw_flags = (uint)flags,
        };
    }

    /// <summary>Begins what was added. What the kernel does not take now ends with -EAGAIN.</summary>
    internal void Submit() => _isRefused = _ring.Submit() != 0;

    /// <summary>The next request that has ended; its place is the caller's until <see cref="Free"/>.</summary>
    internal bool TryTake([NotNullWhen(true)] out BlockOperation? operation, out int result)
    {
        if (_isRefused && _ring.TryTakeBack(out ulong number))
        {
            result = -EAGAIN;
        }
        else if (!_ring.TryTake(out number, out result))
        {
            operation = null;
            return false;
        }
        operation = _operations[number];
        return true;
    }

    internal void Free(BlockOperation operation) => _free[_freeCount++] = operation;

    /// <summary>Waits until something has ended. Something is under way.</summary>
    internal void Wait() => _ring.Wait();

    /// <summary>Waits for what is under way, however it ends: nobody goes on with it.</summary>
    internal void Forget()
    {
        while (!IsIdle)
        {
            Wait();
            while (TryTake(out BlockOperation? operation, out _))
                Free(operation);
        }
    }

    public void Dispose()
    {
        Forget();
        _ring.Dispose();
        _vectors.Dispose();
    }
}
