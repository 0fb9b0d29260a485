using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Net;

/// <summary>
/// A network interface: virtio 1.2, 5.1. Each pair of queues has a link and a thread of its own. Checksums and segments
/// are left to the host, and to the guest, as far as both agreed.
/// </summary>
public sealed class NetDevice : RequestDevice
{
    public const int MaximumPairs = 8;

    internal const ushort QueueSize = 256;

    private const ushort ControlQueueSize = 16;

    private const int ChangesAtOnce = 16;

    private readonly PacketLink[] _links;
    private readonly NetReceiver[] _receivers;
    private readonly NetSender[] _senders;
    private readonly NetMetrics _metrics;

    /// <summary>Changes of links. The host's kernel makes all of them for all interfaces one after the other.</summary>
    private readonly TokenBucket _changes;

    /// <summary>What the driver wants: none before it has begun.</summary>
    private volatile int _wanted;

    /// <summary>On these links packets come.</summary>
    private volatile int _pairs;

    /// <summary>The host would not change a link: others may not be as they should.</summary>
    private bool _isUnsure;

    /// <exception cref="HostException">A link cannot do what is offered.</exception>
    public NetDevice(GuestRam ram, NetOptions options)
        : this(ram, options, new RateLimiter(options.SendLimit), new RateLimiter(options.ReceiveLimit))
    {
    }

    private NetDevice(GuestRam ram, NetOptions options, RateLimiter send, RateLimiter receive)
        : base("virtio-net", VIRTIO_ID_NET, Offered(options), Configuration.Length, ram,
            new NetMetrics(QueueSizes(options).Length, send, receive), QueueSizes(options))
    {
        _metrics = (NetMetrics)Metrics;
        _changes = new TokenBucket(options.ChangesPerSecond, ChangesAtOnce);
        _links = [.. options.Links];
        SourceFilter filter = new([.. options.Mac], options.Addresses);
        _receivers = new NetReceiver[_links.Length];
        _senders = new NetSender[_links.Length];
        InitialiseConfiguration(Configuration.Of(options));
        for (int i = 0; i < _links.Length; i++)
        {
            // Fails here, where somebody hears of it, and not when the guest starts.
            int error = _links[i].Configure(Offloads(Features), isUsed: i == 0);
            if (error != 0)
                throw new HostException(
                    -error, "ioctl", "a TAP device", "it must have IFF_TAP, IFF_NO_PI and IFF_VNET_HDR");
            _receivers[i] = new NetReceiver(_links[i], receive, _metrics, Queues[2 * i], options.Mtu);
            _senders[i] = new NetSender(_links[i], filter, send, _metrics);
            DeviceWorker worker = HasControl && i == 0
                ? AddWorker(0, 1, 2 * _links.Length) : AddWorker(2 * i, (2 * i) + 1);
            worker.Add(i, _links[i].File, Libc.EPOLLIN);
        }
    }

    private bool HasControl => _links.Length > 1;

    /// <summary>
    /// Behind all that the driver knows of (5.1.2): where the second pair would be, if it knows of one pair only. -1 for
    /// none.
    /// </summary>
    private int ControlQueue =>
        !Has(VIRTIO_NET_F_CTRL_VQ) ? -1 : Has(VIRTIO_NET_F_MQ) ? 2 * _links.Length : 2;

    /// <summary>What a snapshot keeps.</summary>
    public NetState Save() => new(_wanted);

    /// <summary>After the transport was restored, before it resumes. False when there are not so many links.</summary>
    public bool TryRestore(NetState state)
    {
        if (state.Pairs < 0 || state.Pairs > _links.Length)
            return false;
        _wanted = state.Pairs;
        return true;
    }

    protected internal override bool ServeQueue(DeviceWorker worker, int queue)
    {
        if (queue == ControlQueue || queue % 2 == 1)
            return ServeRequests(worker, queue);
        return Receive(worker, queue / 2);
    }

    protected internal override void OnReady(DeviceWorker worker, int source, uint events)
    {
        _receivers[source].MayRead = true;
        if (Receive(worker, source))
            Signal(NotifyFile(2 * source));
    }

    protected internal override void OnResumed(DeviceWorker worker)
    {
        // A worker's own only: the others are theirs.
        for (int i = 0; i < _receivers.Length; i++)
            if (Workers[i] == worker)
                _receivers[i].MayRead = true;
    }

