using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

// Names and connections. The guest's own loopback network comes first: an address of it on which a program of the
// guest listens is never asked about outside.
public sealed partial class InternetSocket
{
    /// <summary>A question that a signal cut short: its answer is used when the call is repeated.</summary>
    private BrokerCall? _interrupted;

    internal override long Bind(GuestThread thread, ReadOnlySpan<byte> bytes)
    {
        long result = InternetAddress.TryParse(Domain, bytes, out InternetAddress address);
        if (result != 0)
            return result;
        lock (_lock)
        {
            if (_isBound || _state != State.Unconnected)
                return -EINVAL;
            _isBound = true;
        }
        result = BindInside(address);
        // A port of nobody's choice is inside only: outside, nobody could know it.
        if (result == 0 && address.Port != 0)
            result = BindOutside(thread, address);
        if (result != 0)
            Unbind();
        return result;
    }

    private long BindInside(InternetAddress address)
    {
        if (address.Port == 0 && !address.IsAny && !address.IsLoopback)
            return -EADDRNOTAVAIL;
        long result = _stack.Ports.TryBind(this, ref address);
        if (result != 0)
            return result;
        Local = address;
        _loopback.Rename(SocketAddress.Internet(address));
        return 0;
    }

    /// <summary>Asks the supervisor for the host's port too.</summary>
    private long BindOutside(GuestThread thread, InternetAddress address)
    {
        NetworkRequest request = new()
        {
            Action = (uint)NetworkAction.Listen,
            Protocol = (uint)(IsStream ? NetworkProtocol.Tcp : NetworkProtocol.Udp),
            Endpoint = address.ToEndpoint(),
            Flags = (GetSwitch(SO_REUSEADDR) ? NetworkRequestFlags.ReuseAddress : 0)
                | (IsSixOnly ? NetworkRequestFlags.SixOnly : 0),
        };
        long result = Ask(thread, request, out BrokerCall? call);
        if (result != 0)
            return result == -EACCES && address.IsLoopback ? 0 : result;
        HostSocket? host = Take(call!);
        if (host is null)
            return -ENOBUFS;
        lock (_lock)
        {
            // Connected by another thread since: as if it had been bound before, see ConnectStream.
            if (IsStream && _state is State.Connecting or State.Connected)
                host.Dispose();
            else
                _host = host;
        }
        Queue.Notify(PollEvents.All);
        return 0;
    }

    private void Unbind()
    {
        _stack.Ports.Unbind(this);
        lock (_lock)
        {
            Local = InternetAddress.Any(Domain);
            _isBound = false;
        }
    }

    /// <summary>Gives a socket that was not bound a port of its own.</summary>
    private long BindAutomatically(InternetAddress address)
    {
        lock (_lock)
        {
            if (_isBound)
                return 0;
            _isBound = true;
        }
        long result = BindInside(address);
        if (result != 0)
            Unbind();
        return result == -EADDRINUSE ? -EAGAIN : result;
    }

    internal override long Listen(GuestThread thread, int backlog) =>
        Listen(backlog, UnixSocket.CredentialsOf(thread));

    internal long Listen(int backlog, in ucred credentials)
    {
        if (!IsStream)
            return -EOPNOTSUPP;
        lock (_lock)
        {
            if (_state is State.Connected or State.Connecting)
                return -EINVAL;
        }
        long result = BindAutomatically(InternetAddress.Any(Domain));
        if (result == 0)
            result = _loopback.Listen(backlog, credentials);
        if (result == 0)
        {
            lock (_lock)
                _state = State.Listening;
        }
        return result;
    }

    /// <summary>Binds and listens for the VMM itself, on an address of the guest's own network.</summary>
    internal long Serve(InternetAddress address)
    {
        lock (_lock)
            _isBound = true;
        long result = BindInside(address);
        return result != 0 || !IsStream ? result : Listen(SOMAXCONN, default);
    }

    internal override long TryAccept(GuestThread thread, out Socket? accepted)
    {
        accepted = null;
        if (!IsStream)
            return -EOPNOTSUPP;
        AnonymousInode inode = thread.Personality.CreateInode(thread, AnonymousDevices.Sockets);
        long result = TryAccept(inode, out InternetSocket? connection);
        accepted = connection;
        return result;
    }

