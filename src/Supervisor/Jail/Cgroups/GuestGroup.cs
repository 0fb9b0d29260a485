using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>
/// The control group of one guest: the VMM's process and all that it starts, below the supervisor's own group and
/// apart from it. Made before the process, without limits; the limits come with the plan. A group in version 1 is one
/// folder in each hierarchy that serves; where both versions are mounted, in both.
/// </summary>
/// <remarks>The process enters version 1's folders by itself, before anything else; version 2's by clone3.</remarks>
sealed class GuestGroup : IDisposable
{
    /// <summary>How often a group that is still busy is tried again to be removed, a millisecond apart.</summary>
    const int RemovalTries = 200;

    /// <summary>How long <see cref="Pause"/> waits, in milliseconds.</summary>
    const int FreezeMilliseconds = 1_000;

    readonly ICgroupFiles _files;
    readonly List<GroupPart> _parts = [];
    readonly List<FileDescriptor> _entries = [];

    readonly GroupName _name;

    GuestGroup(ICgroupFiles files)
    {
        _files = files;
        _name = GroupName.Next(files);
    }

    /// <summary>Version 1's "tasks", opened for writing: whoever writes "0" there is in.</summary>
    public IReadOnlyList<FileDescriptor> Entries => _entries;

    /// <summary>Version 2's folder, for CLONE_INTO_CGROUP; null without.</summary>
    public FileDescriptor? Into { get; private set; }

    /// <summary>What the group controls.</summary>
    public Controllers Controllers => _parts.Aggregate(Controllers.None, (all, part) => all | part.Controllers);

    /// <summary>What keeps it from limiting memory, CPU and processes, for people; null when nothing does.</summary>
    public string? Lacks { get; private set; }

    /// <summary>The last limits that were set.</summary>
    public GroupLimits Limits { get; private set; }

    /// <summary>What it is in each hierarchy.</summary>
    public IReadOnlyList<GroupPart> Parts => _parts;

    /// <summary>Its folders on the host.</summary>
    public IEnumerable<string> Folders => _parts.Select(part => part.Folder);

    /// <summary>As much of a group as the host lets this process make; perhaps nothing.</summary>
    public static GuestGroup Create(ICgroupFiles files)
    {
        var group = new GuestGroup(files);
        try
        {
            group.Make(Hierarchy.Find(files));
            return group;
        }
        catch
        {
            group.Dispose();
            throw;
        }
    }

    void Make(List<Hierarchy> hierarchies)
    {
        Controllers missing = Controllers.Limits | Controllers.Freezer;
        foreach (Hierarchy tree in hierarchies)
        {
            if (!tree.IsVersionTwo)
                missing &= ~Add(new VersionOnePart(_files, tree.Own, _name.ToString(), tree.Controllers & missing));
            else if ((missing & Controllers.Limits) != 0)
                missing &= ~AddVersionTwo(tree, missing);
        }

        if ((missing & Controllers.Limits) != 0)
            Lacks ??= "no controller for " + string.Join(", ", CgroupText.NamesOf(missing & Controllers.Limits));
    }

    Controllers AddVersionTwo(Hierarchy tree, Controllers missing)
    {
        int error = DelegatedFolder.Find(_files, tree, missing & Controllers.Limits, _name.Supervisors,
            out string folder, out Controllers given);
        // Where version 1 has every controller, version 2's tree has none left to give.
        if (error == 0)
            return Add(new VersionTwoPart(_files, folder, _name.ToString(), given | (missing & Controllers.Freezer)));
        if (error != ENOENT)
            Lacks ??= $"{folder}: {Errno.Describe(error)}";
        return Controllers.None;
    }

    /// <returns>What it adds to the group.</returns>
    Controllers Add(GroupPart part)
    {
        if (part.Controllers == Controllers.None)
            return Controllers.None;
        int error = _files.MakeFolder(part.Folder);
        if (error == 0)
        {
            _parts.Add(part);
            error = part.OpenEntry(out FileDescriptor? entry);
            if (error == 0)
            {
                if (part is VersionTwoPart)
                    Into = entry;
                else
                    _entries.Add(entry!);
                return part.Controllers;
            }
        }

        Lacks ??= $"{part.Folder}: {Errno.Describe(-error)}";
        return Controllers.None;
    }

    /// <summary>Sets as many of the limits as the host lets it.</summary>
    /// <returns>What the host refused, now or before, for people; null when all hold.</returns>
    public string? Limit(in GroupLimits limits)
    {
        Limits = limits;
        foreach (GroupPart part in _parts)
            if (part.Limit(limits) is (string file, int error))
                Lacks ??= $"{part.Folder}/{file}: {Errno.Describe(error)}";
        return Lacks;
    }

    /// <summary>
    /// Holds the process in it to rates of disks. Few guests have any: only for these the group gets a part that
    /// controls disks, and the process is moved there.
    /// </summary>
    /// <returns>What the host refused, for people; null when all hold.</returns>
    public string? LimitDisks(IReadOnlyList<DiskRate> rates, int pid)
    {
        (GroupPart? part, string? lacks) = DiskPart(pid);
        return part?.Limit(rates) is (string file, int error)
            ? $"{part.Folder}/{file}: {Errno.Describe(error)}"
            : lacks;
    }

