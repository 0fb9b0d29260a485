using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>
/// Makes the owner of a granted folder and the VMM's user one: what the owner has in it, the VMM may use as its own,
/// and what it makes there is the owner's. Everybody else stays who they are.
/// </summary>
static class OwnerMap
{
    /// <summary>The lines of a uid_map or gid_map: owners in the file system, how they appear, how many.</summary>
    public static string Text(uint owner, uint vmm)
    {
        var lines = new StringBuilder();
        (uint low, uint high) = owner < vmm ? (owner, vmm) : (vmm, owner);
        Add(0, low);
        if (low != high)
            Add(low + 1, high - low - 1);
        // The last number is no user's.
        Add(high + 1, uint.MaxValue - high - 1);
        return lines.Append($"{owner} {vmm} 1\n").ToString();

        void Add(uint first, uint count)
        {
            if (count > 0)
                lines.Append($"{first} {first} {count}\n");
        }
    }

    /// <summary>A user namespace with such maps, by its descriptor; no process stays in it.</summary>
    /// <returns>0 or a negative error number.</returns>
    /// <exception cref="HostException">The host has no memory left.</exception>
    public static int TryCreate(uint user, uint group, uint vmm, out FileDescriptor? space)
    {
        space = null;
        using ChildScript script = new();
        script.AddEndWithParent();
        script.AddHold();
        int error = script.Start(CLONE_NEWUSER, cgroup: -1, out int pid, out FileDescriptor? pidfd);
        if (error != 0)
            return error;
        using (pidfd)
        {
            error = NamespaceMaps.TryWrite(pid, "uid_map", Text(user, vmm));
            if (error == 0)
                error = NamespaceMaps.TryWrite(pid, "gid_map", Text(group, vmm));
            if (error == 0)
                error = FileDescriptor.TryOpenMagicLink($"/proc/{pid}/ns/user", O_RDONLY, out space);
            pidfd_send_signal(pidfd!.Value, SIGKILL);
            script.WaitUntilGone();
            HostProcess.Reap(pid);
        }

        return error;
    }
}
