namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>
/// What control groups are used for here: names of controllers in cgroups(7), and the freezer of either version.
/// </summary>
[Flags]
enum Controllers
{
    None = 0,
    Memory = 1 << 0,
    Cpu = 1 << 1,
    Pids = 1 << 2,

    /// <summary>A controller in version 1; in version 2 every group can be frozen.</summary>
    Freezer = 1 << 3,

    /// <summary>
    /// Rates of disks: io in version 2, blkio in version 1. Only guests that have such rates need it.
    /// </summary>
    Io = 1 << 4,

    /// <summary>Those without which a group is no wall.</summary>
    Limits = Memory | Cpu | Pids,
}
