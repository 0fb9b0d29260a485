using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>
/// Version 2's folder for guests' groups. A group that gives its controllers to groups below it may hold no process
/// itself (the root apart), and the supervisor is in its own.
/// </summary>
static class DelegatedFolder
{
    /// <summary>
    /// The supervisor's own group, if it may give its controllers away; if the supervisor is alone there, it moves to a
    /// group below; else the group above, which has given them already: the same limits hold from there up.
    /// </summary>
    /// <param name="wanted">Controllers that no other hierarchy has.</param>
    /// <param name="supervisors">The group below, should it be needed.</param>
    /// <param name="given">Which of them groups in the folder get.</param>
    /// <returns>0, or the error number of what stands in the way.</returns>
    public static int Find(
        ICgroupFiles files, Hierarchy tree, Controllers wanted, GroupName supervisors, out string folder,
        out Controllers given)
    {
        string own = tree.Own;
        folder = own;
        given = CgroupText.Names(files.Read($"{own}/cgroup.controllers")) & wanted;
        if (given == Controllers.None)
            return ENOENT;
        int error = Give(files, own, given);
        if (error == -EBUSY && IsAlone(files, own, supervisors.Pid))
            error = MoveBelow(files, own, given, supervisors);
        if (error == 0)
            return 0;
        if (own == tree.Top)
            return -error;
        folder = own[..own.LastIndexOf('/')];
        given = CgroupText.Names(files.Read($"{folder}/cgroup.subtree_control")) & wanted;
        return given == Controllers.None ? -error : 0;
    }

    /// <summary>Lets groups in a folder have controllers that the folder has.</summary>
    /// <returns>0 or a negative error number: -ENOENT when it does not have them.</returns>
    public static int Give(ICgroupFiles files, string folder, Controllers controllers)
    {
        string file = $"{folder}/cgroup.subtree_control";
        Controllers missing = controllers & ~CgroupText.Names(files.Read(file));
        return missing == Controllers.None
            ? 0
            : files.Write(file, string.Join(' ', CgroupText.NamesOf(missing).Select(name => "+" + name)));
    }

    static bool IsAlone(ICgroupFiles files, string folder, int pid) =>
        CgroupText.Processes(files.Read($"{folder}/cgroup.procs")).SequenceEqual([pid]);

    static int MoveBelow(ICgroupFiles files, string own, Controllers controllers, GroupName supervisors)
    {
        string below = $"{own}/{supervisors}";
        int error = files.MakeFolder(below);
        if (error != 0)
            return error;
        error = files.Write($"{below}/cgroup.procs", "0");
        if (error == 0)
            error = Give(files, own, controllers);
        if (error == 0)
            return 0;
        // Another process has come in between.
        files.Write($"{own}/cgroup.procs", "0");
        files.RemoveFolder(below);
        return error;
    }
}
