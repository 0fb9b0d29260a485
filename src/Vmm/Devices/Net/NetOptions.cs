using System.Net;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Net;

/// <summary>A network interface as it is granted.</summary>
public sealed record NetOptions
{
    /// <summary>The least that IPv4 works with (virtio 1.2, 5.1.4.1).</summary>
    public const ushort MinimumMtu = 68;

    /// <summary>One for each pair of queues: 1 to 8. The device owns them from now on.</summary>
    public required IReadOnlyList<PacketLink> Links { get; init; }

    /// <summary>The guest's MAC address: 6 bytes, not of a group. It cannot send from another.</summary>
    public required IReadOnlyList<byte> Mac { get; init; }

    /// <summary>IP addresses that the guest may send from; none for all.</summary>
    public IReadOnlyList<IPAddress> Addresses { get; init; } = [];

    /// <summary>Bytes of a packet's contents: 68 to 65535. Longer ones do not reach the guest.</summary>
    public ushort Mtu { get; init; } = 1500;

    /// <summary>What the guest may send, over all queues.</summary>
    public RateLimit SendLimit { get; init; }

    /// <summary>What the guest may get, over all queues.</summary>
    public RateLimit ReceiveLimit { get; init; }

    /// <summary>How often the driver may have the host change the links, beyond a few at once.</summary>
    internal int ChangesPerSecond { get; init; } = 4;
}
