namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>What control groups are used for here: names of controllers in cgroups(7), and the freezer of either version.</summary>
[Flags]
enum Controllers
{
    None = 0,
    Memory = 1 << 0,
    Cpu = 1 << 1,
    Pids = 1 << 2,

    /// <summary>A controller in version 1; in version 2 every group can be frozen.</summary>
    Freezer = 1 << 3,

    /// <summary>Those without which a group is no wall.</summary>
    Limits = Memory | Cpu | Pids,
}
