using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>Where this process's own group is in a hierarchy, of those that control something of use.</summary>
/// <param name="Top">Where the hierarchy is mounted.</param>
/// <param name="Own">This process's group, below it or the same.</param>
/// <param name="Controllers">Version 1's; version 2 tells by folder.</param>
readonly record struct Hierarchy(bool IsVersionTwo, string Top, string Own, Controllers Controllers)
{
    const string Root = "/sys/fs/cgroup";

    /// <summary>
    /// Whether a folder lies where nobody but the kernel makes files, and root alone mounts: what a stranger names can
    /// be read there without opening a pipe or a device.
    /// </summary>
    public static bool IsBelowRoot(string folder) =>
        folder.StartsWith(Root + '/', StringComparison.Ordinal) && !folder.Split('/').Contains("..");

    /// <summary>Version 1's first, version 2's last.</summary>
    public static List<Hierarchy> Find(ICgroupFiles files)
    {
        List<Hierarchy> found = [];
        var mounts = new Lazy<CgroupMount[]>(() => [.. CgroupText.Mounts(files.Read("/proc/self/mountinfo") ?? "")]);
        foreach (CgroupMembership membership in CgroupText.Memberships(files.Read("/proc/self/cgroup") ?? ""))
            if (Locate(files, membership, mounts) is Hierarchy hierarchy)
                found.Add(hierarchy);
        return [.. found.OrderBy(hierarchy => hierarchy.IsVersionTwo)];
    }

    static Hierarchy? Locate(ICgroupFiles files, CgroupMembership membership, Lazy<CgroupMount[]> mounts)
    {
        bool two = membership.Names.Length == 0;
        Controllers controllers = CgroupText.Names(membership.Names);
        if (!two && controllers == Controllers.None)
            return null;
        long kind = two ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC;
        string path = membership.Path.TrimEnd('/');
        // Nearly every host has them where systemd puts them. Only others are asked for all their mounts, which can be
        // thousands.
        string[] usual = two
            ? [Root, Root + "/unified"]
            : [$"{Root}/{membership.Names.First(name => CgroupText.Names([name]) != Controllers.None)}"];
        foreach (string top in usual)
            if (files.FileSystem(top) == kind && (path.Length == 0 || files.FileSystem(top + path) == kind))
                return new Hierarchy(two, top, top + path, controllers);
        foreach (CgroupMount mount in mounts.Value)
        {
            if (mount.IsVersionTwo != two || (!two && !membership.Names.All(mount.Options.Contains)))
                continue;
            string root = mount.Root.TrimEnd('/'), top = mount.Place.TrimEnd('/');
            if (path != root && !path.StartsWith(root + '/', StringComparison.Ordinal))
                continue;
            string own = top + path[root.Length..];
            if (own.Length > 0 && files.FileSystem(own) == kind)
                return new Hierarchy(two, top, own, controllers);
        }

        return null;
    }
}
