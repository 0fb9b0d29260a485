using Sandbox.Host;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

// Names and connections.
public sealed partial class UnixSocket
{
    private Queue<UnixSocket>? _backlog;
    private int _backlogLimit;

    /// <summary>Made by a connect(2) that nobody has accepted yet.</summary>
    private volatile bool _isEmbryo;

    /// <summary>Datagram sockets connected to this one, which hear when its queue has room again.</summary>
    private HashSet<UnixSocket>? _senders;

    private static readonly Lock s_connecting = new();

    /// <summary>socketpair(2): connects two new sockets with each other.</summary>
    public static void Pair(UnixSocket a, UnixSocket b, in ucred credentials)
    {
        a.Join(b, credentials, credentials);
        b.Join(a, credentials, credentials);
    }

    private void Join(UnixSocket peer, in ucred own, in ucred peers)
    {
        lock (_lock)
        {
            _peer = peer;
            _state = State.Connected;
            _credentials = own;
            _peerCredentials = peers;
            if (!IsConnectionBased)
                (_senders ??= []).Add(peer);
        }
    }

    /// <summary>bind(2): the name is already this socket's in its name space.</summary>
    /// <returns>0, or -EINVAL when it has a name; then the caller takes the name back.</returns>
    public long SetAddress(SocketAddress address)
    {
        lock (_lock)
        {
            if (!LocalAddress.IsUnnamed)
                return -EINVAL;
            LocalAddress = address;
            return 0;
        }
    }

    /// <summary>The name of an Internet socket's inner one; it may be bound again after a bind that failed.</summary>
    internal void Rename(SocketAddress address)
    {
        lock (_lock)
            LocalAddress = address;
    }

    /// <summary>listen(2).</summary>
    public long Listen(int backlog, in ucred credentials)
    {
        if (!IsConnectionBased)
            return -EOPNOTSUPP;
        lock (_lock)
        {
            if (LocalAddress.IsUnnamed || _state is State.Connected or State.Connecting)
                return -EINVAL;
            _state = State.Listening;
            _backlog ??= new Queue<UnixSocket>();
            _backlogLimit = (int)Math.Min((uint)backlog, SOMAXCONN);
            _credentials = credentials;
        }
        // Those who wait to connect may find a larger backlog.
        _waiters.Notify(PollEvents.Writable);
        return 0;
    }

    /// <summary>connect(2) of a stream or packet socket to a listening one, without waiting.</summary>
    /// <returns>
    /// 0; -EAGAIN: the backlog is full, try again when <see cref="Queue"/> of the listener says so; or the error.
    /// </returns>
    internal long TryConnect(UnixSocket listener, in ucred credentials, AnonymousInode inode)
    {
        if (listener.Type != Type)
            return -EPROTOTYPE;
        lock (_lock)
        {
            if (_state != State.Unconnected)
                return _state == State.Connected ? -EISCONN : -EINVAL;
            _state = State.Connecting;
        }
        long result = listener.Offer(this, credentials, inode, out UnixSocket? embryo, out ucred peers);
        lock (_lock)
        {
            _state = result == 0 ? State.Connected : State.Unconnected;
            if (result != 0)
                return result;
            _peer = embryo;
            _credentials = credentials;
            _peerCredentials = peers;
        }
        // It may have been accepted, and closed again, before this side knew of it.
        lock (embryo!._lock)
        {
            if (!embryo._closed)
                return 0;
        }
        OnPeerClosed(embryo, reset: true);
        return 0;
    }

    private long Offer(
        UnixSocket client, in ucred credentials, AnonymousInode inode, out UnixSocket? embryo, out ucred own)
    {
        embryo = null;
        own = default;
        lock (_lock)
        {
            if (_closed || _state != State.Listening || _receiveShut)
                return -ECONNREFUSED;
            if (_backlog!.Count > _backlogLimit)
                return -EAGAIN;
            if (!_space.Memory.TryReserve(KernelMemory.ObjectCost))
                return -ENOMEM;
            embryo = new UnixSocket(_space, inode, Type, nonBlocking: false)
            {
                LocalAddress = LocalAddress,
                PassCredentials = PassCredentials,
                _isEmbryo = true,
            };
            embryo.Join(client, _credentials, credentials);
            _backlog.Enqueue(embryo);
            own = _credentials;
        }
        _waiters.Notify(PollEvents.Readable);
        return 0;
    }

    /// <summary>accept(2) without waiting: 0, -EAGAIN, or -EINVAL for a socket that does not listen.</summary>
    internal long TryAccept(out UnixSocket? accepted)
    {
        accepted = null;
        if (!IsConnectionBased)
            return -EOPNOTSUPP;
        lock (_lock)
        {
            if (_state != State.Listening)
                return -EINVAL;
            if (_backlog is null || !_backlog.TryDequeue(out accepted))
                return _receiveShut ? -EINVAL : -EAGAIN;
        }
        accepted._isEmbryo = false;
        _waiters.Notify(PollEvents.Writable);
        return 0;
    }

    /// <summary>connect(2) of a datagram socket: sets or, with null, forgets whom it sends to.</summary>
    internal long ConnectDatagrams(UnixSocket? target)
    {
        if (target is not null)
        {
            if (target.Type != Type)
                return -EPROTOTYPE;
            if (!target.Accepts(this))
                return -EPERM;
        }
        // As a whole: two at once would each leave this socket with the other's target, where nothing takes it away.
        lock (s_connecting)
        {
            UnixSocket? old;
            lock (_lock)
            {
                old = _peer;
                _peer = target;
                _state = target is null ? State.Unconnected : State.Connected;
            }
            if (old is not null && old != this)
            {
                lock (old._lock)
                    old._senders?.Remove(this);
            }
            if (target is not null)
            {
                lock (target._lock)
                {
                    if (!target._closed)
                        (target._senders ??= []).Add(this);
                }
            }
        }
        _waiters.Notify(PollEvents.Writable);
        return 0;
    }

    /// <summary>
    /// Ends what an Internet socket's inner stream is part of, as a reset does; it may connect or listen again.
    /// </summary>
    internal void Disconnect()
    {
        SocketMessage? unread;
        Queue<UnixSocket>? backlog;
        UnixSocket? peer;
        lock (_lock)
        {
            // Just now, in another thread: then that comes later.
            if (_state == State.Connecting)
                return;
            unread = TakeAllMessages();
            (backlog, _backlog) = (_backlog, null);
            (peer, _peer) = (_peer, null);
            _state = State.Unconnected;
            _receiveShut = _sendShut = false;
            _error = 0;
        }
        Discard(unread);
        Reject(backlog);
        peer?.OnPeerClosed(this, reset: true);
        _waiters.Notify(PollEvents.All);
    }

    /// <summary>Whether the other one is told when this one's queue has room.</summary>
    internal bool Knows(UnixSocket sender)
    {
        lock (_lock)
            return _senders?.Contains(sender) == true;
    }

    /// <summary>A datagram socket that is connected takes datagrams from its peer only.</summary>
    private bool Accepts(UnixSocket sender)
    {
        UnixSocket? peer = _peer;
        return peer is null || peer == sender;
    }
}
