using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// The VMM's end of the network channel. The supervisor decides and opens; here requests are sent, and a thread of its
/// own hands the answers to those who wait.
/// </summary>
/// <param name="channel">Stays open as long as the VMM.</param>
sealed class BrokerClient(SeqpacketChannel channel)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, BrokerCall> _pending = [];
    private ulong _lastNumber;
    private int _lookups;
    private bool _gone;

    /// <summary>Sends a request.</summary>
    /// <param name="waiters">Told when the answer is there.</param>
    /// <param name="onDone">Called with it, on the channel's thread; it may only note the fact.</param>
    /// <param name="place">
    /// Where the caller has taken a place for the socket that may come: the call's from now on, until somebody takes
    /// that.
    /// </param>
    /// <returns>Null when too many are without an answer, or nobody is there any more; the place stays the caller's.</returns>
    public BrokerCall? TryBegin(
        NetworkRequest request, WaitQueue? waiters, Action<BrokerCall>? onDone = null, HostSocketBudget? place = null)
    {
        request.Version = NetworkChannel.Version;
        BrokerCall call = new(request, waiters, onDone, place);
        lock (_lock)
        {
            bool isLookup = call.IsLookup;
            if (_gone || _pending.Count >= NetworkChannel.MaximumRequests
                || (isLookup && _lookups >= NetworkChannel.MaximumLookups))
                return null;
            request.Number = ++_lastNumber;
            _pending.Add(request.Number, call);
            if (isLookup)
                _lookups++;
            // Never waits: so many requests always have room in the queue.
            if (channel.TrySend(request, wait: true) != 0)
            {
                _pending.Remove(request.Number);
                return null;
            }
        }
        return call;
    }

    /// <summary>Starts the thread, by one without a role.</summary>
    /// <exception cref="HostException">The host gives no more threads.</exception>
    public void Start() => ThreadFilter.Start("network", ThreadRole.Streams, 128 << 10, Listen);

    private void Listen()
    {
        try
        {
            while (channel.Receive(out NetworkAnswer answer, 1, out FileDescriptor[] sockets))
            {
                BrokerCall? call;
                lock (_lock)
                {
                    if (_pending.Remove(answer.Number, out call) && call.IsLookup)
                        _lookups--;
                }
                FileDescriptor? socket = sockets.Length > 0 ? sockets[0] : null;
                if (call is null)
                    socket?.Dispose();
                else
                    call.Finish(answer, socket);
            }
        }
        catch (Exception gone) when (gone is HostException or ObjectDisposedException)
        {
            // A broken or closed channel is the same as none.
        }
        BrokerCall[] left;
        lock (_lock)
        {
            _gone = true;
            left = [.. _pending.Values];
            _pending.Clear();
        }
        foreach (BrokerCall call in left)
            call.Finish(new NetworkAnswer { Error = ENETDOWN }, null);
        ThreadFilter.Stay();
    }
}

/// <summary>One request, until its answer has been used.</summary>
sealed class BrokerCall(
    NetworkRequest request, WaitQueue? waiters, Action<BrokerCall>? onDone, HostSocketBudget? place)
{
    private readonly NetworkRequest _request = request;
    private NetworkAnswer _answer;
    private FileDescriptor? _socket;
    private volatile bool _isDone;
    private int _abandoned;

    public bool IsLookup => _request.Action == (uint)NetworkAction.Resolve;

    public bool IsDone => _isDone;

    /// <summary>Once done: 0 or a negative errno.</summary>
    public int Error => -_answer.Error;

    /// <summary>Once done.</summary>
    public ref readonly NetworkAnswer Answer => ref _answer;

    /// <summary>Whether another request asks the same.</summary>
    public bool Asks(in NetworkRequest other) =>
        other.Action == _request.Action && other.Protocol == _request.Protocol && other.Flags == _request.Flags
        && InternetAddress.Of(other.Endpoint) == InternetAddress.Of(_request.Endpoint)
        && other.From.Port == _request.From.Port;

    /// <summary>The socket that came with the answer, and the place that was taken for it: the first caller's.</summary>
    public FileDescriptor? TakeSocket() => Interlocked.Exchange(ref _socket, null);

    private void DropSocket()
    {
        if (TakeSocket() is not { } unwanted)
            return;
        unwanted.Dispose();
        place?.GiveBack();
    }

    /// <summary>Nobody wants the answer any more.</summary>
    public void Abandon()
    {
        Volatile.Write(ref _abandoned, 1);
        if (_isDone)
            DropSocket();
    }

    internal void Finish(in NetworkAnswer answer, FileDescriptor? socket)
    {
        if (socket is null)
            place?.GiveBack();
        _answer = answer;
        _socket = socket;
        _isDone = true;
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _abandoned) != 0)
            DropSocket();
        onDone?.Invoke(this);
        waiters?.Notify(PollEvents.All);
    }
}
