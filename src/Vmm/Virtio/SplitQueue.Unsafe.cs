using System.Numerics;
using Sandbox.Host;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Virtio;

/// <summary>
/// A split virtqueue (virtio 1.2, 2.7), the device's side. The driver may write the rings at any time: indices and
/// descriptors are read once, and what they lead to is checked before it is used. Not thread-safe: whoever serves the
/// queue holds its worker.
/// </summary>
/// <param name="ram">Where rings and buffers are.</param>
/// <param name="maximumSize">Descriptors at most: a power of two, at most 32768.</param>
public sealed unsafe class SplitQueue(GuestRam ram, ushort maximumSize)
{
    private const uint DescriptorBytes = 16;
    private const uint UsedElementBytes = 8;

    // Of both rings: flags, index, then the ring, then the other side's event index.
    private const int FlagsOffset = 0;
    private const int IndexOffset = 2;
    private const int RingOffset = 4;

    private byte* _descriptors;
    private byte* _available;
    private byte* _used;
    private bool _hasEventIndex;
    private bool _hasIndirect;
    private ushort _nextAvailable;
    private ushort _nextUsed;
    private ushort _publishedUsed;

    /// <summary>Descriptors at most, and pieces of a chain at most.</summary>
    public ushort MaximumSize { get; } = maximumSize;

    /// <summary>Descriptors, as the driver chose.</summary>
    public ushort Size { get; private set; }

    /// <summary>Whether the driver has handed the queue over.</summary>
    public bool IsReady { get; private set; }

    /// <summary>What the driver did; the queue is served no more.</summary>
    public QueueFault Fault { get; private set; }

    private ulong DescriptorsAddress { get; set; }
    private ulong AvailableAddress { get; set; }
    private ulong UsedAddress { get; set; }

    /// <summary>
    /// Takes the queue over from the driver. False when the size is none that a queue can have, or a ring is not
    /// aligned, not RAM as a whole, or lies in another.
    /// </summary>
    /// <param name="size">Descriptors.</param>
    /// <param name="descriptors">Guest-physical, as are the other two.</param>
    public bool TryEnable(ushort size, ulong descriptors, ulong available, ulong used)
    {
        if (size > MaximumSize || !BitOperations.IsPow2(size))
            return false;
        if (descriptors % VRING_DESC_ALIGN_SIZE != 0
            || available % VRING_AVAIL_ALIGN_SIZE != 0 || used % VRING_USED_ALIGN_SIZE != 0)
            return false;
        uint descriptorsBytes = size * DescriptorBytes;
        uint availableBytes = RingOffset + (size * (uint)sizeof(ushort)) + sizeof(ushort);
        uint usedBytes = RingOffset + (size * UsedElementBytes) + sizeof(ushort);
        byte* descriptorsHost = ram.Find(descriptors, descriptorsBytes);
        byte* availableHost = ram.Find(available, availableBytes);
        byte* usedHost = ram.Find(used, usedBytes);
        if (descriptorsHost == null || availableHost == null || usedHost == null)
            return false;
        if (Overlap(descriptors, descriptorsBytes, available, availableBytes)
            || Overlap(descriptors, descriptorsBytes, used, usedBytes)
            || Overlap(available, availableBytes, used, usedBytes))
            return false;
        (Size, DescriptorsAddress, AvailableAddress, UsedAddress) = (size, descriptors, available, used);
        _descriptors = descriptorsHost;
        _available = availableHost;
        _used = usedHost;
        IsReady = true;
        return true;

        // Neither range wraps: both are RAM.
        static bool Overlap(ulong a, uint aBytes, ulong b, uint bBytes) => a < b + bBytes && b < a + aBytes;
    }

    /// <summary>Gives the queue back: nothing of it is touched from here on.</summary>
    public void Disable()
    {
        IsReady = false;
        Fault = QueueFault.None;
        Size = 0;
        _descriptors = _available = _used = null;
        DescriptorsAddress = AvailableAddress = UsedAddress = 0;
        _nextAvailable = _nextUsed = _publishedUsed = 0;
        _hasEventIndex = _hasIndirect = false;
    }

    /// <summary>The driver is done with setting up (DRIVER_OK).</summary>
    /// <param name="features">What both sides agreed on.</param>
    public void Activate(ulong features)
    {
        _hasEventIndex = (features & (1UL << VIRTIO_RING_F_EVENT_IDX)) != 0;
        _hasIndirect = (features & (1UL << VIRTIO_RING_F_INDIRECT_DESC)) != 0;
        if (!IsReady)
            return;
        // With event indices nothing else ever writes them, and they must be 0 (2.7.10.2).
        Volatile.Write(ref *(ushort*)(_used + FlagsOffset), 0);
        EnableNotifications();
    }

    /// <summary>Whether the driver has made something available that was not taken; it may still be nonsense.</summary>
    public bool HasMore =>
        IsReady && Fault == QueueFault.None && Read16(_available, IndexOffset) != _nextAvailable;

    /// <summary>Takes the next chain that the driver made available.</summary>
    /// <returns>False when there is none, or the driver broke the rules: see <see cref="Fault"/>.</returns>
    public bool TryPop(DescriptorChain chain)
    {
        if (!IsReady || Fault != QueueFault.None)
            return false;
        // What the driver wrote before it wrote the index is seen after the index (2.7.13.2).
        ushort waiting = (ushort)(Read16(_available, IndexOffset) - _nextAvailable);
        if (waiting == 0)
            return false;
        if (waiting > Size)
            return Break(QueueFault.AvailableIndex);
        ushort head = Read16(_available, RingOffset + (_nextAvailable % Size * sizeof(ushort)));
        QueueFault fault = Walk(head, chain);
        if (fault != QueueFault.None)
            return Break(fault);
        _nextAvailable++;
        return true;
    }