    (GroupPart? Part, string? Lacks) DiskPart(int pid)
    {
        int at = _parts.FindIndex(part => part is VersionTwoPart
            && CgroupText.Names(_files.Read($"{part.Parent}/cgroup.controllers")).HasFlag(Controllers.Io));
        if (at >= 0)
        {
            int error = DelegatedFolder.Give(_files, _parts[at].Parent, Controllers.Io);
            return error == 0
                ? (Controlling(at), null)
                : (null, Describe($"{_parts[at].Parent}/cgroup.subtree_control", error));
        }

        Hierarchy tree =
            Hierarchy.Find(_files).Find(tree => !tree.IsVersionTwo && tree.Controllers.HasFlag(Controllers.Io));
        if (tree.Own is null)
            return (null, "no controller for io");
        // One hierarchy may have several controllers.
        at = _parts.FindIndex(part => part.Parent == tree.Own);
        return at >= 0
            ? (Controlling(at), null)
            : AddDiskPart(new VersionOnePart(_files, tree.Own, _name.ToString(), Controllers.Io), pid);
    }

    /// <summary>A part that controls disks from now on.</summary>
    GroupPart Controlling(int at) =>
        _parts[at] = _parts[at] with { Controllers = _parts[at].Controllers | Controllers.Io };

    (GroupPart? Part, string? Lacks) AddDiskPart(VersionOnePart part, int pid)
    {
        int error = _files.MakeFolder(part.Folder);
        if (error != 0)
            return (null, Describe(part.Folder, error));
        _parts.Add(part);
        error = part.Add(pid);
        return error == 0 ? (part, null) : (null, Describe($"{part.Folder}/cgroup.procs", error));
    }

    static string Describe(string path, int error) => $"{path}: {Errno.Describe(-error)}";

    /// <summary>
    /// Has every process in it stand still, all at one time and so that each still dies of SIGKILL: nothing outlives
    /// its supervisor. What version 1 has frozen would not die; there each is sent SIGSTOP while all are frozen, and
    /// none runs an instruction between that and the thaw. A group of version 2 with a thread of the kernel's in it, as
    /// KVM puts there before Linux 6.14, freezes but is never said to be frozen: there each process is sent SIGSTOP
    /// too.
    /// </summary>
    /// <param name="stopVmm">Sends the VMM SIGSTOP, seen or hidden: /proc does not show everybody every process.</param>
    /// <returns>
    /// 0, or a negative error number with all going on: -ENODEV without a freezer, -ETIMEDOUT when they did not freeze
    /// in a second.
    /// </returns>
    public int Pause(Action stopVmm)
    {
        if (Freezer is not GroupPart part)
            return -ENODEV;
        bool isTold = part is VersionOnePart || !part.MayHaveKernelThread;
        int error = isTold ? Freeze(part) : part.Freeze(true);
        if (error != 0)
        {
            part.Freeze(false);
            return error;
        }

        if (part is VersionTwoPart && isTold)
            return 0;
        stopVmm();
        part.Signal(SIGSTOP);
        return part.Freeze(false);
    }

    static int Freeze(GroupPart part)
    {
        int error = part.Freeze(true);
        for (int waited = 0; error == 0 && !part.IsFrozen; waited++)
        {
            if (waited == FreezeMilliseconds)
                return -ETIMEDOUT;
            Thread.Sleep(1);
            // A process that was just starting another one may have to be told again: freezer-subsystem.rst.
            if (part is VersionOnePart)
                error = part.Freeze(true);
        }

        return error;
    }

    /// <summary>Lets them go on.</summary>
    /// <returns>0 or a negative error number.</returns>
    public int Resume()
    {
        if (Freezer is not GroupPart part)
            return -ENODEV;
        int error = part.Freeze(false);
        part.Signal(SIGCONT);
        return error;
    }

    GroupPart? Freezer => _parts.Find(part => part.Controllers.HasFlag(Controllers.Freezer));

    /// <summary>Until the group is removed.</summary>
    public GroupUsage Usage
    {
        get
        {
            GroupUsage all = default;
            foreach (GroupPart part in _parts)
                all = part.Usage.And(all);

            return all;
        }
    }

    /// <summary>Removes what supervisors that were killed have left beside it.</summary>
    public void RemoveAbandoned()
    {
        foreach (GroupPart part in _parts)
            AbandonedGroups.Remove(_files, part.Parent);
    }

    /// <summary>No process enters it any more through what was opened.</summary>
    public void CloseEntries()
    {
        _entries.ForEach(entry => entry.Dispose());
        _entries.Clear();
        Into?.Dispose();
        Into = null;
    }

    /// <summary>
    /// Removes it. Whatever is still in it is killed: nothing, where the VMM had a PID namespace. A group that stays
    /// busy is left to those who come later.
    /// </summary>
    public void Dispose()
    {
        CloseEntries();
        // The first one last: it is by this that a removal which was interrupted is noticed.
        for (int i = _parts.Count - 1; i >= 0; i--)
            Remove(_parts[i]);
        _parts.Clear();
    }

    /// <summary>Kills what is in a group's folder, and removes it.</summary>
    /// <param name="mostTries">If it is still busy, a millisecond apart.</param>
    /// <returns>0 or a negative error number: -EBUSY when that took too long.</returns>
    public static int Remove(GroupPart part, int mostTries = RemovalTries)
    {
        int error;
        for (int tries = 0; (error = part.Files.RemoveFolder(part.Folder)) == -EBUSY && tries < mostTries; tries++)
        {
            part.Kill();
            Thread.Sleep(1);
        }

        return error;
    }
}
