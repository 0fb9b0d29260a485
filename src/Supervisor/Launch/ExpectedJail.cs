using System.Globalization;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>What the kernel is to tell of a VMM, put together by the supervisor that starts it.</summary>
static class ExpectedJail
{
    /// <param name="descriptors">In the plan's order, as they are sent.</param>
    public static JailExpectation Of(VmmProcess vmm, PlannedLaunch launch, ReadOnlySpan<FileDescriptor> descriptors)
    {
        int error = ProcessFiles.TryOpen(Environment.ProcessId, out ProcessFiles? files);
        if (error != 0)
            throw new HostException(-error, "open", "/proc/self", "mount /proc");
        using (files)
        {
            BuiltJail jail = vmm.Jail;
            bool own = jail.Walls.HasFlag(JailWalls.OwnUser), isRoot = geteuid() == 0;
            uint supervisors = VmmUser.Of(Environment.ProcessId);
            return new JailExpectation
            {
                Supervisor = Environment.ProcessId,
                Wanted = JailedProgram.Offered(isRoot) | ((jail.Walls | jail.Missing) & JailWalls.DiskRates),
                Told = jail.Reason,
                HostNamespaces = Namespaces.Known(files!),
                User = isRoot ? supervisors : geteuid(),
                Group = isRoot ? supervisors : getegid(),
                OomScore = files!.Read("oom_score_adj").Is(out string? score)
                    && int.TryParse(score, CultureInfo.InvariantCulture, out int adjustment) ? adjustment : 0,
                Groups =
                    [.. (vmm.Group?.Parts ?? []).Select(part => new ExpectedGroup(part.Folder, [.. part.Written]))],
                Descriptors = [.. Given(files, vmm), .. Granted(files, launch, descriptors, own)],
                HasNetwork = launch.Plan.Network is not null
                    || launch.Plan.Machine is { Agent: true } or { Vsock: >= 0 },
                HasKeyring = JailScript.HostHasKeys,
                HasDenyWriteExecute = KernelWalls.HasDenyWriteExecute,
                Filters = 1,
            };
        }
    }

    /// <summary>What every VMM is born with.</summary>
    static List<ExpectedDescriptor> Given(ProcessFiles files, VmmProcess vmm)
    {
        List<ExpectedDescriptor> given = [];
        foreach ((string name, string path) in ((string, string)[])[("nothing", "/dev/null"), ("KVM", "/dev/kvm")])
        {
            int error = FileDescriptor.TryOpen(path, O_PATH, 0, out FileDescriptor? device);
            if (error != 0)
                continue;
            using (device)
                Add(given, files, name, device!.Value, path: null, isFolder: false, writable: true);
        }

        Add(given, files, "standard error", STDERR_FILENO, path: null, isFolder: false, writable: true);
        // Its end of the channel is in the file system that this end is in.
        if (FactReader.Descriptor(files, vmm.Channel.Socket.Value) is DescriptorFacts near)
            given.Add(new ExpectedDescriptor(
                "channel", near.Mount, vmm.ChannelInode, null, IsFolder: false, Writable: true));
        return given;
    }

    static List<ExpectedDescriptor> Granted(
        ProcessFiles files, PlannedLaunch launch, ReadOnlySpan<FileDescriptor> descriptors, bool own)
    {
        List<ExpectedDescriptor> granted = [];
        for (int i = 0; i < descriptors.Length; i++)
        {
            int index = i;
            GuestFile? file = Array.Find(
                launch.Plan.Files, file => file.Kind == GuestFileKind.Host && file.Descriptor == index);
            bool isFolder = descriptors[i].GetStatus(out stat status) == 0 && S_ISDIR(status.st_mode);
            // With a user of its own it holds folders as mounts that are attached nowhere: nothing else is in them.
            string? path = isFolder && !own ? HostTree.PathOf(descriptors[i]) : null;
            Add(granted, files, file?.Path ?? launch.Grants[i].ToString(), descriptors[i].Value, path,
                isFolder && file is not null, file?.Writable ?? true);
        }

        return granted;
    }

    static void Add(
        List<ExpectedDescriptor> all, ProcessFiles files, string name, int number, string? path, bool isFolder,
        bool writable)
    {
        if (FactReader.Descriptor(files, number) is DescriptorFacts facts)
            all.Add(new ExpectedDescriptor(name, facts.Mount, facts.Inode, path, isFolder, writable));
    }
}
