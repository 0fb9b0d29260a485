using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>
/// Sockets: making and connecting them here, messages and options in the other parts. There are Unix sockets, and
/// those of the Internet in guests that have something of the network. For every other family socket(2) answers
/// EAFNOSUPPORT, as a kernel built without it would: the C library's resolver, Python and git take that for "no such
/// protocol" and go on.
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
    private static long Acquire(GuestThread thread, int descriptor, out Socket socket)
    {
        OpenFile? file = thread.Descriptors.Acquire(descriptor);
        socket = (file as Socket)!;
        if (socket is not null)
            return 0;
        if (file is null)
            return -EBADF;
        bool pathOnly = (file.StatusFlags & O_PATH) != 0;
        file.Release();
        return pathOnly ? -EBADF : -ENOTSOCK;
    }

    private static long Create(GuestThread thread, int family, int type, out Socket? socket)
    {
        socket = null;
        LinuxPersonality personality = thread.Personality;
        int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
        bool nonBlocking = (type & SOCK_NONBLOCK) != 0;
        if (family != AF_UNIX)
            return personality.Network!.TryCreate(thread, family, kind, nonBlocking, out socket);
        if (!personality.KernelMemory.TryReserve(KernelMemory.ObjectCost))
            return -ENFILE;
        socket = new UnixSocket(
            personality.Sockets, personality.CreateInode(thread, AnonymousDevices.Sockets),
            kind == SOCK_RAW ? SOCK_DGRAM : kind, nonBlocking);
        return 0;
    }

    private static long CheckKind(GuestThread thread, int family, int type, int protocol)
    {
        int kind = type & 0xf;
        if ((type & ~(0xf | SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0)
            return -EINVAL;
        if (kind is 0 or > SOCK_PACKET)
            return -EINVAL;
        if (family is AF_INET or AF_INET6 && thread.Personality.Network is not null)
            return InternetSocket.CheckKind(kind, protocol);
        if (family != AF_UNIX)
            return -EAFNOSUPPORT;
        if (protocol != 0 && protocol != AF_UNIX)
            return -EPROTONOSUPPORT;
        // Raw is datagram here, for programs older than SOCK_DGRAM on Unix sockets.
        return kind is SOCK_STREAM or SOCK_DGRAM or SOCK_RAW or SOCK_SEQPACKET ? 0 : -ESOCKTNOSUPPORT;
    }

    private static long Socket(GuestThread thread, in SystemCallArguments a)
    {
        long result = CheckKind(thread, a.Int0, a.Int1, a.Int2);
        if (result != 0)
            return result;
        result = Create(thread, a.Int0, a.Int1, out Socket? socket);
        return result != 0 ? result : InputOutputCalls.Install(thread, socket!, (a.Int1 & SOCK_CLOEXEC) != 0);
    }

    private static long SocketPair(GuestThread thread, in SystemCallArguments a)
    {
        long result = CheckKind(thread, a.Int0, a.Int1, a.Int2);
        if (result != 0)
            return result;
        if (a.Int0 != AF_UNIX)
            return -EOPNOTSUPP;
        result = Create(thread, AF_UNIX, a.Int1, out Socket? first);
        if (result != 0)
            return result;
        result = Create(thread, AF_UNIX, a.Int1, out Socket? second);
        if (result != 0)
        {
            first!.Release();
            return result;
        }
        UnixSocket.Pair((UnixSocket)first!, (UnixSocket)second!, UnixSocket.CredentialsOf(thread));
        return InputOutputCalls.InstallPair(thread, first!, second!, a.A3, (a.Int1 & SOCK_CLOEXEC) != 0);
    }

    /// <summary>Copies an address in.</summary>
    /// <param name="buffer"><see cref="Ipc.Socket.MaximumAddress"/> bytes.</param>
    /// <returns>Its length, -EINVAL or -EFAULT.</returns>
    private static long ReadAddress(GuestThread thread, ulong pointer, int length, Span<byte> buffer)
    {
        if (length < 0 || length > buffer.Length)
            return -EINVAL;
        if (!thread.Memory.TryRead(new VirtualAddress(pointer), buffer[..length]))
            return -EFAULT;
        return length;
    }

    /// <summary>Copies an address out as far as there is room, and its full length.</summary>
    private static long WriteAddress(
        GuestThread thread, ReadOnlySpan<byte> address, ulong pointer, ulong lengthPointer)
    {
        if (!thread.Memory.TryRead(new VirtualAddress(lengthPointer), out int room))
            return -EFAULT;
        if (room < 0)
            return -EINVAL;
        int written = Math.Min(address.Length, room);
        if (written > 0 && !thread.Memory.TryWrite(new VirtualAddress(pointer), address[..written]))
            return -EFAULT;
        return thread.Memory.TryWrite(new VirtualAddress(lengthPointer), address.Length) ? 0 : -EFAULT;
    }

    private static long Bind(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        Span<byte> buffer = stackalloc byte[Ipc.Socket.MaximumAddress];
        result = ReadAddress(thread, a.A1, a.Int2, buffer);
        if (result >= 0)
            result = socket.Bind(thread, buffer[..(int)result]);
        socket.Release();
        return result;
    }

    private static long Listen(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        result = socket.Listen(thread, a.Int1);
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
        long result = Acquire(thread, descriptor, out Socket listener);
        if (result != 0)
            return result;
        // Before a connection leaves the queue.
        result = InputOutputCalls.Reserve(thread, out InputOutputCalls.Reservation reservation);
        if (result == 0)
        {
            result = Accept(thread, listener, address, length, out Socket? accepted);
            if (result == 0 && (flags & SOCK_NONBLOCK) != 0)
                accepted!.StatusFlags |= O_NONBLOCK;
            result = reservation.Finish(result, accepted, (flags & SOCK_CLOEXEC) != 0);
        }
        listener.Release();
        return result;
    }

    private static long Accept(
        GuestThread thread, Socket listener, ulong address, ulong length, out Socket? accepted)
    {
        long result = AwaitConnection(thread, listener, out accepted);
        if (result != 0 || address == 0)
            return result;
        Span<byte> peer = stackalloc byte[Ipc.Socket.MaximumAddress];
        int known = (int)Math.Max(accepted!.FormatPeerName(peer), 0);
        result = WriteAddress(thread, peer[..known], address, length);
        if (result != 0)
            accepted.Release();
        return result;
    }

    private static long AwaitConnection(GuestThread thread, Socket listener, out Socket? accepted)
    {
        long result = listener.TryAccept(thread, out accepted);
        if (result != -EAGAIN || listener.IsNonBlocking)
            return result;
        long deadline = listener.ReadDeadline(HostClock.MonotonicNanoseconds());
        using Blocking wait = new(thread, listener.Queue, PollEvents.Readable);
        while ((result = listener.TryAccept(thread, out accepted)) == -EAGAIN)
        {
            long slept = wait.Sleep(deadline, listener.Interrupted(deadline));
            if (slept != 0)
                return slept == -ETIMEDOUT ? -EAGAIN : slept;
        }
        return result;
    }

    private static long Connect(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        Span<byte> buffer = stackalloc byte[Ipc.Socket.MaximumAddress];
        result = ReadAddress(thread, a.A1, a.Int2, buffer);
        if (result >= 0)
            result = socket.Connect(thread, buffer[..(int)result]);
        socket.Release();
        return result;
    }

    private static long GetSockName(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        Span<byte> name = stackalloc byte[Ipc.Socket.MaximumAddress];
        result = WriteAddress(thread, name[..socket.FormatName(name)], a.A1, a.A2);
        socket.Release();
        return result;
    }

    private static long GetPeerName(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        Span<byte> name = stackalloc byte[Ipc.Socket.MaximumAddress];
        result = socket.FormatPeerName(name);
        if (result >= 0)
            result = WriteAddress(thread, name[..(int)result], a.A1, a.A2);
        socket.Release();
        return result;
    }

    private static long Shutdown(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        result = a.Int1 is SHUT_RD or SHUT_WR or SHUT_RDWR ? socket.Shutdown(a.Int1) : -EINVAL;
        socket.Release();
        return result;
    }
}
