using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Net;

/// <summary>
/// Takes packets from the link, one at a time, and puts each into as many of the guest's buffers as it needs
/// (VIRTIO_NET_F_MRG_RXBUF) or into one. How long a packet is shows when it has been read: it is read into as many buffers
/// as the one before has taken, and what is left of it is copied. One for each queue, used by its worker.
/// </summary>
sealed unsafe class NetReceiver(PacketLink link, RateLimiter limiter, NetMetrics metrics, SplitQueue queue, ushort mtu)
{
    /// <summary>Buffers of one packet, at most: 64 KiB in pieces of 1526 bytes, the least that drivers offer.</summary>
    private const int BufferLimit = 64;

    /// <summary>What is looked at, and changed: it is read into memory that the guest cannot change meanwhile.</summary>
    private const int HeadBytes = (int)NetSender.HeaderBytes + SourceFilter.EthernetBytes;

    private const int CountOffset = 10;

    /// <summary>A packet, but for what of it is in the guest's buffers already.</summary>
    private readonly byte[] _packet =
        GC.AllocateArray<byte>((int)(NetSender.HeaderBytes + NetSender.MaximumFrame), pinned: true);

    private readonly DescriptorChain _first = new(queue.MaximumSize);
    private readonly DescriptorChain _next = new(queue.MaximumSize);
    private readonly (ushort Head, uint Bytes)[] _buffers = new (ushort, uint)[BufferLimit];

    // The head, the buffers, and the rest of the packet.
    private readonly iovec[] _pieces = new iovec[BufferLimit + queue.MaximumSize + 2];
    private int _held;
    private int _previous;
    private bool _mayPass;

    /// <summary>What became of an attempt to deliver a packet.</summary>
    internal enum Delivery
    {
        /// <summary>Or dropped, since this guest can never take it.</summary>
        Delivered,

        /// <summary>The link has none.</summary>
        NoPacket,

        /// <summary>The guest has no room, and will tell when it has.</summary>
        NoRoom,

        /// <summary>Not before a time.</summary>
        Throttled,

        /// <summary>A buffer is none: see <see cref="SplitQueue.Fault"/>, or it cannot hold a header.</summary>
        Broken,
    }

    /// <summary>The link may have a packet.</summary>
    public bool MayRead { get; set; } = true;

    /// <summary>Buffers that were too few, when there was no room.</summary>
    public int LookedAt { get; private set; }

    /// <summary>Forgets the packet that waits.</summary>
    public void Reset() => _held = 0;

    /// <summary>Delivers one packet into buffers, which the caller publishes.</summary>
    /// <param name="features">What driver and device agreed on.</param>
    public Delivery TryDeliver(ulong features, out long readyAt)
    {
        readyAt = 0;
        bool mayMerge = (features & (1UL << VIRTIO_NET_F_MRG_RXBUF)) != 0;
        int taken = 0;
        int room = 0;
        if (_held == 0)
        {
            // A packet that must wait gives its buffers back, so it had better not be in any.
            int pieces = 0;
            if (MayRead && !limiter.IsLimited && !TryTakeBuffers(mayMerge, out taken, out room, out pieces))
                return Delivery.Broken;
            if (!TryRead(room, pieces))
            {
                GiveBack(taken);
                return Delivery.NoPacket;
            }
            if (!NetHeader.TryAdmit(_packet.AsSpan(0, HeadBytes), _held, features, mtu))
                return Drop(taken);
        }
        // Once for each packet, however often it finds no room.
        if (!_mayPass && !limiter.TryPass(_held - NetSender.HeaderBytes, out readyAt))
            return Delivery.Throttled;
        _mayPass = true;
        int count = 0;
        int at = 0;
        while (at < _held)
        {
            if (count >= taken)
            {
                if (count == BufferLimit)
                    return Drop(count);
                if (!TryTake(count, out bool isBroken))
                {
                    if (isBroken)
                        return Delivery.Broken;
                    // All of it, or nothing: the buffers go back.
                    TakeOut(room);
                    LookedAt = count;
                    GiveBack(count);
                    return Delivery.NoRoom;
                }
            }
            int part = (int)Math.Min(_buffers[count].Bytes, (uint)(_held - at));
            if (!mayMerge && part < _held)
                return Drop(Math.Max(taken, count + 1));
            if (count >= taken)
                (count == 0 ? _first : _next).TryWrite(0, _packet.AsSpan(at, part));
            _buffers[count++].Bytes = (uint)part;
            at += part;
        }
        GiveBack(taken - count);
        if (taken > 0)
            _first.TryWrite(0, _packet.AsSpan(0, Math.Min(HeadBytes, _held)));
        _first.TryWrite(CountOffset, (ushort)count);
        for (int i = 0; i < count; i++)
            queue.Push(_buffers[i].Head, _buffers[i].Bytes);
        metrics.Add(NetCount.Received);
        metrics.Add(NetCount.ReceivedBytes, _held - NetSender.HeaderBytes);
        _held = 0;
        return Delivery.Delivered;
    }

