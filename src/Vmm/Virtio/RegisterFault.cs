namespace Sandbox.Vmm.Virtio;

/// <summary>What a driver did to registers that it must not do. Each is ignored and counted.</summary>
public enum RegisterFault
{
    /// <summary>Not 32 bits, not aligned, no register, or one of the other direction (virtio 1.2, 4.2.2.2).</summary>
    Access,

    /// <summary>Status bits cleared, skipped or unknown (2.1.1, 3.1.1).</summary>
    Status,

    /// <summary>Features that were not offered, or without VIRTIO_F_VERSION_1 (2.2.1, 6.1).</summary>
    Features,

    /// <summary>A write to what is decided already: features, queues, configuration (2.4.1, 3.1.1, 4.2.2.2).</summary>
    Frozen,

    /// <summary>A queue that is not there, or that cannot be where the driver says (2.7, 4.2.2.2).</summary>
    Queue,

    /// <summary>A notification of no queue, or before DRIVER_OK (3.1.1).</summary>
    Notify,
}
