namespace Sandbox.Vmm.Virtio;

/// <summary>A queue as plain data: what a snapshot keeps of it. Addresses are guest-physical.</summary>
/// <param name="Size">Descriptors.</param>
/// <param name="IsReady">Whether the driver has handed it over.</param>
/// <param name="NextAvailable">The available index that is served next.</param>
/// <param name="NextUsed">The used index that is written next.</param>
public readonly record struct QueueState(
    ushort Size, bool IsReady, ulong Descriptors, ulong Available, ulong Used, ushort NextAvailable, ushort NextUsed);
