using Sandbox.Host;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>Removes what supervisors that were killed have left. Their guests died with them.</summary>
static class Leftovers
{
    /// <summary>Folders that a start looks at: it must not take longer the more sandboxes there are.</summary>
    const int LooksAtStart = 8;

    /// <summary>
    /// A few of them, by chance; again and again that is all. What was to be kept is kept.
    /// </summary>
    public static void RemoveSome(string path, FileDescriptor place, SandboxId own)
    {
        SandboxId[] ids = [.. StateList.Ids(path).Where(id => id != own)];
        // The own ID is as good a die as any.
        int at = ids.Length == 0 ? 0 : (int)(own.Value % (ulong)ids.Length);
        for (int i = 0; i < Math.Min(ids.Length, LooksAtStart); i++)
            Remove(place, ids[(at + i) % ids.Length], keptToo: false);
    }

    /// <summary>Removes one, unless it runs.</summary>
    /// <param name="keptToo">
    /// The records and outputs, too, that were to be kept. Whoever asks for that can wait for what is still dying.
    /// </param>
    /// <returns>0, or a negative error number: -EBUSY when it runs.</returns>
    public static int Remove(FileDescriptor place, SandboxId id, bool keptToo)
    {
        int refused = StateFolder.TryOpen(place, id, out StateFolder? folder);
        if (refused != 0)
            return refused == -ENOENT ? 0 : refused;
        using (folder)
        {
            if (!folder!.TryTake())
                return -EBUSY;
            SandboxRecord? record = folder.Read();
            int error = 0;
            // A supervisor may have been killed while version 1's freezer held its guest: what is thawed can die.
            foreach (RecordedGroup group in (record?.Groups ?? []).OrderByDescending(
                group => group.Controllers.HasFlag(Controllers.Freezer)))
                if (Remove(group, HostCgroupFiles.Instance, patient: keptToo) is < 0 and int failure)
                    error = failure;
            if (record?.Socket is RecordedSocket socket
                && SocketFile.Remove(socket.Path, socket.Inode, abandonedOnly: true) is < 0 and int left)
                error = left;
            if (error == 0 && (keptToo || record is null or { IsKept: false }))
                error = folder.Remove();
            return error;
        }
    }

    /// <summary>
    /// Removes groups where this process would make its own, of supervisors that did not get as far as a record.
    /// </summary>
    public static void RemoveGroups()
    {
        foreach (Hierarchy tree in Hierarchy.Find(HostCgroupFiles.Instance))
        {
            AbandonedGroups.Remove(HostCgroupFiles.Instance, tree.Own);
            if (tree.IsVersionTwo && tree.Own != tree.Top)
                AbandonedGroups.Remove(HostCgroupFiles.Instance, tree.Own[..tree.Own.LastIndexOf('/')]);
        }
    }

    /// <summary>A record may say anything: only a group whose maker is gone is touched.</summary>
    /// <param name="patient">Wait for what is in it to die.</param>
    internal static int Remove(RecordedGroup group, ICgroupFiles files, bool patient = true)
    {
        if (files.FileSystem(group.Folder) is not (CGROUP_SUPER_MAGIC or CGROUP2_SUPER_MAGIC))
            return 0;
        GroupPart part = group.Open(files);
        return GroupName.Parse(part.Name) is GroupName name && name.IsAbandoned(files)
            ? patient ? GuestGroup.Remove(part) : GuestGroup.Remove(part, mostTries: 1)
            : 0;
    }
}
