using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Console;

/// <summary>
/// Terminals and plain channels: virtio 1.2, 5.3. What the host does not take, the guest waits for: nothing is stored
/// here. One thread serves all ports.
/// </summary>
public sealed class ConsoleDevice : RequestDevice
{
    public const int MaximumPorts = 8;

    internal const ushort QueueSize = 64;

    private const int ControlReceive = 2;
    private const int ControlTransmit = 3;

    private readonly ConsoleStream[] _streams;
    private readonly ConsoleControl _control;

    /// <param name="ports">1 to 8. The first is the one of drivers that know no other.</param>
    /// <exception cref="HostException">A descriptor is none that can be waited for.</exception>
    public ConsoleDevice(GuestRam ram, params ReadOnlySpan<ConsolePort> ports)
        : base("virtio-console", VIRTIO_ID_CONSOLE,
            1UL << VIRTIO_CONSOLE_F_SIZE | 1UL << VIRTIO_CONSOLE_F_MULTIPORT,
            configurationBytes: 12, ram, new ConsoleMetrics(QueueCount(ports.Length)), QueueSizes(ports.Length))
    {
        ConsoleMetrics metrics = (ConsoleMetrics)Metrics;
        _streams = new ConsoleStream[ports.Length];
        for (int i = 0; i < ports.Length; i++)
            _streams[i] = new ConsoleStream(ports[i], metrics);
        _control = new ConsoleControl(_streams, metrics);
        InitialiseConfiguration(new virtio_console_config { max_nr_ports = (uint)ports.Length });
        int[] queues = [.. Enumerable.Range(0, Queues.Count)];
        DeviceWorker worker = AddWorker(queues);
        for (int i = 0; i < ports.Length; i++)
        {
            if (ports[i].Input is { } input)
                worker.Add(2 * i, input, Libc.EPOLLIN | Libc.EPOLLRDHUP);
            if (ports[i].Output is { } output)
                worker.Add((2 * i) + 1, output, Libc.EPOLLOUT);
        }
    }

    /// <summary>The size of the terminals, in characters. Any thread may call.</summary>
    public void Resize(ushort columns, ushort rows)
    {
        ChangeConfiguration(0, columns | (uint)rows << 16);
        _control.Resize(columns, rows);
        Signal(NotifyFile(ControlReceive));
    }

    /// <summary>The guest runs no more: who reads what it wrote to its ports comes to the end of that.</summary>
    public void EndGuest()
    {
        Pause();
        foreach (ConsoleStream stream in _streams)
            stream.EndOutput();
    }

    /// <summary>What a snapshot keeps.</summary>
    public ConsoleState Save() => new([.. _streams.Select(stream => stream.IsOpen)]);

    /// <summary>After the transport was restored, before it resumes. False when the ports are others.</summary>
    public bool TryRestore(ConsoleState state)
    {
        if (state.OpenPorts.Count != _streams.Length)
            return false;
        for (int i = 0; i < _streams.Length; i++)
            _streams[i].IsOpen = state.OpenPorts[i];
        return true;
    }

    protected internal override bool ServeQueue(DeviceWorker worker, int queue)
    {
        bool isMore = queue != ControlReceive
            && (IsTransmit(queue) ? ServeRequests(worker, queue) : ServeOffers(worker, queue));
        _control.TakeResize();
        return ServeOffers(worker, ControlReceive) ? Again(ControlReceive, isMore) : isMore;
    }

    protected internal override void OnReady(DeviceWorker worker, int source, uint events)
    {
        ConsoleStream stream = _streams[source / 2];
        bool isInput = source % 2 == 0;
        stream.MayRead |= isInput;
        int queue = QueueOf(source / 2) + (isInput ? 0 : 1);
        if (ServeQueue(worker, queue))
            Signal(NotifyFile(queue));
    }

    protected internal override void OnResumed(DeviceWorker worker)
    {
        foreach (ConsoleStream stream in _streams)
            stream.MayRead = true;
    }

    protected override RequestResult Serve(int queue, DescriptorChain chain)
    {
        if (queue == ControlTransmit)
        {
            RequestResult result = _control.Take(chain);
            // What came before the guest listened has been told, and is not told again.
            for (int i = 0; i < _streams.Length; i++)
                if (_streams[i].HasInput)
                    Signal(NotifyFile(QueueOf(i)));
            return result;
        }
        ConsoleStream stream = _streams[PortOf(queue)];
        return stream.TryWrite(chain) ? RequestResult.Done(0) : RequestResult.Blocked;
    }

    protected override bool HasOffer(int queue) =>
        queue == ControlReceive
            ? Has(VIRTIO_CONSOLE_F_MULTIPORT) && _control.HasNews : _streams[PortOf(queue)].HasInput;

    protected override RequestResult Offer(int queue, DescriptorChain chain)
    {
        if (queue == ControlReceive)
            return _control.Give(chain);
        if (chain.WritableBytes == 0)
            return RequestResult.Broken(QueueFault.Request);
        uint bytes = _streams[PortOf(queue)].Read(chain);
        return bytes == 0 ? RequestResult.Blocked : RequestResult.Done(bytes);
    }

    protected override void OnActivate()
    {
        // A driver that knows of no ports has the first one open.
        if (!Has(VIRTIO_CONSOLE_F_MULTIPORT))
            _streams[0].IsOpen = true;
    }

    protected override void OnReset()
    {
        foreach (ConsoleStream stream in _streams)
            stream.Reset();
    }

    protected override void OnDispose()
    {
        foreach (ConsoleStream stream in _streams)
        {
            stream.Port.Input?.Dispose();
            stream.Port.Output?.Dispose();
        }
    }

    private bool Again(int queue, bool isMore)
    {
        Signal(NotifyFile(queue));
        return isMore;
    }

    private static bool IsTransmit(int queue) => queue % 2 == 1;

    // The control queues stand between the first port's and the others'.
    private static int QueueOf(int port) => port == 0 ? 0 : (2 * port) + 2;

    private static int PortOf(int queue) => queue < ControlReceive ? 0 : (queue / 2) - 1;

    private static int QueueCount(int ports) => (2 * ports) + 2;

    private static ushort[] QueueSizes(int ports)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(ports, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ports, MaximumPorts);
        ushort[] sizes = new ushort[QueueCount(ports)];
        Array.Fill(sizes, QueueSize);
        return sizes;
    }
}
