using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail.Facts;

namespace Sandbox.Supervisor.Jail;

/// <summary>Holds a jail to the walls that a policy requires.</summary>
static class RequiredWalls
{
    /// <summary>What has to stand for a policy's wall; null for one that this version cannot build.</summary>
    public static JailWalls? For(Wall wall) => wall switch
    {
        Wall.Namespaces => JailWalls.Namespaces & ~JailWalls.Time,
        Wall.Landlock => JailWalls.Landlock,
        Wall.Cgroup => JailWalls.CgroupLimits,
        Wall.Seccomp => JailWalls.Seccomp,
        Wall.NoNetwork => JailWalls.Network,
        Wall.UserMapping => JailWalls.User,
        _ => null,
    };

    /// <summary>What has to stand for it as well, where something is to be built of that.</summary>
    public static JailWalls AlsoFor(Wall wall) => wall == Wall.Cgroup ? JailWalls.DiskRates : JailWalls.None;

    /// <exception cref="UsageException">The host did not let a required wall be built.</exception>
    public static void Check(IEnumerable<Sourced<Wall>> required, BuiltJail jail)
    {
        foreach (Sourced<Wall> wall in required)
            if ((For(wall.Value) & ~jail.Walls) != JailWalls.None
                || (AlsoFor(wall.Value) & jail.Missing) != JailWalls.None)
                throw new UsageException(
                    $"{wall.Span}: the policy requires the wall {Walls.Names[(int)wall.Value]}, which this host does "
                        + $"not let the caller build ({jail.Reason}); see sandbox doctor");
    }

    /// <summary>Holds what was read back to them: what cannot be read does not stand.</summary>
    /// <returns>The first that the kernel does not show, for people; null when it shows all.</returns>
    public static string? NotConfirmed(IEnumerable<Sourced<Wall>> required, IReadOnlyList<FactLine> lines)
    {
        foreach (Sourced<Wall> wall in required)
        {
            JailWalls needed = For(wall.Value) ?? JailWalls.None;
            JailWalls looked = needed | AlsoFor(wall.Value);
            FactLine? fault =
                lines.FirstOrDefault(line => (line.Wall & looked) != 0 && line.Verdict != FactVerdict.Holds);
            JailWalls shown = lines.Aggregate(JailWalls.None, (all, line) => all | line.Wall);
            if (fault is null && (needed & ~shown) == JailWalls.None)
                continue;
            string what = fault is null
                ? $"{WallNames.Of(needed & ~shown)}: nothing was read"
                : $"{fault.Name}: "
                    + (fault.Verdict == FactVerdict.CannotBeRead ? $"cannot be read, {fault.Advice}" : fault.Found)
                    + $", expected {fault.Expected}";
            return $"{wall.Span}: the policy requires the wall {Walls.Names[(int)wall.Value]}, which does not stand as "
                + $"the kernel shows it ({what}); "
                + "the guest was stopped before its first instruction";
        }

        return null;
    }
}
