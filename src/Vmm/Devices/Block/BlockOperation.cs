using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Block;

/// <summary>What a ring does for a request.</summary>
enum BlockAction
{
    Read,
    Write,
    Flush,
}

/// <summary>A place for a request that a ring works on; used again for the next.</summary>
sealed class BlockOperation(int number)
{
    public int Number => number;

    public DescriptorChain Chain { get; } = new(BlockDevice.QueueSize);

    public BlockAction Action { get; set; }

    /// <summary>Where on the disk, in bytes.</summary>
    public long Offset { get; set; }

    public uint Bytes { get; set; }

    /// <summary>Of the monotonic clock.</summary>
    public long StartedAt { get; set; }
}
