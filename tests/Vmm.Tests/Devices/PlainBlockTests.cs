using Sandbox.Host;
using Sandbox.Vmm.Devices.Block;
using Sandbox.Vmm.Tests.Virtio;
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
}
