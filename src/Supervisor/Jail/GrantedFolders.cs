using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>
/// The granted folders as a VMM with a user of its own gets them: each a mount that is attached nowhere, so that nothing
/// is above it, which the kernel itself keeps read-only, and in which the folder's owner and the VMM are one.
/// </summary>
sealed class GrantedFolders : IDisposable
{
    readonly List<FileDescriptor> _owned = [];
    readonly Dictionary<(uint, uint), FileDescriptor> _maps = [];

    /// <summary>The plan's descriptors, folders replaced.</summary>
    public FileDescriptor[] Descriptors { get; }

    /// <summary>What could not be done; null when all was.</summary>
    public string? Failure { get; private set; }

    /// <param name="descriptors">In the plan's order; they stay the caller's.</param>
    /// <param name="systemFolders">Those in which root owns everything and the VMM nothing.</param>
    public GrantedFolders(LaunchPlan plan, FileDescriptor[] descriptors, Func<int, bool> systemFolders, uint vmm)
    {
        Descriptors = [.. descriptors];
        foreach (GuestFile file in plan.Files)
        {
            if (file.Kind != GuestFileKind.Host)
                continue;
            int error = Replace(file, !systemFolders(file.Descriptor), vmm);
            if (error == 0)
                continue;
            Failure = $"giving the VMM {file.Path} as a user of its own: {Errno.Describe(-error)}";
            return;
        }
    }

    int Replace(GuestFile file, bool own, uint vmm)
    {
        FileDescriptor folder = Descriptors[file.Descriptor];
        int error = folder.GetStatus(out stat status);
        if (error != 0 || !S_ISDIR(status.st_mode))
            return error;
        FileDescriptor? owners = null;
        if (own && (error = Owners(status, vmm, out owners)) != 0)
            return error;
        error = DetachedMount.TryCopy(folder, file.Writable, owners, out FileDescriptor? copy);
        if (error != 0)
            return error;
        _owned.Add(copy!);
        Descriptors[file.Descriptor] = copy!;
        return 0;
    }

    int Owners(in stat folder, uint vmm, out FileDescriptor? owners)
    {
        if (_maps.TryGetValue((folder.st_uid, folder.st_gid), out owners))
            return 0;
        int error = OwnerMap.TryCreate(folder.st_uid, folder.st_gid, vmm, out owners);
        if (error != 0)
            return error;
        _owned.Add(owners!);
        _maps.Add((folder.st_uid, folder.st_gid), owners!);
        return 0;
    }

    public void Dispose()
    {
        foreach (FileDescriptor descriptor in _owned)
            descriptor.Dispose();
    }
}