    internal long TryAccept(AnonymousInode inode, out InternetSocket? connection)
    {
        connection = null;
        long result = _loopback.TryAccept(out UnixSocket? inner);
        if (result == 0)
        {
            connection = _stack.TryAdopt(Domain, inner!, inode);
            if (connection is null)
                return -ENFILE;
            connection._remote = Inside(inner!.PeerAddress, Domain);
            connection.Local = connection._remote.IsFour
                ? InternetAddress.Four(INADDR_LOOPBACK, Local.Port)
                : new InternetAddress(1, Local.Port);
            connection._state = State.Connected;
            connection._isBound = true;
            return 0;
        }
        return result == -EAGAIN ? AcceptOutside(inode, out connection) : result;
    }

    private long AcceptOutside(AnonymousInode inode, out InternetSocket? connection)
    {
        connection = null;
        long descriptor;
        InternetAddress peer;
        lock (_lock)
        {
            if (_host is null)
                return -EAGAIN;
            descriptor = _host.Accept(out peer);
        }
        if (descriptor < 0)
            return descriptor;
        FileDescriptor file = new((int)descriptor);
        InternetSocket? socket = _stack.TryCreate(Domain, SOCK_STREAM, nonBlocking: false, inode);
        if (socket is null)
        {
            file.Dispose();
            return -ENFILE;
        }
        socket._host = HostSocket.TryCreate(file, _stack.Poller, socket.Queue, _stack.HostSockets);
        if (socket._host is null)
        {
            socket.Release();
            return -ENOBUFS;
        }
        socket._remote = peer;
        socket.Local = socket._host.LocalName() with { Port = Local.Port };
        socket._state = State.Connected;
        socket._isBound = true;
        connection = socket;
        return 0;
    }

