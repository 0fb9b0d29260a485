namespace Sandbox.Supervisor.Launch;

/// <summary>The limits of the control groups that this process is in: cgroups(7), both versions.</summary>
static class ControlGroups
{
    const string Root = "/sys/fs/cgroup";

    /// <summary>The least memory limit of the groups above this process in bytes; ulong.MaxValue without.</summary>
    public static ulong MemoryLimit() => MemoryLimit(Read("/proc/self/cgroup") ?? "", Read);

    /// <param name="memberships">As /proc/self/cgroup has them, one "hierarchy:controllers:path" a line.</param>
    /// <param name="read">The content of a file, or null when it cannot be read.</param>
    public static ulong MemoryLimit(string memberships, Func<string, string?> read)
    {
        ulong least = ulong.MaxValue;
        foreach (string line in memberships.Split('\n'))
        {
            string[] parts = line.Split(':', 3);
            if (parts.Length < 3 || !parts[2].StartsWith('/'))
                continue;
            bool unified = parts[1].Length == 0;
            if (!unified && !parts[1].Split(',').Contains("memory"))
                continue;
            (string top, string file) = unified ? (Root, "memory.max") : (Root + "/memory", "memory.limit_in_bytes");
            // In a container the path may be the host's, and only the container's own group is there: at the top.
            for (string path = parts[2].TrimEnd('/'); ; path = path[..path.LastIndexOf('/')])
            {
                // Version 2 writes "max" for none, version 1 a number near the largest.
                if (ulong.TryParse(read($"{top}{path}/{file}")?.Trim(), out ulong limit))
                    least = Math.Min(least, limit);
                if (path.Length == 0)
                    break;
            }
        }

        return least;
    }

    static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception missing) when (missing is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
