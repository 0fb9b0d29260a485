namespace Sandbox.Vmm.Devices.Net;

/// <summary>What a snapshot keeps of a network interface beside its queues.</summary>
/// <param name="Pairs">Pairs of queues that the guest uses.</param>
public readonly record struct NetState(int Pairs);
