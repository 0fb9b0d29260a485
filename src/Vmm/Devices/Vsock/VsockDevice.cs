using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Vsock;

/// <summary>
/// Stream sockets between guest and host: virtio 1.2, 5.10. The host's side are Unix sockets: a client of the listening
/// one writes "CONNECT PORT\n" and reads "OK PORT\n" once the guest has accepted; where the guest connects to is the
/// <see cref="IVsockHost"/>'s to say.
/// </summary>
public sealed class VsockDevice : RequestDevice
{
    public const ulong HostCid = 2;

    private const ushort QueueSize = 256;
    private const int ReceiveQueue = 0;
    private const int TransmitQueue = 1;
    private const int EventQueue = 2;

    private const int ListenerSource = VsockConnections.Sources;

    private readonly DeviceWorker _worker;
    private readonly VsockRequests _requests;
    private readonly FileDescriptor? _listener;
    private readonly Lock _answersLock = new();
    private readonly Queue<(ulong Number, FileDescriptor? File)> _answers = new();
    private readonly ulong _guestCid;
    private bool _tellsReset;
    private volatile bool _guestHasEnded;

    /// <param name="guestCid">3 to 2^32 - 2.</param>
    /// <param name="host">Where the guest's connections lead.</param>
    /// <param name="listener">A listening Unix socket, which the device owns from now on, or null.</param>
    public VsockDevice(GuestRam ram, ulong guestCid, IVsockHost host, FileDescriptor? listener)
        : base(
            "virtio-vsock", VIRTIO_ID_VSOCK, 0, sizeof(ulong), ram, new VsockMetrics(),
            QueueSize, QueueSize, QueueSize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(guestCid, HostCid);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(guestCid, uint.MaxValue);
        _guestCid = guestCid;
        InitialiseConfiguration(new virtio_vsock_config { guest_cid = guestCid });
        _worker = AddWorker(ReceiveQueue, TransmitQueue, EventQueue);
        _requests = new VsockRequests(guestCid, host, new VsockConnections(_worker), (VsockMetrics)Metrics);
        _listener = listener;
        if (listener is not null)
            _worker.Add(ListenerSource, listener, Libc.EPOLLIN);
    }

    /// <summary>Connections of the guest at present.</summary>
    public int Connections => _requests.Connections.Count;

    /// <inheritdoc cref="VsockConnections.Ready"/>
    internal int Ready => _requests.Connections.Ready;

    /// <summary>Says where a connection leads for which the <see cref="IVsockHost"/> wanted time.</summary>
    /// <param name="number">The request's; of one that is not open any more, the file is closed.</param>
    /// <param name="file">A connected stream socket, which the device owns from now on; null to refuse.</param>
    public void Answer(ulong number, FileDescriptor? file)
    {
        lock (_answersLock)
            _answers.Enqueue((number, file));
        Signal(NotifyFile(ReceiveQueue));
    }

    /// <summary>
    /// The guest runs no more: what it had sent still reaches the host's sockets, as they take it, and then their end.
    /// A driver that resets the device before gives up what they have not taken.
    /// </summary>
    public void EndGuest()
    {
        _guestHasEnded = true;
        Signal(NotifyFile(ReceiveQueue));
    }

    public VsockState Save() => new(_guestCid);

    /// <summary>After the transport was restored, before it resumes: the guest's connections are gone.</summary>
    public bool TryRestore(VsockState state)
    {
        _tellsReset = state.GuestCid == _guestCid;
        return _tellsReset;
    }

    protected internal override bool ServeQueue(DeviceWorker worker, int queue)
    {
        if (queue == EventQueue)
            return ServeOffers(worker, EventQueue);
        // Packets that were not told of in time are looked for behind the guest's end.
        bool isMore = (queue == TransmitQueue || _guestHasEnded) && ServeRequests(worker, TransmitQueue);
        if (_guestHasEnded)
        {
            if (!isMore)
                _requests.EndGuest();
            return isMore;
        }
        TakeAnswers();
        _requests.Expire();
        if (ServeOffers(worker, ReceiveQueue))
            Signal(NotifyFile(ReceiveQueue));
        return isMore;
    }

    protected override RequestResult Serve(int queue, DescriptorChain chain) => _requests.Take(chain);

    protected override bool HasOffer(int queue) => queue == EventQueue ? _tellsReset : _requests.HasNews;

    protected override RequestResult Offer(int queue, DescriptorChain chain) =>
        queue == EventQueue ? TellReset(chain) : _requests.Give(chain);

    protected internal override void OnReady(DeviceWorker worker, int source, uint events)
    {
        if (source == ListenerSource)
            Accept();
        else
            _requests.OnReady(source, events);
        if (ServeOffers(worker, ReceiveQueue))
            Signal(NotifyFile(ReceiveQueue));
    }

    protected internal override void OnResumed(DeviceWorker worker)
    {
        if (_listener is not null)
            Accept();
        _requests.OnResumed();
    }

    protected override void OnReset()
    {
        _requests.Reset();
        _tellsReset = false;
    }

    protected override void OnDispose()
    {
        _requests.Reset();
        _listener?.Dispose();
        foreach ((_, FileDescriptor? file) in _answers)
            file?.Dispose();
    }

    private RequestResult TellReset(DescriptorChain chain)
    {
        if (!chain.TryWrite(0, new virtio_vsock_event { id = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET }))
            return RequestResult.Broken(QueueFault.Request);
        _tellsReset = false;
        return RequestResult.Done(sizeof(uint));
    }

    private unsafe void Accept()
    {
        while (true)
        {
            int fd = Libc.accept4(_listener!.Value, null, null, Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK);
            if (fd >= 0 && _guestHasEnded)
                new FileDescriptor(fd).Dispose();
            else if (fd >= 0)
                _requests.Welcome(new FileDescriptor(fd));
            else if (Libc.errno is not (Libc.EINTR or Libc.ECONNABORTED))
                return;
        }
    }

    private void TakeAnswers()
    {
        while (true)
        {
            (ulong Number, FileDescriptor? File) next;
            lock (_answersLock)
            {
                if (!_answers.TryDequeue(out next))
                    return;
            }
            _requests.Answer(next.Number, next.File);
        }
    }
}