    protected internal override bool Accepts(ulong features)
    {
        // 5.1.3.1: what needs what.
        return Needs(VIRTIO_NET_F_GUEST_TSO4, 1UL << VIRTIO_NET_F_GUEST_CSUM)
            && Needs(VIRTIO_NET_F_GUEST_TSO6, 1UL << VIRTIO_NET_F_GUEST_CSUM)
            && Needs(VIRTIO_NET_F_GUEST_ECN, 1UL << VIRTIO_NET_F_GUEST_TSO4 | 1UL << VIRTIO_NET_F_GUEST_TSO6)
            && Needs(VIRTIO_NET_F_HOST_TSO4, 1UL << VIRTIO_NET_F_CSUM)
            && Needs(VIRTIO_NET_F_HOST_TSO6, 1UL << VIRTIO_NET_F_CSUM)
            && Needs(VIRTIO_NET_F_HOST_ECN, 1UL << VIRTIO_NET_F_HOST_TSO4 | 1UL << VIRTIO_NET_F_HOST_TSO6)
            && Needs(VIRTIO_NET_F_MQ, 1UL << VIRTIO_NET_F_CTRL_VQ);

        bool Needs(int feature, ulong oneOf) => (features & (1UL << feature)) == 0 || (features & oneOf) != 0;
    }

    /// <summary>The first pair's worker tells the host: here a processor of the guest's waits.</summary>
    protected override void OnActivate() => _wanted = 1;

    protected override void OnReset()
    {
        foreach (NetReceiver receiver in _receivers)
            receiver.Reset();
        (_wanted, _pairs) = (0, 0);
    }

    protected override void OnDispose()
    {
        foreach (PacketLink link in _links)
            link.Dispose();
    }

    protected override RequestResult Serve(int queue, DescriptorChain chain) =>
        queue == ControlQueue ? Control(chain) : _senders[queue / 2].Send(chain, Negotiated);

    private bool Receive(DeviceWorker worker, int pair)
    {
        if (pair == 0 && _pairs == 0 && !Begin(worker))
            return false;
        SplitQueue queue = Queues[2 * pair];
        for (int left = TurnLimit; left > 0 && !worker.MustYield && pair < _pairs; left--)
        {
            long started = HostClock.MonotonicNanoseconds();
            switch (_receivers[pair].TryDeliver(Negotiated, out long readyAt))
            {
                case NetReceiver.Delivery.Delivered:
                    Metrics.Latency[2 * pair].Record(HostClock.MonotonicNanoseconds() - started);
                    Publish(queue);
                    break;
                case NetReceiver.Delivery.Throttled:
                    worker.WakeAt(readyAt);
                    return false;
                case NetReceiver.Delivery.NoRoom when queue.EnableNotifications(_receivers[pair].LookedAt):
                    break;
                case NetReceiver.Delivery.Broken:
                    Fail(queue.Fault == QueueFault.None ? QueueFault.Request : queue.Fault);
                    return false;
                default:
                    return false;
            }
        }
        return pair < _pairs;
    }

    /// <summary>Has packets come as the driver wants them.</summary>
    /// <returns>False when they do not, or not yet.</returns>
    private bool Begin(DeviceWorker worker)
    {
        if (MayChange(out long readyAt))
            return UsePairs(_wanted);
        worker.WakeAt(readyAt);
        return false;
    }

    private bool MayChange(out long readyAt)
    {
        long now = HostClock.MonotonicNanoseconds();
        readyAt = _changes.AvailableAt(1, now);
        if (readyAt > now)
            return false;
        _changes.Take(1, now);
        return true;
    }

    /// <summary>A command: its head, data, and a byte for the answer.</summary>
    private RequestResult Control(DescriptorChain chain)
    {
        const uint HeadBytes = 2;
        if (!chain.TryRead(0, out virtio_net_ctrl_hdr head) || chain.WritableBytes < 1)
            return RequestResult.Broken(QueueFault.Request);
        bool isRight = Has(VIRTIO_NET_F_MQ)
            && head.@class == VIRTIO_NET_CTRL_MQ && head.cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET;
        isRight &= chain.TryRead(HeadBytes, out ushort pairs)
            && pairs >= VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN && pairs <= _links.Length;
        bool isSo = pairs == _pairs && !_isUnsure;
        if (isRight && !isSo && !MayChange(out long readyAt))
            return RequestResult.Later(readyAt);
        bool isDone = isRight && (isSo || UsePairs(pairs));
        chain.TryWrite(0, isDone ? (byte)VIRTIO_NET_OK : (byte)VIRTIO_NET_ERR);
        return RequestResult.Done(1);
    }

