using Sandbox.Host;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// A socket of AF_INET or AF_INET6: TCP or UDP. What stays inside the guest goes through a Unix socket that each has
/// (<see cref="_loopback"/>), which also has the wait queue and what poll(2) sees; what leaves it, through sockets of
/// the host that the supervisor opened. This part holds the state.
/// </summary>
/// <remarks>
/// <see cref="_lock"/> guards the state and all use of host sockets, so that none is closed in use. No call to the
/// loopback socket is made under it.
/// </remarks>
public sealed partial class InternetSocket : Socket, ISendTarget
{
    private enum State
    {
        Unconnected,
        /// <summary>Over the host, and not yet known how it ends.</summary>
        Connecting,
        Connected,
        Listening,
    }

    private readonly Lock _lock = new();
    private readonly InternetStack _stack;
    private readonly AnonymousInode _inode;
    private readonly UnixSocket _loopback;
    private State _state;
    private bool _isBound;
    private int _error;
    private InternetAddress _remote;

    /// <summary>TCP: the connection or the listening socket. UDP: the bound one. Null for what stays inside.</summary>
    private HostSocket? _host;

    /// <param name="loopback">Taken over. Two objects have been charged to the guest's budget.</param>
    internal InternetSocket(InternetStack stack, AnonymousInode inode, int domain, UnixSocket loopback, bool nonBlocking)
        : base(loopback.Type, nonBlocking)
    {
        _stack = stack;
        _inode = inode;
        _loopback = loopback;
        Domain = domain;
        Local = InternetAddress.Any(domain);
        _options = new InternetOptions(loopback.Type);
    }

    /// <summary>Whether socket(2) makes sockets of this kind.</summary>
    public static long CheckKind(int type, int protocol) => type switch
    {
        SOCK_STREAM => protocol is 0 or IPPROTO_TCP ? 0 : -EPROTONOSUPPORT,
        SOCK_DGRAM => protocol is 0 or IPPROTO_UDP ? 0 : -EPROTONOSUPPORT,
        SOCK_RAW => -EPERM,
        _ => -ESOCKTNOSUPPORT,
    };

    public override int Domain { get; }

    public override int Protocol => IsStream ? IPPROTO_TCP : IPPROTO_UDP;

    public override string DisplayName => $"socket:[{_inode.Number}]";

    internal override WaitQueue Queue => _loopback.Queue;

    WaitQueue ISendTarget.Queue => _loopback.Queue;

    /// <summary>What getsockname(2) shows.</summary>
    private InternetAddress Local { get; set; }

    /// <summary>Where others inside find it. Written and read by <see cref="LoopbackPorts"/>, under its lock.</summary>
    internal InternetAddress Bound { get; set; }

    /// <summary>The host's socket that all comes from and goes to, if there is one. Under the lock.</summary>
    private HostSocket? Connection => !IsStream ? _peer?.Host : _state == State.Listening ? null : _host;

    public override bool IsListening
    {
        get
        {
            lock (_lock)
                return _state == State.Listening;
        }
    }

    public override long GetStatus(out stat status)
    {
        status = _inode.Status(S_IFSOCK | 0x1ff, 4096);
        return 0;
    }

    internal override int FormatName(Span<byte> destination) => Local.Format(Domain, destination);

    internal override long FormatPeerName(Span<byte> destination)
    {
        lock (_lock)
        {
            Settle();
            return _state == State.Connected ? _remote.Format(Domain, destination) : -ENOTCONN;
        }
    }

    public override int TakeError()
    {
        lock (_lock)
        {
            Settle();
            int error = _error;
            _error = 0;
            return error != 0 ? error : Connection?.TakeError() ?? 0;
        }
    }

    /// <summary>Finds out how a connection over the host has ended. Under the lock.</summary>
    private void Settle()
    {
        if (_state != State.Connecting)
            return;
        if ((_host!.Poll() & (PollEvents.Out | PollEvents.Error | PollEvents.HangUp)) == 0)
            return;
        _error = _host.TakeError();
        if (_error == 0)
        {
            _state = State.Connected;
            return;
        }
        _state = State.Unconnected;
        DropHost();
    }

    private void DropHost()
    {
        _host?.Dispose();
        _host = null;
    }

    public override PollEvents Poll()
    {
        PollEvents events = PollEvents.None;
        bool usesLoopback;
        lock (_lock)
        {
            Settle();
            if (_error != 0)
                events |= PollEvents.Error | PollEvents.Readable;
            usesLoopback = IsStream ? _host is null || _state == State.Listening : _peer is null;
            if (!IsStream)
                events |= PollAssociations();
            if (!IsStream && _state == State.Connected)
            {
                if (HasDatagramOfPeer())
                    events |= PollEvents.Readable;
            }
            else if (_host is not null)
            {
                PollEvents ready = _host.Poll();
                // What listens, or is bound for datagrams, is one source of several.
                events |= usesLoopback ? ready & (PollEvents.Readable | PollEvents.Error) : ready;
            }
        }
        return usesLoopback ? events | _loopback.Poll() : events;
    }

    public override long Shutdown(int how)
    {
        State state;
        lock (_lock)
        {
            Settle();
            state = _state;
            if (state is State.Connected or State.Connecting && Connection is { } host)
                return host.Shutdown(how);
        }
        switch (state)
        {
            case State.Listening:
                return how == SHUT_WR ? 0 : DisconnectStream();
            case State.Unconnected when IsStream:
                return -ENOTCONN;
            case State.Unconnected:
                // As in the kernel, who waits for datagrams is sent away all the same.
                _loopback.Shutdown(how);
                return -ENOTCONN;
            default:
                return _loopback.Shutdown(how);
        }
    }

    public override long Ioctl(GuestThread thread, uint request, ulong argument)
    {
        if (request is not (FIONREAD or SIOCOUTQ))
            return -ENOTTY;
        int count;
        lock (_lock)
            count = Connection?.Count(request) ?? 0;
        if (count == 0)
            return _loopback.Ioctl(thread, request, argument);
        return thread.Memory.TryWrite(new Memory.VirtualAddress(argument), count) ? 0 : -EFAULT;
    }

    protected override void Close()
    {
        _stack.Ports.Unbind(this);
        lock (_lock)
        {
            DropHost();
            DropAssociations();
        }
        Interlocked.Exchange(ref _interrupted, null)?.Abandon();
        _loopback.Release();
        _stack.Memory.Release(KernelMemory.ObjectCost);
    }
}
