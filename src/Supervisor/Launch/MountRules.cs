using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// What of the host is never shown to a guest, whatever the caller asks: the kernel's own file systems. Through the
/// host's /proc a guest could read the memory of the VMM that holds it.
/// </summary>
static class MountRules
{
    /// <param name="mounts">All of the host's.</param>
    /// <returns>That of the source; without a type where it cannot be seen.</returns>
    public static HostMount Check(
        MountArgument mount, FileDescriptor source, string real, bool directory, IReadOnlyList<HostMount> mounts)
    {
        // By its mount: not all such file systems have a number of their own.
        long id = HostMount.IdOf(source);
        HostMount own = mounts.FirstOrDefault(one => one.Id == id);
        if (own.Type is null ? !IsBelowRoot(id) : KernelFileSystems.IsOne(own.Type))
            throw Refusal(mount, "belongs to a file system of the kernel; mount ordinary folders only");
        // A folder in memory, as /dev often is, cannot be told by its type.
        if (GuestPath.IsWithin(real, "/dev") && !(real != "/dev/shm" && GuestPath.IsWithin(real, "/dev/shm")))
            throw Refusal(mount, "is where the host keeps its devices; mount ordinary folders only");
        if (!directory)
            return own;
        foreach (HostMount inside in mounts)
            if (KernelFileSystems.IsOne(inside.Type) && GuestPath.IsWithin(inside.Path, real))
                throw Refusal(mount, $"holds {Quote.Value(inside.Path)}, a file system of the kernel ({inside.Type}); "
                    + "mount the folders you need one by one");
        return own;
    }

    /// <summary>After a chroot(2) the list lacks one mount alone: that of the root's folder.</summary>
    static bool IsBelowRoot(long id)
    {
        using FileDescriptor root = FileDescriptor.Open("/", O_PATH | O_DIRECTORY);
        return HostMount.IdOf(root) == id;
    }

    static UsageException Refusal(MountArgument mount, string why) =>
        new($"{mount.Origin}: {Quote.Value(mount.Host)} {why}");
}