    /// <summary>Packets come on these links only. The other workers look at their queues then.</summary>
    /// <returns>False when the host would not have it; then none is used that was not.</returns>
    private bool UsePairs(int pairs)
    {
        for (int i = 0; i < _links.Length; i++)
        {
            if (_links[i].Configure(Offloads(Negotiated), isUsed: i < pairs) == 0)
                continue;
            _metrics.Add(NetCount.LinkFailed);
            _isUnsure = true;
            return false;
        }
        _isUnsure = false;
        (_wanted, _pairs) = (pairs, pairs);
        for (int i = 0; i < _links.Length; i++)
        {
            if (i < pairs)
                Signal(NotifyFile(2 * i));
            else if (i > 0)
                WaitFor(Workers[i]);
        }
        return true;
    }

    /// <summary>
    /// Once the command is answered, nothing comes on other pairs (5.1.6.5.6): what their threads have begun is over.
    /// None of them waits for the first pair's, which has this command.
    /// </summary>
    private static void WaitFor(DeviceWorker worker)
    {
        worker.Suspend();
        worker.Resume();
    }

    /// <summary>Which packets the guest understands, in the TAP device's words.</summary>
    private static uint Offloads(ulong features)
    {
        return Bit(VIRTIO_NET_F_GUEST_CSUM, Libc.TUN_F_CSUM) | Bit(VIRTIO_NET_F_GUEST_TSO4, Libc.TUN_F_TSO4)
            | Bit(VIRTIO_NET_F_GUEST_TSO6, Libc.TUN_F_TSO6) | Bit(VIRTIO_NET_F_GUEST_ECN, Libc.TUN_F_TSO_ECN);

        uint Bit(int feature, int flag) => (features & (1UL << feature)) != 0 ? (uint)flag : 0;
    }

    private static ulong Offered(NetOptions options)
    {
        ulong features = 1UL << VIRTIO_NET_F_CSUM | 1UL << VIRTIO_NET_F_GUEST_CSUM
            | 1UL << VIRTIO_NET_F_GUEST_TSO4 | 1UL << VIRTIO_NET_F_GUEST_TSO6 | 1UL << VIRTIO_NET_F_GUEST_ECN
            | 1UL << VIRTIO_NET_F_HOST_TSO4 | 1UL << VIRTIO_NET_F_HOST_TSO6 | 1UL << VIRTIO_NET_F_HOST_ECN
            | 1UL << VIRTIO_NET_F_MRG_RXBUF | 1UL << VIRTIO_NET_F_MAC | 1UL << VIRTIO_NET_F_MTU
            | 1UL << VIRTIO_NET_F_STATUS;
        return options.Links.Count > 1
            ? features | 1UL << VIRTIO_NET_F_CTRL_VQ | 1UL << VIRTIO_NET_F_MQ : features;
    }

    private static ushort[] QueueSizes(NetOptions options)
    {
        int pairs = options.Links.Count;
        ArgumentOutOfRangeException.ThrowIfLessThan(pairs, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(pairs, MaximumPairs);
        ushort[] sizes = new ushort[(2 * pairs) + (pairs > 1 ? 1 : 0)];
        Array.Fill(sizes, QueueSize);
        if (pairs > 1)
            sizes[^1] = ControlQueueSize;
        return sizes;
    }

    private static unsafe class Configuration
    {
        public static int Length => sizeof(virtio_net_config);

        public static virtio_net_config Of(NetOptions options)
        {
            if (options.Mac.Count != 6 || (options.Mac[0] & 1) != 0)
                throw new ArgumentException("a MAC address has 6 bytes, and is not a group's", nameof(options));
            ArgumentOutOfRangeException.ThrowIfLessThan(options.Mtu, NetOptions.MinimumMtu);
            virtio_net_config told = new()
            {
                status = VIRTIO_NET_S_LINK_UP,
                max_virtqueue_pairs = (ushort)options.Links.Count,
                mtu = options.Mtu,
            };
            for (int i = 0; i < 6; i++)
                told.mac[i] = options.Mac[i];
            return told;
        }
    }
}
