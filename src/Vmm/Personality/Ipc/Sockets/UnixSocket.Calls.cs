using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

// What system calls ask of any socket.
public sealed partial class UnixSocket
{
    internal override long Bind(GuestThread thread, ReadOnlySpan<byte> bytes)
    {
        if (SocketAddress.TryParse(bytes) is not { } address || !LocalAddress.IsUnnamed)
            return -EINVAL;
        if (address.IsUnnamed)
        {
            SocketAddress? chosen = _space.BindAutomatically(this);
            if (chosen is null)
                return -ENOSPC;
            address = chosen;
        }
        else if (!address.IsAbstract)
        {
            long bound = SocketNames.Bind(thread, address.Name, this);
            return bound < 0 ? bound : SetAddress(address);
        }
        else if (!_space.TryBind(address, this))
        {
            return -EADDRINUSE;
        }
        long result = SetAddress(address);
        if (result != 0)
            _space.Unbind(address, this);
        return result;
    }

    internal override long Listen(GuestThread thread, int backlog) => Listen(backlog, CredentialsOf(thread));

    internal override long TryAccept(GuestThread thread, out Socket? accepted)
    {
        long result = TryAccept(out UnixSocket? connection);
        accepted = connection;
        return result;
    }

    internal override long Connect(GuestThread thread, ReadOnlySpan<byte> address)
    {
        // AF_UNSPEC dissolves a datagram socket's association.
        if (Type == SOCK_DGRAM && address.Length >= SocketAddress.FamilySize
            && MemoryMarshal.Read<ushort>(address) == AF_UNSPEC)
            return ConnectDatagrams(null);
        long result = Find(thread, address, out UnixSocket? target);
        if (result != 0)
            return result;
        result = Type == SOCK_DGRAM ? ConnectDatagrams(target!) : ConnectStream(thread, target!);
        target!.Release();
        return result;
    }

    /// <summary>connect(2) of a stream or packet socket, waiting for room in the backlog.</summary>
    internal long ConnectStream(GuestThread thread, UnixSocket listener, bool nonBlocking = false)
    {
        ucred credentials = CredentialsOf(thread);
        AnonymousInode inode = thread.Personality.CreateInode(thread, AnonymousDevices.Sockets);
        long result = TryConnect(listener, credentials, inode);
        if (result != -EAGAIN || IsNonBlocking || nonBlocking)
            return result;
        long deadline = WriteDeadline(HostClock.MonotonicNanoseconds());
        using Blocking wait = new(thread, listener.Queue, PollEvents.Writable);
        while ((result = TryConnect(listener, credentials, inode)) == -EAGAIN)
        {
            long slept = wait.Sleep(deadline, Interrupted(deadline));
            if (slept != 0)
                return slept == -ETIMEDOUT ? -EAGAIN : slept;
        }
        return result;
    }

    /// <summary>The socket that an address names, with a reference.</summary>
    /// <returns>0, -EINVAL, -ECONNREFUSED, or what looking up a path answers.</returns>
    private long Find(GuestThread thread, ReadOnlySpan<byte> bytes, out UnixSocket? socket)
    {
        socket = null;
        if (SocketAddress.TryParse(bytes) is not { IsUnnamed: false } address)
            return -EINVAL;
        if (!address.IsAbstract)
            return SocketNames.Find(thread, address.Name, out socket);
        socket = _space.Find(address);
        return socket is null ? -ECONNREFUSED : 0;
    }

    internal override int FormatName(Span<byte> destination) => LocalAddress.Format(destination);

    internal override long FormatPeerName(Span<byte> destination) =>
        PeerAddress is { } address ? address.Format(destination) : -ENOTCONN;

    internal override int FormatSender(in ReceivedMessage message, Span<byte> destination) =>
        message.From is { IsUnnamed: false } from ? from.Format(destination) : 0;

    internal override long FindTarget(GuestThread thread, ReadOnlySpan<byte> address, out ISendTarget? target)
    {
        target = null;
        // unix_seqpacket_sendmsg does not look at it.
        if (Type == SOCK_SEQPACKET)
            return 0;
        if (Type != SOCK_DGRAM)
            return PeerAddress is null ? -EOPNOTSUPP : -EISCONN;
        long result = Find(thread, address, out UnixSocket? found);
        if (result != 0)
            return result;
        if (found!.Type != Type)
        {
            found.Release();
            return -EPROTOTYPE;
        }
        target = found;
        return 0;
    }

    internal override long Send(
        ReadOnlySpan<byte> data, int flags, in ucred credentials, ISendTarget? target, PassedFiles? files) =>
        Send(data, credentials, (UnixSocket?)target, files);

    internal override long Receive(Span<byte> buffer, int flags, out ReceivedMessage message) =>
        Receive(buffer, (flags & MSG_PEEK) != 0, out message);

    internal override long GetFamilyOption(int level, int option, Span<byte> value)
    {
        if (level != SOL_SOCKET)
            return -EOPNOTSUPP;
        switch (option)
        {
            case SO_PASSCRED:
                MemoryMarshal.Write(value, PassCredentials ? 1 : 0);
                return sizeof(int);
            case SO_PEERCRED:
                MemoryMarshal.Write(value, PeerCredentials);
                return Marshal.SizeOf<ucred>();
            default:
                return -ENOPROTOOPT;
        }
    }

    internal override long SetFamilyOption(int level, int option, int value)
    {
        if (level != SOL_SOCKET)
            return -EOPNOTSUPP;
        if (option != SO_PASSCRED)
            return -ENOPROTOOPT;
        PassCredentials = value != 0;
        return 0;
    }
}
