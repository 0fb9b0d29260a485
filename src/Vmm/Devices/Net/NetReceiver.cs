using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Net;

/// <summary>
/// Takes packets from the link, one at a time, and puts each into as many of the guest's buffers as it needs
/// (VIRTIO_NET_F_MRG_RXBUF) or into one. One for each queue, used by its worker.
/// </summary>
sealed class NetReceiver(PacketLink link, RateLimiter limiter, NetMetrics metrics, SplitQueue queue, ushort mtu)
{
    /// <summary>Buffers of one packet, at most: 64 KiB in pieces of 1526 bytes, the least that drivers offer.</summary>
    private const int BufferLimit = 64;

    private const int CountOffset = 10;

    private readonly byte[] _packet = new byte[NetSender.HeaderBytes + NetSender.MaximumFrame];
    private readonly DescriptorChain _first = new(queue.MaximumSize);
    private readonly DescriptorChain _next = new(queue.MaximumSize);
    private readonly (ushort Head, uint Bytes)[] _used = new (ushort, uint)[BufferLimit];
    private int _held;
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
        if (_held == 0)
        {
            if (!Take())
                return Delivery.NoPacket;
            if (!NetHeader.TryAdmit(_packet.AsSpan(0, _held), features, mtu))
                return Drop();
        }
        // Once for each packet, however often it finds no room.
        if (!_mayPass && !limiter.TryPass(_held - NetSender.HeaderBytes, out readyAt))
            return Delivery.Throttled;
        _mayPass = true;
        bool mayMerge = (features & (1UL << VIRTIO_NET_F_MRG_RXBUF)) != 0;
        int count = 0;
        int at = 0;
        while (at < _held)
        {
            DescriptorChain chain = count == 0 ? _first : _next;
            if (!queue.TryPop(chain))
            {
                // All of it, or nothing: the buffers go back.
                LookedAt = count;
                for (; count > 0; count--)
                    queue.Unpop();
                return queue.Fault == QueueFault.None ? Delivery.NoRoom : Delivery.Broken;
            }
            if (chain.WritableBytes == 0 || (count == 0 && chain.WritableBytes < NetSender.HeaderBytes))
                return Delivery.Broken;
            int part = (int)Math.Min(chain.WritableBytes, (uint)(_held - at));
            if ((!mayMerge && part < _held) || count == BufferLimit)
            {
                for (count++; count > 0; count--)
                    queue.Unpop();
                return Drop();
            }
            chain.TryWrite(0, _packet.AsSpan(at, part));
            _used[count++] = (chain.Head, (uint)part);
            at += part;
        }
        _first.TryWrite(CountOffset, (ushort)count);
        for (int i = 0; i < count; i++)
            queue.Push(_used[i].Head, _used[i].Bytes);
        metrics.Add(NetCount.Received);
        metrics.Add(NetCount.ReceivedBytes, _held - NetSender.HeaderBytes);
        _held = 0;
        return Delivery.Delivered;
    }

    private Delivery Drop()
    {
        metrics.Add(NetCount.TooLong);
        _held = 0;
        return Delivery.Delivered;
    }

    private bool Take()
    {
        while (MayRead)
        {
            nint count = link.Receive(_packet);
            if (count > NetSender.HeaderBytes)
            {
                _held = (int)count;
                _mayPass = false;
                return true;
            }
            // A link that is gone (-EBADFD) has nothing either.
            if (count <= 0)
                MayRead = false;
        }
        return false;
    }
}
