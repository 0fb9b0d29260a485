using Sandbox.Host;
using Sandbox.Vmm.Personality.Terminals;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// A socket of the host that the supervisor opened: connected, connecting or bound. It is only ever used as it came:
/// nothing here names an address to the host's kernel. Never waits.
/// </summary>
sealed unsafe class HostSocket : IDisposable
{
    private readonly FileDescriptor _file;
    private readonly HostPoller.Registration _readiness;
    private readonly WaitQueue _waiters;
    private readonly HostSocketBudget _budget;

    /// <summary>False only when the host has nothing to read; so that many sockets need not all be asked.</summary>
    private volatile bool _mayRead = true;

    private HostSocket(FileDescriptor file, HostPoller poller, WaitQueue waiters, HostSocketBudget budget)
    {
        _file = file;
        _waiters = waiters;
        _budget = budget;
        _readiness = poller.Register(file, waiters, OnReady);
    }

    /// <summary>Takes the descriptor over; null (and it is closed) when the guest has too many.</summary>
    public static HostSocket? TryCreate(
        FileDescriptor file, HostPoller poller, WaitQueue waiters, HostSocketBudget budget)
    {
        if (budget.TryTake())
            return Adopt(file, poller, waiters, budget);
        file.Dispose();
        return null;
    }

    /// <summary>Takes the descriptor over, and the place that was taken for it before it came.</summary>
    public static HostSocket Adopt(
        FileDescriptor file, HostPoller poller, WaitQueue waiters, HostSocketBudget budget) =>
        new(file, poller, waiters, budget);

    public bool MayRead => _mayRead;

    private void OnReady(PollEvents events)
    {
        if ((events & ~PollEvents.Writable) != 0)
            _mayRead = true;
    }

    /// <param name="flags">MSG_PEEK, or 0.</param>
    /// <param name="from">Who sent it, for a socket that is not connected.</param>
    /// <param name="length">The length of the whole datagram.</param>
    public long Receive(Span<byte> buffer, int flags, bool isStream, out InternetAddress from, out int length)
    {
        from = default;
        sockaddr_in6 address = default;
        uint addressLength = (uint)sizeof(sockaddr_in6);
        long result;
        fixed (byte* data = buffer)
        {
            // MSG_TRUNC on a stream would throw the bytes away.
            int all = MSG_DONTWAIT | flags | (isStream ? 0 : MSG_TRUNC);
            result = Answer(recvfrom(_file.Value, data, (nuint)buffer.Length, all, &address, &addressLength));
        }
        length = (int)Math.Max(result, 0);
        if (result == -EAGAIN || (result >= 0 && !_waiters.IsEmpty))
            AwaitMore(result == -EAGAIN);
        if (result < 0)
            return result;
        if (addressLength >= InternetAddress.FourSize)
            from = InternetAddress.Of(address);
        return Math.Min(result, buffer.Length);
    }

    private void AwaitMore(bool isEmpty)
    {
        // Before it is armed: what arrives in between is told by arming.
        if (isEmpty)
            _mayRead = false;
        _readiness.Arm(PollEvents.In);
    }

    public long Send(ReadOnlySpan<byte> data, int flags)
    {
        long result;
        fixed (byte* bytes = data)
            result = Answer(send(_file.Value, bytes, (nuint)data.Length, MSG_DONTWAIT | MSG_NOSIGNAL | (flags & MSG_MORE)));
        if (result == -EAGAIN || (result >= 0 && !_waiters.IsEmpty))
            _readiness.Arm(PollEvents.Out);
        return result;
    }

    /// <summary>What is ready; those who will wait for what is not are told.</summary>
    public PollEvents Poll()
    {
        pollfd one = new() { fd = _file.Value, events = POLLIN | POLLOUT | POLLRDHUP };
        PollEvents ready = poll(&one, 1, 0) < 0 ? PollEvents.None : (PollEvents)(ushort)one.revents;
        PollEvents missing = (PollEvents.In | PollEvents.Out) & ~ready;
        if ((ready & ~PollEvents.Out) == 0)
            _mayRead = false;
        if (missing != PollEvents.None && (ready & PollEvents.HangUp) == 0)
            _readiness.Arm(missing);
        if ((ready & PollEvents.In) != 0)
            ready |= PollEvents.Readable;
        if ((ready & PollEvents.Out) != 0)
            ready |= PollEvents.Writable;
        return ready;
    }

    /// <summary>accept4(2): a descriptor, or a negative errno.</summary>
    public long Accept(out InternetAddress peer)
    {
        sockaddr_in6 address = default;
        uint length = (uint)sizeof(sockaddr_in6);
        long result = Answer(accept4(_file.Value, &address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK));
        peer = result < 0 ? default : InternetAddress.Of(address);
        if (result == -EAGAIN || !_waiters.IsEmpty)
            _readiness.Arm(PollEvents.In);
        return result;
    }

    /// <summary>What the host's kernel has bound it to.</summary>
    public InternetAddress LocalName()
    {
        sockaddr_in6 address = default;
        uint length = (uint)sizeof(sockaddr_in6);
        return Errands.Call(SYS_getsockname, _file.Value, (nint)(&address), (nint)(&length)) == 0
            ? InternetAddress.Of(address) : default;
    }

    public long Shutdown(int how) => Errands.Call(SYS_shutdown, _file.Value, how);

    /// <summary>SO_ERROR: read once.</summary>
    public int TakeError()
    {
        long result = GetOption(SOL_SOCKET, SO_ERROR, out int error);
        return result == 0 ? error : (int)-result;
    }

    public long SetOption(int level, int option, int value) =>
        Errands.Call(SYS_setsockopt, _file.Value, level, option, (nint)(&value), sizeof(int));

    public long GetOption(int level, int option, out int value)
    {
        int answer = 0;
        uint length = sizeof(int);
        long result = Errands.Call(SYS_getsockopt, _file.Value, level, option, (nint)(&answer), (nint)(&length));
        value = answer;
        return result;
    }

    /// <summary>FIONREAD or SIOCOUTQ: bytes, 0 when the host does not say.</summary>
    public int Count(uint request)
    {
        int count = 0;
        return _file.Control(request, &count) >= 0 ? count : 0;
    }

    public void Dispose()
    {
        _readiness.Dispose();
        _file.Dispose();
        _budget.GiveBack();
    }

    private static long Answer(nint result) => result >= 0 ? result : errno == EINTR ? -EAGAIN : -errno;
}

/// <summary>How many sockets of the host the guest may hold at once.</summary>
sealed class HostSocketBudget(int limit)
{
    private int _used;

    public int Used => Volatile.Read(ref _used);

    public bool TryTake()
    {
        if (Interlocked.Increment(ref _used) <= limit)
            return true;
        Interlocked.Decrement(ref _used);
        return false;
    }

    public void GiveBack() => Interlocked.Decrement(ref _used);
}
