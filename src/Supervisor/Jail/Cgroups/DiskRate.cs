namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>
/// What a guest and its VMM together may read of a disk in a second, and as much again that they may write.
/// </summary>
/// <param name="BytesPerSecond">0 for any number.</param>
/// <param name="OperationsPerSecond">The same.</param>
readonly record struct DiskRate(HostDisk Disk, ulong BytesPerSecond, ulong OperationsPerSecond = 0);
