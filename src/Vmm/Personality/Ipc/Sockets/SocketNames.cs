using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// Paths of sockets: bind(2) makes a socket inode and ties the socket to it. The name outlives the socket; connecting
/// to it is then refused.
/// </summary>
static class SocketNames
{
    private const uint AllPermissions = 0x1ff;

    /// <returns>0, -EADDRINUSE (the path exists), or what making a node answers.</returns>
    public static long Bind(GuestThread thread, ReadOnlySpan<byte> path, UnixSocket socket)
    {
        long result = VirtualFileSystem.Start(thread, AT_FDCWD, path, out Dentry start);
        if (result != 0)
            return result;
        result = VirtualFileSystem.MakeNode(
            Caller.Of(thread), start, path, S_IFSOCK | AllPermissions, out Dentry? node);
        if (result != 0)
            return result == -EEXIST ? -EADDRINUSE : result;
        if (node!.Inode is not ISpecialInode inode)
            return -EOPNOTSUPP;
        inode.Attachment = socket;
        return 0;
    }

    /// <summary>The socket that a path leads to, with a reference.</summary>
    /// <returns>0, -ECONNREFUSED (no socket there, or a closed one), or what walking the path answers.</returns>
    public static long Find(GuestThread thread, ReadOnlySpan<byte> path, out UnixSocket? socket)
    {
        socket = null;
        long result = VirtualFileSystem.Start(thread, AT_FDCWD, path, out Dentry start);
        if (result != 0)
            return result;
        Caller caller = Caller.Of(thread);
        result = VirtualFileSystem.Resolve(caller, start, path, WalkFlags.Follow, out Dentry? target);
        if (result != 0)
            return result;
        result = VirtualFileSystem.CheckAccess(caller, target!, W_OK);
        if (result != 0)
            return result;
        if (target!.Inode is not ISpecialInode { Attachment: UnixSocket found } || !found.TryAcquire())
            return -ECONNREFUSED;
        socket = found;
        return 0;
    }
}
