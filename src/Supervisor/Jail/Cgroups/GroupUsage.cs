namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>
/// What a group has used, as its files tell until it is removed; null where the kernel does not keep it.
/// </summary>
/// <param name="MemoryPeakBytes">The most at one time.</param>
/// <param name="OomKills">Processes that were killed at the memory limit.</param>
/// <param name="ForksRefused">Processes and threads that were refused at the limit of them.</param>
readonly record struct GroupUsage(ulong? MemoryPeakBytes, ulong OomKills, ulong ForksRefused)
{
    /// <summary>Of all CPUs together.</summary>
    public ulong? CpuMicroseconds { get; init; }

    /// <summary>How often it was made to wait for the next period, as its quota was used up.</summary>
    public ulong? Throttled { get; init; }

    /// <summary>How long, over all CPUs.</summary>
    public ulong? ThrottledMicroseconds { get; init; }

    /// <summary>The most processes and threads at one time.</summary>
    public ulong? PeakProcesses { get; init; }

    /// <summary>With what another hierarchy tells of the same group.</summary>
    public GroupUsage And(GroupUsage other) =>
        new(MemoryPeakBytes ?? other.MemoryPeakBytes, OomKills + other.OomKills, ForksRefused + other.ForksRefused)
        {
            CpuMicroseconds = CpuMicroseconds ?? other.CpuMicroseconds,
            Throttled = Throttled ?? other.Throttled,
            ThrottledMicroseconds = ThrottledMicroseconds ?? other.ThrottledMicroseconds,
            PeakProcesses = PeakProcesses ?? other.PeakProcesses,
        };
}
