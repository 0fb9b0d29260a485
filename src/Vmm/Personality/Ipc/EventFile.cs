using System.Buffers.Binary;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>A counter to wait for: eventfd(2).</summary>
/// <param name="memory">Charged <see cref="KernelMemory.ObjectCost"/> by the creator; given back at the end.</param>
public sealed class EventFile(KernelMemory memory, AnonymousInode inode, uint initial, int flags)
    : OpenFile(O_RDWR | (flags & EFD_NONBLOCK))
{
    private const ulong Maximum = ulong.MaxValue - 1;

    private readonly Lock _lock = new();
    private readonly WaitQueue _waiters = new();
    private readonly bool _isSemaphore = (flags & EFD_SEMAPHORE) != 0;
    private ulong _count = initial;

    public override string DisplayName => "anon_inode:[eventfd]";

    public override bool IsMessageBased => true;

    public override WaitQueue? Waiters => _waiters;

    public override long Read(Span<byte> buffer)
    {
        if (buffer.Length < sizeof(ulong))
            return -EINVAL;
        lock (_lock)
        {
            if (_count == 0)
                return -EAGAIN;
            ulong taken = _isSemaphore ? 1 : _count;
            _count -= taken;
            BinaryPrimitives.WriteUInt64LittleEndian(buffer, taken);
        }
        _waiters.Notify(PollEvents.Writable);
        return sizeof(ulong);
    }

    public override long Write(ReadOnlySpan<byte> buffer)
    {
        if (buffer.Length < sizeof(ulong))
            return -EINVAL;
        ulong added = BinaryPrimitives.ReadUInt64LittleEndian(buffer);
        if (added == ulong.MaxValue)
            return -EINVAL;
        lock (_lock)
        {
            if (added > Maximum - _count)
                return -EAGAIN;
            _count += added;
        }
        _waiters.Notify(PollEvents.Readable);
        return sizeof(ulong);
    }

    public override PollEvents Poll()
    {
        lock (_lock)
            return (_count > 0 ? PollEvents.Readable : 0) | (_count < Maximum ? PollEvents.Writable : 0);
    }

    public override long GetStatus(out Host.stat status)
    {
        status = inode.Status(0x180, 4096);
        return 0;
    }

    protected override void Close() => memory.Release(KernelMemory.ObjectCost);
}
