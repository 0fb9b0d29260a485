namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>
/// Removes the groups of supervisors that were killed: their guests died with them, and the groups are empty. A group
/// that holds a process is never removed: the kernel refuses that.
/// </summary>
static class AbandonedGroups
{
    /// <param name="parent">The folder in which supervisors make groups.</param>
    public static void Remove(ICgroupFiles files, string parent)
    {
        foreach (string folder in files.Folders(parent))
            if (GroupName.Parse(folder) is GroupName name && name.IsAbandoned(files))
                files.RemoveFolder($"{parent}/{folder}");
    }
}
