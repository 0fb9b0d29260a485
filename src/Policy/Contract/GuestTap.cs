namespace Sandbox.Policy.Contract;

/// <summary>A TAP device of the host's that a machine guest has as a network interface.</summary>
public sealed record GuestTap
{
    /// <summary>
    /// One for each of the device's queues: attached to it, with IFF_TAP, IFF_NO_PI, IFF_VNET_HDR and, where there are
    /// several, IFF_MULTI_QUEUE, and with O_NONBLOCK.
    /// </summary>
    public required int[] Descriptors { get; init; }

    /// <summary>
    /// The guest's MAC address: 6 bytes, neither of a group nor all zero. It cannot send from another.
    /// </summary>
    public required byte[] Mac { get; init; }

    /// <summary>
    /// The only IP address that the guest may send from, in network order: 4 or 16 bytes; none for any address.
    /// </summary>
    public required byte[] Address { get; init; }

    /// <summary>Bytes a second at most, each way; 0 for any number.</summary>
    public required ulong BytesPerSecond { get; init; }

    /// <summary>Packets a second at most, each way; 0 for any number.</summary>
    public ulong OperationsPerSecond { get; init; }
}
