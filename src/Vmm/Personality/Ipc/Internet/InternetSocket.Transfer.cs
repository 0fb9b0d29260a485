using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

// Sending and receiving.
public sealed partial class InternetSocket
{
    /// <summary>The longest datagram over IPv4.</summary>
    private const int MaximumDatagram = 65507;

    /// <summary>Destinations outside that an unconnected socket sends to; the longest unused makes room.</summary>
    private const int MaximumAssociations = 32;

    /// <summary>Datagrams of others than the peer that are dropped at a time.</summary>
    private const int MaximumDropped = 64;

    /// <summary>Sockets of the host for datagrams, one for each destination.</summary>
    private List<Association>? _associations;

    /// <summary>A connected datagram socket's, when its peer is outside.</summary>
    private Association? _peer;

    /// <summary>One destination of datagrams outside.</summary>
    private sealed class Association(InternetSocket socket, InternetAddress remote, HostSocket host) : ISendTarget
    {
        public InternetAddress Remote => remote;

        public HostSocket Host => host;

        public long UsedAt { get; set; }

        /// <summary>Closed to make room for another. Guarded by the socket's lock, as the host socket is.</summary>
        public bool IsClosed { get; private set; }

        public WaitQueue Queue => socket.Queue;

        public void Release()
        {
        }

        public void Close()
        {
            IsClosed = true;
            host.Dispose();
        }
    }

    public override long Read(Span<byte> buffer) => Receive(buffer, 0, out _);

    public override long Write(ReadOnlySpan<byte> buffer) => Send(buffer, 0, default, null, null);

    public override long Write(GuestThread thread, ReadOnlySpan<byte> buffer) =>
        Send(buffer, 0, UnixSocket.CredentialsOf(thread), null, null);

    internal override long Send(
        ReadOnlySpan<byte> data, int flags, in ucred credentials, ISendTarget? target, PassedFiles? files) =>
        IsStream ? SendBytes(data, flags, credentials) : SendDatagram(data, flags, credentials, target);

    private long SendBytes(ReadOnlySpan<byte> data, int flags, in ucred credentials)
    {
        lock (_lock)
        {
            Settle();
            if (_error != 0)
                return -TakeErrorLocked();
            if (_state is State.Unconnected or State.Listening)
                return -EPIPE;
            if (_host is not null)
                return data.IsEmpty ? 0 : _host.Send(data, flags);
        }
        return _loopback.Send(data, credentials, null, null);
    }

    private long SendDatagram(ReadOnlySpan<byte> data, int flags, in ucred credentials, ISendTarget? target)
    {
        if (data.Length > MaximumDatagram)
            return -EMSGSIZE;
        UnixSocket? inside = (target as InternetSocket)?._loopback;
        lock (_lock)
        {
            if (target is null && _state != State.Connected)
                return -EDESTADDRREQ;
            if ((target as Association ?? (target is null ? _peer : null)) is { } association)
            {
                if (association.IsClosed)
                    return -ENOBUFS;
                association.UsedAt = ++_uses;
                return association.Host.Send(data, flags);
            }
        }
        long result = _loopback.Send(data, credentials, inside, null);
        if (target is null && result is -ENOTCONN or -ECONNREFUSED)
            result = SendToSuccessor(data, credentials, result);
        // A datagram that nobody has room for, or wants, is lost.
        bool isLost = result is -EAGAIN or -EPERM || (result == -ECONNREFUSED && inside is not null);
        return isLost ? data.Length : result;
    }

    /// <summary>
    /// Sends to whoever has the peer's address inside by now: nobody had it when this was connected, or who had it is gone.
    /// </summary>
    /// <param name="refused">What the send before answered.</param>
    private long SendToSuccessor(ReadOnlySpan<byte> data, in ucred credentials, long refused)
    {
        InternetAddress peer;
        lock (_lock)
        {
            if (_state != State.Connected || _peer is not null)
                return refused;
            peer = _remote;
        }
        if (_stack.Ports.Find(SOCK_DGRAM, peer) is not { } successor)
            return -ECONNREFUSED;
        _loopback.ConnectDatagrams(successor._loopback);
        long result = _loopback.Send(data, credentials, successor._loopback, null);
        successor.Release();
        return result;
    }

    private long _uses;

    internal override long FindTarget(GuestThread thread, ReadOnlySpan<byte> bytes, out ISendTarget? target)
    {
        target = null;
        // As in the kernel, a stream takes no notice of it.
        if (IsStream)
            return 0;
        long result = InternetAddress.TryParse(Domain, bytes, out InternetAddress address);
        if (result != 0)
            return result;
        if (address.Port == 0)
            return -EINVAL;
        if (IsSixOnly && address.IsFour)
            return -ENETUNREACH;
        result = BindAutomatically(InternetAddress.Any(Domain));
        return result != 0 ? result : FindTarget(thread, address.Destination, out target);
    }

    private long FindTarget(GuestThread thread, InternetAddress destination, out ISendTarget? target)
    {
        target = destination.IsLoopback ? _stack.Ports.Find(SOCK_DGRAM, destination) : null;
        if (target is not null)
            return 0;
        long result = Associate(thread, destination, out Association? association);
        target = association;
        return result;
    }

