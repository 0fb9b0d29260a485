using Sandbox.Policy.Language;

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

    /// <exception cref="UsageException">The host did not let a required wall be built.</exception>
    public static void Check(IEnumerable<Sourced<Wall>> required, BuiltJail jail)
    {
        foreach (Sourced<Wall> wall in required)
            if ((For(wall.Value) & ~jail.Walls) != JailWalls.None)
                throw new UsageException(
                    $"{wall.Span}: the policy requires the wall {Walls.Names[(int)wall.Value]}, which this host does not let the caller build ({jail.Reason}); see sandbox doctor");
    }
}
