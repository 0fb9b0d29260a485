using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// A Unix socket (unix(7)): stream, datagram or sequenced packets. This part holds its state and what poll(2) and
/// the socket options see; the others connect, send and receive.
/// </summary>
/// <remarks>
/// Each socket has its own lock for its own state and queue, and no code holds two of them: what concerns the peer is
/// done under the peer's lock, afterwards. Peers refer to each other without a counted reference; a closed one says so.
/// </remarks>
public sealed partial class UnixSocket : Socket, ISendTarget
{
    /// <summary>net.core.wmem_default and wmem_max.</summary>
    public const int DefaultBuffer = 212992;

    private const int MinimumSendBuffer = 4608;
    private const int MinimumReceiveBuffer = 2304;

    private enum State
    {
        Unconnected,
        Connecting,
        Listening,
        Connected,
    }

    private readonly Lock _lock = new();
    private readonly WaitQueue _waiters = new();
    private readonly SocketSpace _space;
    private readonly AnonymousInode _inode;
    private State _state;
    private volatile UnixSocket? _peer;
    private bool _receiveShut;
    private bool _sendShut;
    private bool _closed;
    private int _error;
    private ucred _credentials;
    private ucred _peerCredentials;
    private int _sendBuffer = DefaultBuffer;

    /// <param name="type">SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.</param>
    /// <param name="space">Its memory was charged <see cref="KernelMemory.ObjectCost"/>; given back at the end.</param>
    public UnixSocket(SocketSpace space, AnonymousInode inode, int type, bool nonBlocking)
        : base(type, nonBlocking)
    {
        _space = space;
        _inode = inode;
    }

    public override int Domain => AF_UNIX;

    public override int Protocol => 0;

    /// <summary>Streams and sequenced packets: an end of the one is known to the other.</summary>
    private bool IsConnectionBased => Type != SOCK_DGRAM;

    public SocketAddress LocalAddress { get; private set; } = SocketAddress.Unnamed;

    public override string DisplayName => $"socket:[{_inode.Number}]";

    internal override WaitQueue Queue => _waiters;

    WaitQueue ISendTarget.Queue => _waiters;

    public override long GetStatus(out stat status)
    {
        status = _inode.Status(S_IFSOCK | 0x1ff, 4096);
        return 0;
    }

    /// <summary>SO_PASSCRED.</summary>
    public bool PassCredentials { get; set; }

    public override int SendBuffer
    {
        get => _sendBuffer;
        set => _sendBuffer = Math.Clamp(value, MinimumSendBuffer / 2, DefaultBuffer) * 2;
    }

    private int _receiveBuffer = DefaultBuffer;

    /// <summary>SO_RCVBUF; as on Linux it has no effect: the sender's buffer is what bounds a Unix socket.</summary>
    public override int ReceiveBuffer
    {
        get => _receiveBuffer;
        set => _receiveBuffer = Math.Clamp(value, MinimumReceiveBuffer / 2, DefaultBuffer) * 2;
    }

    public override int TakeError()
    {
        lock (_lock)
        {
            int error = _error;
            _error = 0;
            return error;
        }
    }

    public override bool IsListening
    {
        get
        {
            lock (_lock)
                return _state == State.Listening;
        }
    }

    /// <summary>SO_PEERCRED; pid 0 and ids of nobody for a socket without a peer.</summary>
    public ucred PeerCredentials
    {
        get
        {
            lock (_lock)
                return _state == State.Connected
                    ? _peerCredentials
                    : new ucred { uid = uint.MaxValue, gid = uint.MaxValue };
        }
    }

    /// <summary>getpeername(2): null for -ENOTCONN.</summary>
    public SocketAddress? PeerAddress
    {
        get
        {
            lock (_lock)
                return _state == State.Connected ? _peer!.LocalAddress : null;
        }
    }

    public override PollEvents Poll()
    {
        PollEvents events = PollEvents.None;
        UnixSocket? peer;
        lock (_lock)
        {
            if (_error != 0)
                events |= PollEvents.Error;
            if (_receiveShut)
                events |= PollEvents.Readable | PollEvents.ReadHangUp;
            if (_receiveShut && _sendShut)
                events |= PollEvents.HangUp;
            if (_first is not null || _backlog is { Count: > 0 })
                events |= PollEvents.Readable;
            if (IsConnectionBased && _state is State.Unconnected or State.Connecting)
                events |= PollEvents.HangUp;
            if (_state == State.Listening)
                return events;
            peer = _state == State.Connected ? _peer : null;
        }
        if (peer is null || peer.HasRoomFor(this))
            events |= PollEvents.Writable;
        return events;
    }

    /// <summary>
    /// Whether poll(2) calls a sender writable: with a quarter of its buffer free, so that a write is worth while.
    /// </summary>
    private bool HasRoomFor(UnixSocket sender)
    {
        lock (_lock)
            return _closed || _receiveShut
                || (_queuedBytes <= sender._sendBuffer / 4 * 3 && _queuedMessages < MaximumMessages);
    }

    protected override void Close()
    {
        SocketMessage? unread;
        Queue<UnixSocket>? backlog;
        UnixSocket? peer;
        lock (_lock)
        {
            _closed = true;
            unread = TakeAllMessages();
            backlog = _backlog;
            _backlog = null;
            // One that is closed keeps no other alive.
            (peer, _peer) = (_peer, null);
            _state = State.Unconnected;
        }
        if (!LocalAddress.IsUnnamed)
            _space.Unbind(LocalAddress, this);
        bool reset = unread is not null || _isEmbryo;
        Discard(unread);
        Reject(backlog);
        peer?.OnPeerClosed(this, reset);
        // Blocked senders and connecting sockets find out.
        _waiters.Notify(PollEvents.All);
        NotifySenders();
        _space.Memory.Release(KernelMemory.ObjectCost);
    }

    private static void Reject(Queue<UnixSocket>? backlog)
    {
        while (backlog is not null && backlog.TryDequeue(out UnixSocket? embryo))
            embryo.Release();
    }

    private void OnPeerClosed(UnixSocket peer, bool reset)
    {
        lock (_lock)
        {
            if (!IsConnectionBased)
            {
                _senders?.Remove(peer);
                return;
            }
            if (_peer != peer)
                return;
            _receiveShut = _sendShut = true;
            if (reset)
                _error = ECONNRESET;
        }
        _waiters.Notify(PollEvents.All);
    }

    public override long Shutdown(int how)
    {
        bool read = how is SHUT_RD or SHUT_RDWR, write = how is SHUT_WR or SHUT_RDWR;
        UnixSocket? peer;
        lock (_lock)
        {
            _receiveShut |= read;
            _sendShut |= write;
            peer = _state == State.Connected ? _peer : null;
        }
        if (IsConnectionBased && peer is not null)
        {
            lock (peer._lock)
            {
                peer._receiveShut |= write;
                peer._sendShut |= read;
            }
            peer._waiters.Notify(PollEvents.All);
        }
        _waiters.Notify(PollEvents.All);
        return 0;
    }
}
