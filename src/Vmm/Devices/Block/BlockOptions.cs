using Sandbox.Host;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Block;

/// <summary>A disk as it is granted.</summary>
public sealed record BlockOptions
{
    /// <summary>A regular file or a block device, raw, which the device owns from now on.</summary>
    public required FileDescriptor File { get; init; }

    /// <summary>The guest cannot write, whatever the descriptor could.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>What the guest sees as the disk's name: at most 20 bytes of ASCII.</summary>
    public string Identity { get; init; } = "";

    /// <summary>Each with a thread of its own: 1 to 16.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>
    /// One for each queue, on <see cref="File"/>, which the device owns from now on; none, and the queues' threads do
    /// everything themselves.
    /// </summary>
    public IReadOnlyList<BlockRing> Rings { get; init; } = [];

    /// <summary>What it may read, and as much that it may write.</summary>
    public RateLimit Limit { get; init; }
}
