using Sandbox.Host;

namespace Sandbox.Supervisor.Jail;

/// <summary>What became of a jail.</summary>
/// <param name="Walls">What stands.</param>
/// <param name="Missing">What was wanted and could not be built.</param>
/// <param name="Reason">
/// The first thing that failed, and what a control group lacks, for people; null when nothing is missing.
/// </param>
sealed record BuiltJail(JailWalls Walls, JailWalls Missing, string? Reason)
{
    /// <summary>
    /// Whether a start should say what is missing. An ordinary user has no control group to give away on most hosts,
    /// unless he asks for one: that alone is told by doctor, and refused where a policy requires it.
    /// </summary>
    public bool DeservesWarning(bool isRoot) =>
        (isRoot ? Missing : Missing & ~(JailWalls.CgroupLimits | JailWalls.DiskRates)) != JailWalls.None;

    /// <summary>The same jail without limits in its control group.</summary>
    /// <param name="lacks">Why, for people.</param>
    public BuiltJail WithoutGroupLimits(string lacks) =>
        Without(JailWalls.CgroupLimits, $"a control group with limits: {lacks}");

    /// <summary>The same jail with rates of disks in its control group, or without.</summary>
    /// <param name="lacks">Why not all could be set, for people; null when all were.</param>
    public BuiltJail WithDiskRates(string? lacks) => lacks is null
        ? this with { Walls = Walls | JailWalls.DiskRates }
        : Without(JailWalls.DiskRates, $"rates of disks: {lacks}");

    BuiltJail Without(JailWalls wall, string reason) =>
        new(Walls & ~wall, Missing | wall, Reason is null ? reason : $"{Reason}; {reason}");

    public static string Describe(string step, int errno) => $"{step}: {Errno.Describe(errno)}";

    public override string ToString() => Missing == JailWalls.None
        ? "every wall of the jail stands"
        : $"the jail around the VMM lacks walls ({WallNames.Of(Missing)}), since this host refused {Reason}; see "
            + "sandbox doctor";
}
