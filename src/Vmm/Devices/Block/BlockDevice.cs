using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Block;

/// <summary>
/// A disk: virtio 1.2, 5.2. The image is raw, and nothing in it is ever looked at. What a flush has answered is on the
/// host's disk; without VIRTIO_BLK_F_FLUSH every write is.
/// </summary>
public sealed class BlockDevice : RequestDevice
{
    public const int MaximumQueues = 16;

    private const ushort QueueSize = 256;

    /// <summary>With the head and the status, a request fills a queue at most.</summary>
    private const uint SegmentLimit = QueueSize - 2;

    private readonly BlockImage _image;
    private readonly BlockRequests _requests;

    /// <exception cref="HostException">The file has no length, or is none that a disk can be.</exception>
    public BlockDevice(GuestRam ram, BlockOptions options)
        : this(ram, options, new BlockImage(options.File, options.IsReadOnly), new RateLimiter(options.Limit))
    {
    }

    private BlockDevice(GuestRam ram, BlockOptions options, BlockImage image, RateLimiter limiter)
        : base("virtio-blk", VIRTIO_ID_BLOCK, Offered(options), Configuration.Length, ram,
            new BlockMetrics(options.Queues, limiter), QueueSizes(options.Queues))
    {
        _image = image;
        _requests = new BlockRequests(image, options.Identity, limiter, (BlockMetrics)Metrics);
        InitialiseConfiguration(Configuration.Of(image, options.Queues, SegmentLimit));
        for (int queue = 0; queue < options.Queues; queue++)
            AddWorker(queue);
    }

    /// <summary>The disk's length in whole sectors of 512 bytes.</summary>
    public ulong Sectors => _image.Sectors;

    /// <summary>What a snapshot keeps: which disk it was.</summary>
    public BlockState Save() => new(_image.Sectors, _image.IsReadOnly);

    /// <summary>Whether this is such a disk.</summary>
    public bool Matches(BlockState state) => state == Save();

    protected override void OnActivate() => _requests.Features = Negotiated;

    protected override RequestResult Serve(int queue, DescriptorChain chain) => _requests.Serve(queue, chain);

    protected override void OnDispose() => _image.Dispose();

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
            max_discard_seg = BlockRequests.RangeLimit,
            discard_sector_alignment = 1,
            max_write_zeroes_sectors = BlockRequests.RangeSectors,
            max_write_zeroes_seg = BlockRequests.RangeLimit,
            write_zeroes_may_unmap = 1,
        };
    }
}
