using Sandbox.Supervisor.Jail.Cgroups;

namespace Sandbox.Supervisor.Launch;

/// <summary>The limits of the control groups that this process is in: cgroups(7), both versions.</summary>
static class ControlGroups
{
    const string Root = "/sys/fs/cgroup";

    /// <summary>The least memory limit of the groups above this process in bytes; ulong.MaxValue without.</summary>
    public static ulong MemoryLimit() =>
        MemoryLimit(HostCgroupFiles.Instance.Read("/proc/self/cgroup") ?? "", HostCgroupFiles.Instance.Read);

    /// <param name="memberships">As /proc/self/cgroup has them, one "hierarchy:controllers:path" a line.</param>
    /// <param name="read">The content of a file, or null when it cannot be read.</param>
    public static ulong MemoryLimit(string memberships, Func<string, string?> read)
    {
        ulong least = ulong.MaxValue;
        foreach (CgroupMembership membership in CgroupText.Memberships(memberships))
        {
            bool unified = membership.Names.Length == 0;
            if (!unified && !CgroupText.Names(membership.Names).HasFlag(Controllers.Memory))
                continue;
            (string top, string file) = unified ? (Root, "memory.max") : (Root + "/memory", "memory.limit_in_bytes");
            // In a container the path may be the host's, and only the container's own group is there: at the top.
            for (string path = membership.Path.TrimEnd('/'); ; path = path[..path.LastIndexOf('/')])
            {
                // Version 2 writes "max" for none, version 1 a number near the largest.
                if (CgroupText.Number(read($"{top}{path}/{file}")) is ulong limit)
                    least = Math.Min(least, limit);
                if (path.Length == 0)
                    break;
            }
        }

        return least;
    }
}
