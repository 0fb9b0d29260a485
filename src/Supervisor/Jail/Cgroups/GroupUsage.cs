namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>What a group has used, as its files tell until it is removed.</summary>
/// <param name="MemoryPeakBytes">The most at one time; null where the kernel does not keep it.</param>
/// <param name="OomKills">Processes that were killed at the memory limit.</param>
/// <param name="ForksRefused">Processes and threads that were refused at the limit of them.</param>
readonly record struct GroupUsage(ulong? MemoryPeakBytes, ulong OomKills, ulong ForksRefused);