    /// <summary>
    /// Puts the chain back that was popped last and has not been pushed: it is popped again. For devices that find out
    /// that they cannot serve it yet.
    /// </summary>
    public void Unpop() => _nextAvailable--;

    /// <summary>Returns a chain to the driver, with the next <see cref="Publish"/>.</summary>
    /// <param name="head">The chain's number.</param>
    /// <param name="bytes">How many bytes were written into it, from its first writable one on.</param>
    public void Push(ushort head, uint bytes)
    {
        byte* element = _used + RingOffset + ((long)(_nextUsed % Size) * UsedElementBytes);
        Volatile.Write(ref *(uint*)element, head);
        Volatile.Write(ref *(uint*)(element + sizeof(uint)), bytes);
        _nextUsed++;
    }

    /// <summary>Shows the driver all that was pushed.</summary>
    /// <returns>Whether the driver wants an interrupt for it.</returns>
    public bool Publish()
    {
        ushort before = _publishedUsed;
        if (before == _nextUsed)
            return false;
        Volatile.Write(ref *(ushort*)(_used + IndexOffset), _nextUsed);
        _publishedUsed = _nextUsed;
        // The driver writes its wish and looks at the index; here it is the other way round. Without the barrier both
        // could miss the other's (2.7.7.2, 2.7.10).
        Interlocked.MemoryBarrier();
        if (!_hasEventIndex)
            return (Read16(_available, FlagsOffset) & VRING_AVAIL_F_NO_INTERRUPT) == 0;
        ushort wanted = Read16(_available, RingOffset + (Size * sizeof(ushort)));
        return (ushort)(_nextUsed - wanted - 1) < (ushort)(_nextUsed - before);
    }

    /// <summary>The driver need not notify: the queue is looked at. A hint; notifications may still come.</summary>
    public void DisableNotifications()
    {
        // With event indices the one that was asked for last is past, which says the same.
        if (!_hasEventIndex && IsReady)
            Volatile.Write(ref *(ushort*)(_used + FlagsOffset), VRING_USED_F_NO_NOTIFY);
    }

    /// <summary>Asks for a notification with the next chain.</summary>
    /// <param name="beyond">So many chains were looked at and put back: the one behind them is meant.</param>
    /// <returns>Whether that is there already, and no notification may come.</returns>
    public bool EnableNotifications(int beyond = 0)
    {
        if (!IsReady || Fault != QueueFault.None)
            return false;
        ushort next = (ushort)(_nextAvailable + beyond);
        if (_hasEventIndex)
            Volatile.Write(ref *(ushort*)(_used + RingOffset + (Size * (long)UsedElementBytes)), next);
        else
            Volatile.Write(ref *(ushort*)(_used + FlagsOffset), 0);
        Interlocked.MemoryBarrier();
        return Read16(_available, IndexOffset) != next;
    }

    /// <summary>The queue as it is between two requests.</summary>
    public QueueState Save() => new(
        Size, IsReady, DescriptorsAddress, AvailableAddress, UsedAddress, _nextAvailable, _nextUsed);

    /// <summary>Makes a queue that is not ready what it was. False when no queue could have been that.</summary>
    public bool TryRestore(in QueueState state)
    {
        Disable();
        if (!state.IsReady)
            return state == default;
        if (!TryEnable(state.Size, state.Descriptors, state.Available, state.Used))
            return false;
        _nextAvailable = state.NextAvailable;
        _nextUsed = _publishedUsed = state.NextUsed;
        return true;
    }

    private QueueFault Walk(ushort head, DescriptorChain chain)
    {
        chain.Begin(head);
        byte* table = _descriptors;
        uint count = Size;
        uint index = head;
        if (index >= count)
            return QueueFault.HeadIndex;
        bool isIndirect = false;
        while (true)
        {
            ulong address = Volatile.Read(ref *(ulong*)(table + (index * DescriptorBytes)));
            ulong rest = Volatile.Read(ref *(ulong*)(table + (index * DescriptorBytes) + sizeof(ulong)));
            uint length = (uint)rest;
            uint flags = (ushort)(rest >> 32);
            if ((flags & VRING_DESC_F_INDIRECT) != 0)
            {
                QueueFault refused = MayBeIndirect(isIndirect, flags, length);
                if (refused != QueueFault.None)
                    return refused;
                table = ram.Find(address, length);
                if (table == null)
                    return QueueFault.NotRam;
                (isIndirect, count, index) = (true, length / DescriptorBytes, 0);
                continue;
            }
            if (length == 0)
                return QueueFault.ZeroLength;
            byte* host = ram.Find(address, length);
            if (host == null)
                return QueueFault.NotRam;
            QueueFault fault = chain.Append(host, length, (flags & VRING_DESC_F_WRITE) != 0);
            if (fault != QueueFault.None)
                return fault;
            if ((flags & VRING_DESC_F_NEXT) == 0)
                return QueueFault.None;
            index = (uint)(rest >> 48);
            if (index >= count)
                return QueueFault.NextIndex;
        }
    }

    private QueueFault MayBeIndirect(bool isIndirect, uint flags, uint length)
    {
        if (!_hasIndirect)
            return QueueFault.IndirectNotNegotiated;
        if (isIndirect)
            return QueueFault.NestedIndirect;
        if ((flags & VRING_DESC_F_NEXT) != 0)
            return QueueFault.IndirectWithNext;
        return length == 0 || length % DescriptorBytes != 0 ? QueueFault.IndirectSize : QueueFault.None;
    }

    private bool Break(QueueFault fault)
    {
        Fault = fault;
        return false;
    }

    private static ushort Read16(byte* ring, int offset) => Volatile.Read(ref *(ushort*)(ring + offset));
}