    internal override long Connect(GuestThread thread, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length >= SocketAddress.FamilySize && BitConverter.ToUInt16(bytes) == AF_UNSPEC)
            return IsStream ? DisconnectStream() : Disconnect();
        long result = InternetAddress.TryParse(Domain, bytes, out InternetAddress address);
        if (result != 0)
            return result;
        if (IsSixOnly && address.IsFour)
            return -ENETUNREACH;
        return IsStream ? ConnectStream(thread, address.Destination) : ConnectDatagrams(thread, address.Destination);
    }

    private long ConnectStream(GuestThread thread, InternetAddress destination)
    {
        bool begun = false;
        lock (_lock)
        {
            State before = _state;
            Settle();
            switch (_state)
            {
                // Said once, by the connect(2) that follows the one that began.
                case State.Connected:
                    return before == State.Connecting ? 0 : -EISCONN;
                case State.Listening:
                    return -EISCONN;
                case State.Connecting when IsNonBlocking:
                    return -EALREADY;
                case State.Unconnected when before == State.Connecting:
                    return -TakeErrorLocked();
                case State.Connecting:
                    begun = true;
                    break;
                default:
                    if (_error != 0)
                        return -TakeErrorLocked();
                    // Bound, and already listening outside: not what the guest wants any more.
                    DropHost();
                    break;
            }
        }
        if (!begun)
        {
            long result = ConnectInside(thread, destination);
            if (result != -ENETUNREACH)
                return result;
            result = ConnectOutside(thread, destination);
            if (result != 0)
                return result;
        }
        return AwaitConnection(thread);
    }

    /// <summary>
    /// connect(2) with AF_UNSPEC, and shutdown(2) of what listens. It remains bound on the guest's own network.
    /// </summary>
    private long DisconnectStream()
    {
        lock (_lock)
        {
            DropHost();
            _state = State.Unconnected;
            _error = 0;
            if (!_isBound)
                Local = InternetAddress.Any(Domain);
        }
        _loopback.Disconnect();
        return 0;
    }

    private int TakeErrorLocked()
    {
        int error = _error;
        _error = 0;
        return error;
    }

    /// <returns>-ENETUNREACH when nobody inside has that address.</returns>
    private long ConnectInside(GuestThread thread, InternetAddress destination)
    {
        if (!destination.IsLoopback || _stack.Ports.Find(SOCK_STREAM, destination) is not { } listener)
            return -ENETUNREACH;
        long result = -ENETUNREACH;
        if (listener.IsListening)
        {
            result = BindAutomatically(LoopbackOf(destination));
            if (result == 0)
                result = _loopback.ConnectStream(thread, listener._loopback, IsNonBlocking);
        }
        listener.Release();
        if (result == 0)
        {
            lock (_lock)
            {
                _remote = destination;
                if (Local.IsAny)
                    Local = LoopbackOf(destination) with { Port = Local.Port };
                _state = State.Connected;
            }
        }
        return result;
    }

    private static InternetAddress LoopbackOf(InternetAddress destination) =>
        destination.IsFour ? InternetAddress.Four(INADDR_LOOPBACK, 0) : new InternetAddress(1, 0);

    private long ConnectOutside(GuestThread thread, InternetAddress destination)
    {
        NetworkRequest request = new()
        {
            Action = (uint)NetworkAction.Connect,
            Protocol = (uint)NetworkProtocol.Tcp,
            Endpoint = destination.ToEndpoint(),
        };
        long result = Ask(thread, request, out BrokerCall? call);
        if (result != 0)
            return Outside(result, destination);
        HostSocket? host = Take(call!);
        if (host is null)
            return -ENOBUFS;
        lock (_lock)
        {
            if (_state != State.Unconnected)
            {
                // Another thread was quicker.
                host.Dispose();
                return -EALREADY;
            }
            // Another thread may have bound it since.
            DropHost();
            _host = host;
            _remote = destination;
            Local = InternetAddress.Of(call!.Answer.Local);
            _state = State.Connecting;
        }
        return 0;
    }

    /// <summary>Nobody is there, on the guest's own network: that is not a matter of rules.</summary>
    private static long Outside(long result, InternetAddress destination) =>
        result == -EACCES && destination.IsLoopback ? -ECONNREFUSED : result;

    private long AwaitConnection(GuestThread thread)
    {
        long deadline = WriteDeadline(HostClock.MonotonicNanoseconds());
        using Blocking wait = new(thread, Queue, PollEvents.Writable);
        while (true)
        {
            lock (_lock)
            {
                Settle();
                if (_state == State.Connected)
                    return 0;
                if (_state != State.Connecting)
                    return _error == 0 ? -ECONNABORTED : -TakeErrorLocked();
            }
            if (IsNonBlocking)
                return -EINPROGRESS;
            long slept = wait.Sleep(deadline, Interrupted(deadline));
            if (slept != 0)
                return slept == -ETIMEDOUT ? -EINPROGRESS : slept;
        }
    }

    /// <summary>Asks the supervisor, and waits for what it says.</summary>
    /// <returns>0, what was said, or a code of <see cref="Restart"/>.</returns>
    private long Ask(GuestThread thread, in NetworkRequest request, out BrokerCall? answered)
    {
        answered = null;
        BrokerCall? call = Interlocked.Exchange(ref _interrupted, null);
        if (call is not null && !call.Asks(request))
        {
            call.Abandon();
            call = null;
        }
        if (call is null && _stack.HostSockets.TryTake()
            && (call = _stack.Broker.TryBegin(request, Queue, place: _stack.HostSockets)) is null)
            _stack.HostSockets.GiveBack();
        if (call is null)
            return -ENOBUFS;
        using (Blocking wait = new(thread, Queue, PollEvents.All))
        {
            while (!call.IsDone)
            {
                long slept = wait.Sleep();
                if (slept == 0)
                    continue;
                Interlocked.Exchange(ref _interrupted, call)?.Abandon();
                return slept;
            }
        }
        answered = call;
        return call.Error;
    }

    /// <summary>The socket that came with an answer; null when there is none.</summary>
    private HostSocket? Take(BrokerCall call)
    {
        if (call.TakeSocket() is not { } file)
            return null;
        HostSocket host = HostSocket.Adopt(file, _stack.Poller, Queue, _stack.HostSockets);
        _options.Apply(host);
        return host;
    }

    /// <summary>The address that a loopback socket has as its name, as others inside see it.</summary>
    private static InternetAddress Inside(SocketAddress? name, int family)
    {
        InternetAddress address = name is { IsAbstract: true } ? name.ToInternet() : InternetAddress.Any(family);
        return address.Destination;
    }
}
