namespace Sandbox.Vmm.Virtio;

/// <summary>A transport and its queues as plain data: what a snapshot keeps.</summary>
public sealed record TransportState
{
    /// <summary>VIRTIO_CONFIG_S_*.</summary>
    public required int Status { get; init; }

    /// <summary>VIRTIO_MMIO_INT_*.</summary>
    public required int InterruptStatus { get; init; }

    public required ulong DriverFeatures { get; init; }

    public required uint DeviceFeaturesSelector { get; init; }

    public required uint DriverFeaturesSelector { get; init; }

    public required uint QueueSelector { get; init; }

    public required IReadOnlyList<QueueState> Queues { get; init; }
}
