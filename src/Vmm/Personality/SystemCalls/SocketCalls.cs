using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>
/// Sockets: making and connecting them here, messages and options in the other parts. There are Unix sockets only. A
/// guest has no network, and socket(2) says so with EAFNOSUPPORT for every other family, as a kernel built without
/// it would: the C library's resolver, Python and git take that for "no such protocol" and go on.
/// </summary>
static partial class SocketCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_socket, "socket", Socket, "flags:AF flags:SOCK int");
        table.Add(SYS_socketpair, "socketpair", SocketPair, "flags:AF flags:SOCK int ptr");
        table.Add(SYS_bind, "bind", Bind, "fd ptr size");
        table.Add(SYS_listen, "listen", Listen, "fd int");
        table.Add(SYS_accept, "accept", Accept, "fd ptr ptr");
        table.Add(SYS_accept4, "accept4", Accept4, "fd ptr ptr flags:SOCK");
        table.Add(SYS_connect, "connect", Connect, "fd ptr size");
        table.Add(SYS_getsockname, "getsockname", GetSockName, "fd ptr ptr");
        table.Add(SYS_getpeername, "getpeername", GetPeerName, "fd ptr ptr");
        table.Add(SYS_shutdown, "shutdown", Shutdown, "fd flags:SHUT");
        RegisterMessages(table);
        RegisterOptions(table);
    }

    /// <summary>The socket behind a descriptor.</summary>
    /// <returns>0, -EBADF or -ENOTSOCK.</returns>
    private static long Acquire(GuestThread thread, int descriptor, out UnixSocket socket)
    {
        OpenFile? file = thread.Descriptors.Acquire(descriptor);
        socket = (file as UnixSocket)!;
        if (socket is not null)
            return 0;
        if (file is null)
            return -EBADF;
        bool pathOnly = (file.StatusFlags & O_PATH) != 0;
        file.Release();
        return pathOnly ? -EBADF : -ENOTSOCK;
    }

    private static long Create(GuestThread thread, int type, out UnixSocket? socket)
    {
        socket = null;
        LinuxPersonality personality = thread.Personality;
        if (!personality.KernelMemory.TryReserve(KernelMemory.ObjectCost))
            return -ENFILE;
        int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
        socket = new UnixSocket(
            personality.Sockets, personality.CreateInode(thread, Devices.Sockets),
            kind == SOCK_RAW ? SOCK_DGRAM : kind, (type & SOCK_NONBLOCK) != 0);
        return 0;
    }

    private static long CheckKind(int family, int type, int protocol)
    {
        int kind = type & 0xf;
        if ((type & ~(0xf | SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0)
            return -EINVAL;
        if (kind is 0 or > SOCK_PACKET)
            return -EINVAL;
        if (family != AF_UNIX)
            return -EAFNOSUPPORT;
        if (protocol != 0 && protocol != AF_UNIX)
            return -EPROTONOSUPPORT;
        // Raw is datagram here, for programs older than SOCK_DGRAM on Unix sockets.
        return kind is SOCK_STREAM or SOCK_DGRAM or SOCK_RAW or SOCK_SEQPACKET ? 0 : -ESOCKTNOSUPPORT;
    }

    private static long Socket(GuestThread thread, in SystemCallArguments a)
    {
        long result = CheckKind(a.Int0, a.Int1, a.Int2);
        if (result != 0)
            return result;
        result = Create(thread, a.Int1, out UnixSocket? socket);
        return result != 0 ? result : InputOutputCalls.Install(thread, socket!, (a.Int1 & SOCK_CLOEXEC) != 0);
    }

    private static long SocketPair(GuestThread thread, in SystemCallArguments a)
    {
        long result = CheckKind(a.Int0, a.Int1, a.Int2);
        if (result != 0)
            return result;
        result = Create(thread, a.Int1, out UnixSocket? first);
        if (result != 0)
            return result;
        result = Create(thread, a.Int1, out UnixSocket? second);
        if (result != 0)
        {
            first!.Release();
            return result;
        }
        UnixSocket.Pair(first!, second!, UnixSocket.CredentialsOf(thread));
        return InputOutputCalls.InstallPair(thread, first!, second!, a.A3, (a.Int1 & SOCK_CLOEXEC) != 0);
    }

    /// <summary>Copies an address in.</summary>
    /// <returns>0, -EINVAL or -EFAULT.</returns>
    private static long ReadAddress(GuestThread thread, ulong pointer, int length, out SocketAddress address)
    {
        address = SocketAddress.Unnamed;
        // sizeof(struct sockaddr_storage)
        if (length is < 0 or > 128)
            return -EINVAL;
        Span<byte> bytes = stackalloc byte[128];
        bytes = bytes[..length];
        if (!thread.Memory.TryRead(new VirtualAddress(pointer), bytes))
            return -EFAULT;
        SocketAddress? parsed = SocketAddress.TryParse(bytes);
        if (parsed is null)
            return -EINVAL;
        address = parsed;
        return 0;
    }

    /// <summary>Writes an address and its length, cut to the room that the guest gave.</summary>
    private static long WriteAddress(GuestThread thread, SocketAddress address, ulong pointer, ulong lengthPointer)
    {
        if (!thread.Memory.TryRead(new VirtualAddress(lengthPointer), out int room))
            return -EFAULT;
        if (room < 0)
            return -EINVAL;
        Span<byte> bytes = stackalloc byte[SocketAddress.MaximumSize + 1];
        int length = address.Format(bytes);
        int written = Math.Min(length, room);
        if (written > 0 && !thread.Memory.TryWrite(new VirtualAddress(pointer), bytes[..written]))
            return -EFAULT;
        return thread.Memory.TryWrite(new VirtualAddress(lengthPointer), length) ? 0 : -EFAULT;
    }

    private static long Bind(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out UnixSocket socket);
        if (result != 0)
            return result;
        result = ReadAddress(thread, a.A1, a.Int2, out SocketAddress address);
        if (result == 0)
            result = Bind(thread, socket, address);
        socket.Release();
        return result;
    }

    private static long Bind(GuestThread thread, UnixSocket socket, SocketAddress address)
    {
        if (!socket.LocalAddress.IsUnnamed)
            return -EINVAL;
        SocketSpace space = thread.Personality.Sockets;
        if (address.IsUnnamed)
        {
            SocketAddress? chosen = space.BindAutomatically(socket);
            if (chosen is null)
                return -ENOSPC;
            address = chosen;
        }
        else if (!address.IsAbstract)
        {
            long bound = SocketNames.Bind(thread, address.Name, socket);
            return bound < 0 ? bound : socket.SetAddress(address);
        }
        else if (!space.TryBind(address, socket))
        {
            return -EADDRINUSE;
        }
        long result = socket.SetAddress(address);
        if (result != 0)
            space.Unbind(address, socket);
        return result;
    }

    private static long Listen(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out UnixSocket socket);
        if (result != 0)
            return result;
        result = socket.Listen(a.Int1, UnixSocket.CredentialsOf(thread));
        socket.Release();
        return result;
    }

    private static long Accept(GuestThread thread, in SystemCallArguments a) =>
        Accept(thread, a.Int0, a.A1, a.A2, 0);

    private static long Accept4(GuestThread thread, in SystemCallArguments a) =>
        Accept(thread, a.Int0, a.A1, a.A2, a.Int3);

    private static long Accept(GuestThread thread, int descriptor, ulong address, ulong length, int flags)
    {
        if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0)
            return -EINVAL;
        long result = Acquire(thread, descriptor, out UnixSocket listener);
        if (result != 0)
            return result;
        result = AwaitConnection(thread, listener, out UnixSocket? accepted);
        listener.Release();
        if (result != 0)
            return result;

        if ((flags & SOCK_NONBLOCK) != 0)
            accepted!.StatusFlags |= O_NONBLOCK;
        if (address != 0)
        {
            result = WriteAddress(thread, accepted!.PeerAddress ?? SocketAddress.Unnamed, address, length);
            if (result != 0)
            {
                accepted.Release();
                return result;
            }
        }
        return InputOutputCalls.Install(thread, accepted!, (flags & SOCK_CLOEXEC) != 0);
    }

    private static long AwaitConnection(GuestThread thread, UnixSocket listener, out UnixSocket? accepted)
    {
        long result = listener.TryAccept(out accepted);
        if (result != -EAGAIN || listener.IsNonBlocking)
            return result;
        long deadline = listener.ReadDeadline(HostClock.MonotonicNanoseconds());
        using Blocking wait = new(thread, listener.Queue, PollEvents.Readable);
        while ((result = listener.TryAccept(out accepted)) == -EAGAIN)
        {
            long slept = wait.Sleep(deadline);
            if (slept != 0)
                return slept == -ETIMEDOUT ? -EAGAIN : slept;
        }
        return result;
    }

    private static long Connect(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out UnixSocket socket);
        if (result != 0)
            return result;
        result = Connect(thread, socket, a.A1, a.Int2);
        socket.Release();
        return result;
    }

    private static long Connect(GuestThread thread, UnixSocket socket, ulong pointer, int length)
    {
        // AF_UNSPEC dissolves a datagram socket's association.
        if (socket.Type == SOCK_DGRAM && length >= SocketAddress.FamilySize
            && thread.Memory.TryRead(new VirtualAddress(pointer), out ushort family) && family == AF_UNSPEC)
            return socket.ConnectDatagrams(null);
        long result = ReadAddress(thread, pointer, length, out SocketAddress address);
        if (result != 0)
            return result;
        result = Find(thread, address, out UnixSocket? target);
        if (result != 0)
            return result;
        result = socket.Type == SOCK_DGRAM
            ? socket.ConnectDatagrams(target!)
            : ConnectStream(thread, socket, target!);
        target!.Release();
        return result;
    }

    private static long ConnectStream(GuestThread thread, UnixSocket socket, UnixSocket listener)
    {
        ucred credentials = UnixSocket.CredentialsOf(thread);
        AnonymousInode inode = thread.Personality.CreateInode(thread, Devices.Sockets);
        long result = socket.TryConnect(listener, credentials, inode);
        if (result != -EAGAIN || socket.IsNonBlocking)
            return result;
        long deadline = socket.WriteDeadline(HostClock.MonotonicNanoseconds());
        using Blocking wait = new(thread, listener.Queue, PollEvents.Writable);
        while ((result = socket.TryConnect(listener, credentials, inode)) == -EAGAIN)
        {
            long slept = wait.Sleep(deadline);
            if (slept != 0)
                return slept == -ETIMEDOUT ? -EAGAIN : slept;
        }
        return result;
    }

    /// <summary>The socket that an address names, with a reference.</summary>
    /// <returns>0, -ECONNREFUSED, or what looking up a path answers.</returns>
    private static long Find(GuestThread thread, SocketAddress address, out UnixSocket? socket)
    {
        socket = null;
        if (address.IsUnnamed)
            return -EINVAL;
        SocketSpace space = thread.Personality.Sockets;
        if (!address.IsAbstract)
            return SocketNames.Find(thread, address.Name, out socket);
        socket = space.Find(address);
        return socket is null ? -ECONNREFUSED : 0;
    }

    private static long GetSockName(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out UnixSocket socket);
        if (result != 0)
            return result;
        result = WriteAddress(thread, socket.LocalAddress, a.A1, a.A2);
        socket.Release();
        return result;
    }

    private static long GetPeerName(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out UnixSocket socket);
        if (result != 0)
            return result;
        result = socket.PeerAddress is { } address ? WriteAddress(thread, address, a.A1, a.A2) : -ENOTCONN;
        socket.Release();
        return result;
    }

    private static long Shutdown(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out UnixSocket socket);
        if (result != 0)
            return result;
        result = a.Int1 is SHUT_RD or SHUT_WR or SHUT_RDWR ? socket.Shutdown(a.Int1) : -EINVAL;
        socket.Release();
        return result;
    }
}
