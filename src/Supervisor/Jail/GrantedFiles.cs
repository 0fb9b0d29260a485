using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>
/// Granted folders and files as a VMM with a user of its own gets them: each a mount that is attached nowhere, so that
/// nothing is above it, which the kernel itself keeps read-only, and in which its owner and the VMM are one.
/// </summary>
sealed class GrantedFiles : IDisposable
{
    readonly List<FileDescriptor> _owned = [];
    readonly Dictionary<(uint, uint), FileDescriptor> _maps = [];

    /// <summary>The plan's descriptors, those of granted folders and files replaced.</summary>
    public FileDescriptor[] Descriptors { get; }

    /// <summary>What could not be done; null when all was.</summary>
    public string? Failure { get; private set; }

    /// <param name="descriptors">In the plan's order; they stay the caller's.</param>
    /// <param name="isSystem">
    /// Whether a descriptor is of the host's system, where root owns everything and the VMM nothing.
    /// </param>
    public GrantedFiles(LaunchPlan plan, FileDescriptor[] descriptors, Func<int, bool> isSystem, uint vmm)
    {
        Descriptors = [.. descriptors];
        foreach (GuestFile file in plan.Files)
        {
            if (file.Kind != GuestFileKind.Host)
                continue;
            int error = Replace(file, !isSystem(file.Descriptor), vmm);
            if (error == 0)
                continue;
            Failure = $"giving the VMM {file.Path} as a user of its own: {Errno.Describe(-error)}";
            return;
        }
    }

    int Replace(GuestFile file, bool own, uint vmm)
    {
        FileDescriptor granted = Descriptors[file.Descriptor];
        int error = granted.GetStatus(out stat status);
        bool isFolder = S_ISDIR(status.st_mode);
        if (error != 0 || (!isFolder && !own))
            return error;
        FileDescriptor? owners = null;
        if (own && (error = Owners(status, vmm, out owners)) != 0)
            return error;
        error = DetachedMount.TryCopy(granted, file.Writable, owners, out FileDescriptor? copy);
        if (error != 0)
            return error;
        _owned.Add(copy!);
        if (!isFolder)
        {
            int access = file.Writable ? O_RDWR : O_RDONLY;
            error = copy!.TryReopen(access | O_NOCTTY, out copy);
            if (error != 0)
                return error;
            _owned.Add(copy!);
        }

        Descriptors[file.Descriptor] = copy!;
        return 0;
    }

    int Owners(in stat granted, uint vmm, out FileDescriptor? owners)
    {
        if (_maps.TryGetValue((granted.st_uid, granted.st_gid), out owners))
            return 0;
        int error = OwnerMap.TryCreate(granted.st_uid, granted.st_gid, vmm, out owners);
        if (error != 0)
            return error;
        _owned.Add(owners!);
        _maps.Add((granted.st_uid, granted.st_gid), owners!);
        return 0;
    }

    public void Dispose()
    {
        foreach (FileDescriptor descriptor in _owned)
            descriptor.Dispose();
    }
}
