namespace Sandbox.Supervisor.Jail;

/// <summary>What people call walls.</summary>
static class WallNames
{
    /// <summary>In the order in which they are told.</summary>
    public static (JailWalls Wall, string Name)[] All { get; } =
    [
        (JailWalls.User, "user namespace"), (JailWalls.Pid, "PID namespace"), (JailWalls.Root, "empty root"),
        (JailWalls.Network, "network namespace"), (JailWalls.Ipc, "IPC namespace"), (JailWalls.Uts, "UTS namespace"),
        (JailWalls.Cgroup, "cgroup namespace"), (JailWalls.Time, "time namespace"),
        (JailWalls.Capabilities, "capabilities"),
        (JailWalls.NoNewPrivileges, "no new privileges"), (JailWalls.Limits, "limits"),
        (JailWalls.Landlock, "Landlock"),
        (JailWalls.OwnUser, "a user of its own"),
        (JailWalls.CgroupLimits, "control group"),
        (JailWalls.DiskRates, "rates of disks"),
        (JailWalls.Seccomp, "seccomp filter"),
    ];

    public static IEnumerable<string> Each(JailWalls walls) =>
        All.Where(name => walls.HasFlag(name.Wall)).Select(name => name.Name);

    public static string Of(JailWalls walls) => string.Join(", ", Each(walls));
}
