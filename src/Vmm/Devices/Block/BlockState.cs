namespace Sandbox.Vmm.Devices.Block;

/// <summary>What a snapshot keeps of a disk beside its queues: which kind of disk it needs to go on with.</summary>
public readonly record struct BlockState(ulong Sectors, bool IsReadOnly);
