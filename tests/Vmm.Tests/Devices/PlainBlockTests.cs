using Sandbox.Host;
using Sandbox.Vmm.Devices.Block;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Devices;

/// <summary>A disk whose threads do everything themselves.</summary>
public sealed class PlainBlockTests : BlockTests
{
    protected override IReadOnlyList<BlockRing> MakeRings(FileDescriptor file, int queues) => [];

    [Fact]
    public void It_is_counted_who_served()
    {
        Start();
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_IN, 0, new Piece(Data, 512, true)));
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_FLUSH, 0));
        Assert.Equal((0, 2), (Metrics.RingRequests, Metrics.PlainRequests));
    }

    [Theory]
    [InlineData(VIRTIO_BLK_T_WRITE_ZEROES, 0u, 1, 1)]
    [InlineData(VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, 1, 0)]
    [InlineData(VIRTIO_BLK_T_DISCARD, 0u, 0, 0)]
    public void Zeroes_are_held_to_the_rate_and_discards_are_not(uint type, uint flags, int throttled, int written)
    {
        const int disk = Sectors * 512;
        // A burst is the whole disk.
        Start(limit: new RateLimit(10 * disk, 0));
        Driver.Run();
        Memory.At<virtio_blk_outhdr>(Head) = new virtio_blk_outhdr { type = type };
        Memory.At<virtio_blk_discard_write_zeroes>(Data) =
            new virtio_blk_discard_write_zeroes { num_sectors = Sectors, flags = flags };
        for (int i = 0; i < 2; i++)
            Driver.Queues[0].Send(new Piece(Head, 16), new Piece(Data, 16), new Piece(Status, 1, true));
        Driver.Notify(0);
        Driver.Device.Workers[0].RunOnce(0);
        Assert.Equal(2 - throttled, Driver.Queues[0].UsedIndex);
        Assert.Equal(written * disk, Metrics.BytesWritten);
        long counted = -1;
        Metrics.Report((name, value) => counted = name == "throttled" ? value : counted);
        Assert.Equal(throttled, counted);
        NotifyAndFinish(0);
        Assert.Equal(VIRTIO_BLK_S_OK, Memory.At<byte>(Status));
        Assert.Equal(2 * written * disk, Metrics.BytesWritten);
    }

    /// <summary>As the host's control group counts, so that one rate means the same to both.</summary>
    [Fact]
    public void What_is_read_and_what_is_written_have_a_rate_each()
    {
        // One of each at once, and the next in a second.
        Start(limit: new RateLimit(0, 1));
        Driver.Run();
        uint[] types =
            [VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_FLUSH];
        int[] served = new int[types.Length];
        for (int i = 0; i < types.Length; i++)
        {
            Memory.At<virtio_blk_outhdr>(Head + (uint)(i * 16)) = new virtio_blk_outhdr { type = types[i] };
            Driver.Queues[0].Send(
                new Piece(Head + (uint)(i * 16), 16), new Piece(Data, 512, i is 1 or 2), new Piece(Status, 1, true));
            Driver.Notify(0);
            Driver.Device.Workers[0].RunOnce(0);
            served[i] = Driver.Queues[0].UsedIndex;
        }
        Assert.Equal([1, 2, 2, 2], served);
    }

    [Fact]
    public void One_range_of_zeroes_is_a_request_and_a_wrong_one_costs_nothing()
    {
        Start(limit: new RateLimit(10 * Sectors * 512, 0));
        Fill(1);
        Assert.Equal(1u, Driver.Configuration<virtio_blk_config>(0).max_write_zeroes_seg);
        virtio_blk_discard_write_zeroes one = new() { num_sectors = 1 };
        Assert.Equal(VIRTIO_BLK_S_IOERR, Ranges(VIRTIO_BLK_T_WRITE_ZEROES, one, one));
        Assert.Equal(VIRTIO_BLK_S_IOERR, Ranges(VIRTIO_BLK_T_WRITE_ZEROES, one with { num_sectors = uint.MaxValue }));
        Assert.Equal(VIRTIO_BLK_S_OK, Ranges(VIRTIO_BLK_T_WRITE_ZEROES, one));
        Assert.Equal((0, 1), (Contents(511, 1)[0], Contents(512, 1)[0]));
    }
}
