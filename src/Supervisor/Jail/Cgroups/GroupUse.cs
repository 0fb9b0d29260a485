namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>What a group has in use at a moment, as its files tell; null where they do not.</summary>
/// <param name="CpuMicroseconds">Since it was made, over all CPUs.</param>
readonly record struct GroupUse(ulong? MemoryBytes, ulong? MemoryPeakBytes, ulong? CpuMicroseconds, ulong? Threads)
{
    /// <summary>Another hierarchy's, where this one does not tell.</summary>
    public GroupUse Or(GroupUse other) => new(
        MemoryBytes ?? other.MemoryBytes, MemoryPeakBytes ?? other.MemoryPeakBytes,
        CpuMicroseconds ?? other.CpuMicroseconds, Threads ?? other.Threads);
}
