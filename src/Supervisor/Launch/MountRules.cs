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
    /// <param name="kernelMounts">
    /// Where the host has such file systems, with their types; asked only for folders.
    /// </param>
    public static void Check(
        MountArgument mount, FileDescriptor source, string real, bool directory,
        Func<IEnumerable<(string Path, string Type)>> kernelMounts)
    {
        if (KernelFileSystems.IsOne(source))
            throw Refusal(mount, "belongs to a file system of the kernel; mount ordinary folders only");
        // A folder in memory, as /dev often is, cannot be told by its type.
        if (GuestPath.IsWithin(real, "/dev") && !(real != "/dev/shm" && GuestPath.IsWithin(real, "/dev/shm")))
            throw Refusal(mount, "is where the host keeps its devices; mount ordinary folders only");
        if (!directory)
            return;
        foreach ((string path, string type) in kernelMounts())
            if (GuestPath.IsWithin(path, real))
                throw Refusal(mount, $"holds {Quote.Value(path)}, a file system of the kernel ({type}); mount the "
                    + "folders you need one by one");
    }

    static UsageException Refusal(MountArgument mount, string why) =>
        new($"{mount.Origin}: {Quote.Value(mount.Host)} {why}");
}