    /// <summary>
    /// Takes buffers for a packet like the one before, as far as there are any: room for its head at least, or none.
    /// </summary>
    /// <param name="pieces">What is in them behind the head, from the second of <see cref="_pieces"/> on.</param>
    /// <returns>False when a buffer is none.</returns>
    private bool TryTakeBuffers(bool mayMerge, out int count, out int room, out int pieces)
    {
        count = 0;
        room = 0;
        pieces = 0;
        do
        {
            if (!TryTake(count, out bool isBroken))
                return !isBroken;
            DescriptorChain chain = count == 0 ? _first : _next;
            int head = count == 0 ? HeadBytes : 0;
            int bytes = (int)Math.Min(chain.WritableBytes, (uint)(_packet.Length - room));
            if (bytes < head)
            {
                queue.Unpop();
                return true;
            }
            pieces += chain.MapWritable((uint)head, (uint)(bytes - head), _pieces.AsSpan(1 + pieces));
            room += bytes;
            count++;
        }
        while (mayMerge && room < _previous && pieces < BufferLimit && count < BufferLimit);
        return true;
    }

    /// <summary>The next buffer, as the last of those that a packet has.</summary>
    private bool TryTake(int count, out bool isBroken)
    {
        DescriptorChain chain = count == 0 ? _first : _next;
        bool isThere = queue.TryPop(chain);
        isBroken = isThere
            ? chain.WritableBytes < (count == 0 ? NetSender.HeaderBytes : 1)
            : queue.Fault != QueueFault.None;
        if (!isThere || isBroken)
            return false;
        _buffers[count] = (chain.Head, chain.WritableBytes);
        return true;
    }

    private void GiveBack(int count)
    {
        for (; count > 0; count--)
            queue.Unpop();
    }

    private Delivery Drop(int taken)
    {
        GiveBack(taken);
        metrics.Add(NetCount.TooLong);
        _held = 0;
        return Delivery.Delivered;
    }

    /// <summary>Reads a packet: its head to where it is looked at, what has room into the buffers, the rest behind.</summary>
    private bool TryRead(int room, int pieces)
    {
        byte* packet = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_packet));
        int rest = Math.Max(room, HeadBytes);
        _pieces[0] = new iovec { iov_base = packet, iov_len = HeadBytes };
        _pieces[1 + pieces] = new iovec { iov_base = packet + rest, iov_len = (nuint)(_packet.Length - rest) };
        while (MayRead)
        {
            nint count = link.Receive(_pieces.AsSpan(0, pieces + 2));
            if (count > NetSender.HeaderBytes)
            {
                _held = (int)count;
                _previous = _held;
                _mayPass = false;
                return true;
            }
            // A link that is gone (-EBADFD) has nothing either.
            if (count <= 0)
                MayRead = false;
        }
        return false;
    }

    /// <summary>Takes what was read into buffers out of them: those go back.</summary>
    private void TakeOut(int room)
    {
        Span<byte> missing = _packet.AsSpan(0, Math.Min(room, _held));
        missing = missing[Math.Min(HeadBytes, missing.Length)..];
        for (int i = 1; !missing.IsEmpty; i++)
        {
            int part = (int)Math.Min(_pieces[i].iov_len, (nuint)missing.Length);
            new ReadOnlySpan<byte>(_pieces[i].iov_base, part).CopyTo(missing);
            missing = missing[part..];
        }
    }
}