    private long Associate(GuestThread thread, InternetAddress destination, out Association? association)
    {
        ushort from;
        lock (_lock)
        {
            association = _associations?.Find(other => other.Remote == destination);
            if (association is not null)
                return 0;
            // Answers from a port of the host leave from it.
            from = _host is null ? (ushort)0 : Bound.Port;
        }
        NetworkRequest request = new()
        {
            Action = (uint)NetworkAction.Connect,
            Protocol = (uint)NetworkProtocol.Udp,
            Endpoint = destination.ToEndpoint(),
            From = from == 0 ? default : Bound.ToEndpoint(),
        };
        long result = Ask(thread, request, out BrokerCall? call);
        if (result != 0)
            return Outside(result, destination);
        HostSocket? host = Take(call!);
        if (host is null)
            return -ENOBUFS;
        association = new Association(this, destination, host);
        lock (_lock)
        {
            _associations ??= [];
            if (_associations.Count >= MaximumAssociations)
            {
                Association oldest = _associations.Where(other => other != _peer).MinBy(other => other.UsedAt)!;
                _associations.Remove(oldest);
                oldest.Close();
            }
            association.UsedAt = ++_uses;
            _associations.Add(association);
        }
        // Who waits for a datagram waits for answers from there too.
        Queue.Notify(PollEvents.All);
        return 0;
    }

    private long ConnectDatagrams(GuestThread thread, InternetAddress destination)
    {
        long result = BindAutomatically(InternetAddress.Any(Domain));
        if (result != 0)
            return result;
        Association? outside;
        do
        {
            result = FindTarget(thread, destination, out ISendTarget? target);
            // Inside somebody may come to have the address: a datagram finds out.
            if (result != 0 && !(result == -ECONNREFUSED && destination.IsLoopback))
                return result;
            InternetSocket? inside = target as InternetSocket;
            if (_loopback.ConnectDatagrams(inside?._loopback) != 0)
                _loopback.ConnectDatagrams(null);
            inside?.Release();
            outside = target as Association;
        }
        while (!TryConnect(destination, outside));
        return 0;
    }

    /// <returns>False when another thread has closed that association since.</returns>
    private bool TryConnect(InternetAddress destination, Association? outside)
    {
        lock (_lock)
        {
            if (outside is { IsClosed: true })
                return false;
            _peer = outside;
            // From now on only the peer is heard.
            foreach (Association other in _associations ?? [])
                if (other != outside)
                    other.Close();
            _associations?.RemoveAll(other => other != outside);
            _remote = destination;
            _state = State.Connected;
            if (Local.IsAny && outside is null)
                Local = LoopbackOf(destination) with { Port = Local.Port };
            else if (outside is not null)
                Local = outside.Host.LocalName();
        }
        return true;
    }

    /// <summary>connect(2) with AF_UNSPEC.</summary>
    private long Disconnect()
    {
        _loopback.ConnectDatagrams(null);
        lock (_lock)
        {
            DropAssociations();
            _state = State.Unconnected;
        }
        return 0;
    }

    private void DropAssociations()
    {
        foreach (Association association in _associations ?? [])
            association.Close();
        _associations = null;
        _peer = null;
    }

    internal override long Receive(Span<byte> buffer, int flags, out ReceivedMessage message)
    {
        message = default;
        lock (_lock)
        {
            Settle();
            if (_error != 0)
                return -TakeErrorLocked();
            if (IsStream && _state is State.Unconnected or State.Listening)
                return -ENOTCONN;
            if (IsStream && _host is not null)
                return _host.Receive(buffer, flags & MSG_PEEK, isStream: true, out _, out _);
        }
        long result = _loopback.Receive(buffer, (flags & MSG_PEEK) != 0, out message);
        if (IsStream)
            return result;
        if (result != -EAGAIN)
        {
            message.Source = Inside(message.From, Domain);
            return result;
        }
        lock (_lock)
            return ReceiveOutside(buffer, flags & MSG_PEEK, ref message);
    }

    private long ReceiveOutside(Span<byte> buffer, int flags, ref ReceivedMessage message)
    {
        if (_state == State.Connected ? HasDatagramOfPeer() : _host is { MayRead: true })
        {
            long result = ReceiveFrom(_host!, buffer, flags, ref message);
            if (result != -EAGAIN)
                return result;
        }
        foreach (Association association in _associations ?? [])
        {
            if (!association.Host.MayRead || (_state == State.Connected && association != _peer))
                continue;
            long result = ReceiveFrom(association.Host, buffer, flags, ref message);
            // That one destination refuses is told to a socket that has no other.
            if (result == -EAGAIN || (result < 0 && _peer is null))
                continue;
            message.Source = association.Remote;
            return result;
        }
        return -EAGAIN;
    }

    /// <summary>
    /// Whether the bound socket of one that was connected later has a datagram of the peer's next: it hears everybody,
    /// and may have heard the peer before. What others have sent is taken, and dropped. Under the lock.
    /// </summary>
    private bool HasDatagramOfPeer()
    {
        // What is left behind so many is told to who waits: each receive has armed it.
        for (int i = 0; i < MaximumDropped && _host is { MayRead: true }; i++)
        {
            if (_host.Receive([], MSG_PEEK, isStream: false, out InternetAddress from, out _) < 0)
                return false;
            if (_peer is not null && from == _remote)
                return true;
            _host.Receive([], 0, isStream: false, out _, out _);
        }
        return false;
    }

    private static long ReceiveFrom(HostSocket host, Span<byte> buffer, int flags, ref ReceivedMessage message)
    {
        long result = host.Receive(buffer, flags, isStream: false, out InternetAddress from, out int length);
        message.Source = from;
        message.FullLength = length;
        message.IsTruncated = length > buffer.Length;
        return result;
    }

    private PollEvents PollAssociations()
    {
        PollEvents events = PollEvents.None;
        if (_peer is not null)
            return _peer.Host.Poll();
        foreach (Association association in _associations ?? [])
            if (association.Host.MayRead)
                events |= association.Host.Poll() & PollEvents.Readable;
        return events;
    }

    internal override int FormatSender(in ReceivedMessage message, Span<byte> destination) =>
        IsStream ? 0 : message.Source.Format(Domain, destination);
}
