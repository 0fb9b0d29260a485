namespace Sandbox.Vmm.Virtio;

/// <summary>
/// What a driver did to a queue or a request that leaves a device no way to go on: it asks for a reset. The numbers are
/// of virtio 1.2; "must not" there is what a hostile driver does.
/// </summary>
public enum QueueFault
{
    None,

    /// <summary>More chains are available than the queue has places (2.7.13.3).</summary>
    AvailableIndex,

    /// <summary>A chain begins at a descriptor that the table does not have.</summary>
    HeadIndex,

    /// <summary>A chain goes on at a descriptor that the table does not have.</summary>
    NextIndex,

    /// <summary>More descriptors than the device's queue has: a loop, too (2.7.5.3.1).</summary>
    TooLong,

    /// <summary>A descriptor of no bytes.</summary>
    ZeroLength,

    /// <summary>2^32 bytes or more in all (2.7.5.2).</summary>
    TooManyBytes,

    /// <summary>A buffer or a table that is not RAM as a whole.</summary>
    NotRam,

    /// <summary>Something to read behind something to write (2.7.4.2).</summary>
    Order,

    /// <summary>An indirect table that was not negotiated (2.7.5.3.1).</summary>
    IndirectNotNegotiated,

    /// <summary>An indirect table in an indirect table (2.7.5.3.1).</summary>
    NestedIndirect,

    /// <summary>A table that is not the last of its chain (2.7.5.3.1).</summary>
    IndirectWithNext,

    /// <summary>A table of no descriptors, or not of whole ones.</summary>
    IndirectSize,

    /// <summary>A request without its head, or without room for the answer.</summary>
    Request,
}
