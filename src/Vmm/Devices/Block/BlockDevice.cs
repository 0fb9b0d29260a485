using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Block;

/// <summary>
/// A disk: virtio 1.2, 5.2. The image is raw, and nothing in it is ever looked at. What a flush has answered is on the
/// host's disk; without VIRTIO_BLK_F_FLUSH every write is.
/// </summary>
/// <remarks>
/// With rings, what waits for the host's disk is the kernel's meanwhile, which writes into the guest's RAM: RAM is
/// mapped for as long as the machine is there, and a queue is not given back while anything of it is under way.
/// </remarks>
public sealed class BlockDevice : RequestDevice
{
    public const int MaximumQueues = 16;

    internal const ushort QueueSize = 256;

    /// <summary>With the head and the status, a request fills a queue at most.</summary>
    private const uint SegmentLimit = QueueSize - 2;

    private readonly BlockImage _image;
    private readonly BlockRequests _requests;
    private readonly BlockRing[] _rings;

    /// <exception cref="HostException">The file has no length, or is none that a disk can be.</exception>
    public BlockDevice(GuestRam ram, BlockOptions options)
        : this(ram, options, new BlockImage(options.File, options.IsReadOnly), new RateLimiter(options.Limit),
            new RateLimiter(options.Limit))
    {
    }

    private BlockDevice(
        GuestRam ram, BlockOptions options, BlockImage image, RateLimiter reads, RateLimiter writes)
        : base("virtio-blk", VIRTIO_ID_BLOCK, Offered(options), Configuration.Length, ram,
            new BlockMetrics(options.Queues, reads, writes), QueueSizes(options.Queues))
    {
        _image = image;
        _requests = new BlockRequests(image, options.Identity, reads, writes, (BlockMetrics)Metrics);
        InitialiseConfiguration(Configuration.Of(image, options.Queues, SegmentLimit));
        _rings = [.. options.Rings];
        if (_rings.Length != 0 && _rings.Length != options.Queues)
            throw new ArgumentException("each queue has a ring, or none has", nameof(options));
        for (int queue = 0; queue < options.Queues; queue++)
        {
            DeviceWorker worker = AddWorker(queue);
            if (RingOf(queue) is { } ring)
                worker.Add(queue, ring.File, Libc.EPOLLIN);
        }
    }

    /// <summary>The disk's length in whole sectors of 512 bytes.</summary>
    public ulong Sectors => _image.Sectors;

    /// <summary>What a snapshot keeps: which disk it was.</summary>
    public BlockState Save() => new(_image.Sectors, _image.IsReadOnly);

    /// <summary>Whether this is such a disk.</summary>
    public bool Matches(BlockState state) => state == Save();

    protected override void OnActivate() => _requests.Features = Negotiated;

    protected override DescriptorChain? NextChain(int queue) =>
        RingOf(queue) is { } ring ? ring.Room : base.NextChain(queue);

    protected override RequestResult Serve(int queue, DescriptorChain chain) =>
        _requests.Serve(chain, RingOf(queue));

    protected override void EndTurn(int queue)
    {
        if (RingOf(queue) is not { } ring)
            return;
        ring.Submit();
        ReturnEnded(queue, ring);
    }

    protected internal override bool HasEnded(int queue) => RingOf(queue)?.HasEnded == true;

    protected internal override void OnReady(DeviceWorker worker, int source, uint events)
    {
        if (ServeQueue(worker, source))
            Signal(NotifyFile(source));
    }

    protected internal override void OnSuspended(DeviceWorker worker, bool isReset)
    {
        // Each queue has its worker.
        int queue = 0;
        while (Workers[queue] != worker)
            queue++;
        if (RingOf(queue) is not { } ring)
            return;
        if (isReset)
            ring.Forget();
        while (!ring.IsIdle)
        {
            ring.Wait();
            ReturnEnded(queue, ring);
        }
    }

    protected override void OnDispose()
    {
        foreach (BlockRing ring in _rings)
            ring.Dispose();
        _image.Dispose();
    }

    private BlockRing? RingOf(int queue) => _rings.Length == 0 ? null : _rings[queue];

    private void ReturnEnded(int queue, BlockRing ring)
    {
        while (ring.TryTake(out BlockOperation? operation, out int result))
        {
            // A driver that broke a rule meanwhile gets nothing back but with its reset.
            if (!IsBroken)
                Return(queue, operation.Chain.Head, _requests.End(operation, result), operation.StartedAt);
            ring.Free(operation);
        }
    }

    private static ulong Offered(BlockOptions options)
    {
        ulong features = 1UL << VIRTIO_BLK_F_SEG_MAX | 1UL << VIRTIO_BLK_F_BLK_SIZE | 1UL << VIRTIO_BLK_F_FLUSH;
        if (options.IsReadOnly)
            features |= 1UL << VIRTIO_BLK_F_RO;
        else
            features |= 1UL << VIRTIO_BLK_F_DISCARD | 1UL << VIRTIO_BLK_F_WRITE_ZEROES;
        return options.Queues > 1 ? features | 1UL << VIRTIO_BLK_F_MQ : features;
    }

    private static ushort[] QueueSizes(int queues)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(queues, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(queues, MaximumQueues);
        ushort[] sizes = new ushort[queues];
        Array.Fill(sizes, QueueSize);
        return sizes;
    }

    private static unsafe class Configuration
    {
        public static int Length => sizeof(virtio_blk_config);

        public static virtio_blk_config Of(BlockImage image, int queues, uint segments) => new()
        {
            capacity = image.Sectors,
            seg_max = segments,
            blk_size = BlockImage.SectorBytes,
            num_queues = (ushort)queues,
            max_discard_sectors = BlockRequests.RangeSectors,
            max_discard_seg = BlockRequests.DiscardLimit,
            discard_sector_alignment = 1,
            max_write_zeroes_sectors = BlockRequests.RangeSectors,
            max_write_zeroes_seg = BlockRequests.ZeroesLimit,
            write_zeroes_may_unmap = 1,
        };
    }
}
