using System.Runtime.InteropServices;
using Sandbox.Host;
using static Sandbox.Host.Libc;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Virtio;

/// <summary>
/// A virtio device without its transport: queues, configuration, workers. A device says what it supports in its
/// constructor, and serves in <see cref="ServeQueue"/>, which runs only between activation and reset and never while
/// paused. Failures of the driver are values; see <see cref="Fail"/>.
/// </summary>
public abstract class VirtioDevice : IDisposable
{
    private const ulong CommonFeatures =
        1UL << VIRTIO_F_VERSION_1 | 1UL << VIRTIO_RING_F_EVENT_IDX | 1UL << VIRTIO_RING_F_INDIRECT_DESC;

    /// <summary>Chains that one queue gets served in one turn, so that a device's other queues get theirs.</summary>
    protected const int TurnLimit = 256;

    private readonly SplitQueue[] _queues;
    private readonly FileDescriptor[] _notifyFiles;
    private readonly List<DeviceWorker> _workers = [];
    private readonly Lock _configurationLock = new();
    private IVirtioTransport? _transport;
    private bool _isActive;
    private bool _isPaused;
    private volatile bool _isBroken;

    /// <param name="name">In metrics and names of threads: short, lower case.</param>
    /// <param name="type">VIRTIO_ID_*.</param>
    /// <param name="features">Of this kind of device; those of queues are added.</param>
    /// <param name="configurationBytes">
    /// Length of the device's configuration: up to <see cref="RegisterPage.MaximumConfiguration"/>.
    /// </param>
    /// <param name="queueSizes">The most descriptors of each queue: powers of two.</param>
    protected VirtioDevice(
        string name, int type, ulong features, int configurationBytes, GuestRam ram, DeviceMetrics metrics,
        params ReadOnlySpan<ushort> queueSizes)
    {
        Name = name;
        Type = type;
        Features = features | CommonFeatures;
        Metrics = metrics;
        Ram = ram;
        Registers = new RegisterPage(configurationBytes);
        _queues = new SplitQueue[queueSizes.Length];
        _notifyFiles = new FileDescriptor[queueSizes.Length];
        for (int i = 0; i < queueSizes.Length; i++)
        {
            _queues[i] = new SplitQueue(ram, queueSizes[i]);
            _notifyFiles[i] = CreateEvent();
        }
    }

    public string Name { get; }

    /// <summary>VIRTIO_ID_*.</summary>
    public int Type { get; }

    /// <summary>What the device offers.</summary>
    public ulong Features { get; }

    public DeviceMetrics Metrics { get; }

    /// <summary>The device's queues, by number.</summary>
    public IReadOnlyList<SplitQueue> Queues => _queues;

    /// <summary>What the driver reads; the transport's and, behind it, the configuration.</summary>
    public RegisterPage Registers { get; }

    /// <summary>What both sides agreed on, while the device is active.</summary>
    protected ulong Negotiated { get; private set; }

    /// <summary>The eventfd that a notification of this queue raises.</summary>
    public FileDescriptor NotifyFile(int queue) => _notifyFiles[queue];

    protected GuestRam Ram { get; }

    protected bool Has(int feature) => (Negotiated & (1UL << feature)) != 0;

    /// <summary>Serves a queue for one turn, on a worker.</summary>
    /// <returns>Whether chains are left that nothing will tell of.</returns>
    protected internal abstract bool ServeQueue(DeviceWorker worker, int queue);

    /// <summary>A host descriptor of this worker changed.</summary>
    protected internal virtual void OnReady(DeviceWorker worker, int source, uint events)
    {
    }

    /// <summary>The worker serves again, and has missed what its host descriptors told meanwhile.</summary>
    protected internal virtual void OnResumed(DeviceWorker worker)
    {
    }

    /// <summary>Whether a request that was kept has ended, and waits to be given back.</summary>
    protected internal virtual bool HasEnded(int queue) => false;

    /// <summary>
    /// The worker stops serving: nothing that it has begun is under way afterwards. On the thread of whoever suspends
    /// it, who holds it; the driver's memory is still the device's.
    /// </summary>
    /// <param name="isReset">
    /// The driver wants no answers any more. The thread is a vCPU's, which may not make a device's system calls.
    /// </param>
    protected internal virtual void OnSuspended(DeviceWorker worker, bool isReset)
    {
    }

    /// <summary>The driver is ready. No worker serves yet.</summary>
    protected virtual void OnActivate()
    {
    }

    /// <summary>Back to how the device began. No worker serves any more.</summary>
    protected virtual void OnReset()
    {
    }

    /// <summary>Whether these features make sense together. They are all offered.</summary>
    protected internal virtual bool Accepts(ulong features) => true;

    /// <summary>The driver writes configuration. False where it cannot be written.</summary>
    protected internal virtual bool TryWriteConfiguration(uint offset, ReadOnlySpan<byte> data) => false;

    /// <summary>A thread for these queues. Each queue has one.</summary>
    protected DeviceWorker AddWorker(params ReadOnlySpan<int> queues)
    {
        DeviceWorker worker = new(this, queues);
        _workers.Add(worker);
        return worker;
    }

    /// <summary>Sets configuration before anybody can read it.</summary>
    protected void InitialiseConfiguration<T>(T value)
        where T : unmanaged =>
        MemoryMarshal.Write(Registers.Configuration, value);

    /// <summary>
    /// Changes configuration, and tells the driver. One that is reading meanwhile sees another generation, before or
    /// after: the change is one store between two of the generation's (virtio 1.2, 2.5.2).
    /// </summary>
    /// <param name="offset">A multiple of 4.</param>
    protected void ChangeConfiguration(int offset, uint value)
    {
        ref int generation = ref Registers[VIRTIO_MMIO_CONFIG_GENERATION];
        lock (_configurationLock)
        {
            Interlocked.Increment(ref generation);
            Volatile.Write(ref Registers[VIRTIO_MMIO_CONFIG + offset], (int)value);
            Interlocked.Increment(ref generation);
        }
        _transport?.InterruptConfiguration();
    }

    /// <summary>Configuration as the driver wrote it: no change that it need be told of.</summary>
    protected void StoreConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
        lock (_configurationLock)
            data.CopyTo(Registers.Configuration[(int)offset..]);
    }

    /// <summary>Shows the driver what was pushed, and interrupts it when it wants that.</summary>
    protected void Publish(SplitQueue queue)
    {
        if (queue.Publish() && _transport is { } transport)
        {
            Metrics.CountInterrupt();
            transport.InterruptUsed();
        }
    }

    /// <summary>The driver broke a rule, and there is no way to go on: nothing is served until it resets.</summary>
    protected void Fail(QueueFault fault)
    {
        Metrics.Add(fault);
        _isBroken = true;
        _transport?.NeedReset();
    }

    /// <summary>Whether anything may be served: a driver that failed once is not listened to.</summary>
    internal bool IsBroken => _isBroken;

    internal IReadOnlyList<DeviceWorker> Workers => _workers;

    internal void Attach(IVirtioTransport transport) => _transport = transport;

    /// <summary>Starts the threads. Not before the process's filters, if it has any.</summary>
    internal void Start()
    {
        foreach (DeviceWorker worker in _workers)
            worker.Start(Name);
    }

    /// <summary>DRIVER_OK. The transport's lock is held, as it is for all that follows.</summary>
    internal void Activate(ulong features)
    {
        Negotiated = features;
        foreach (SplitQueue queue in _queues)
            queue.Activate(features);
        OnActivate();
        _isActive = true;
        foreach (DeviceWorker worker in _workers)
            worker.Resume();
    }

    /// <summary>Waits for what is being served, and gives everything back.</summary>
    internal void Reset()
    {
        if (_isActive)
        {
            _isActive = false;
            foreach (DeviceWorker worker in _workers)
                worker.Suspend(isReset: true);
            OnReset();
        }
        foreach (SplitQueue queue in _queues)
            queue.Disable();
        _isBroken = false;
        Negotiated = 0;
    }

    /// <summary>Waits for what is being served; nothing is until <see cref="Resume"/>.</summary>
    internal void Pause()
    {
        if (_isPaused)
            return;
        _isPaused = true;
        foreach (DeviceWorker worker in _workers)
            worker.Suspend();
    }

    internal void Resume()
    {
        if (!_isPaused)
            return;
        _isPaused = false;
        foreach (DeviceWorker worker in _workers)
            worker.Resume();
    }

    internal static FileDescriptor CreateEvent()
    {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
            throw HostException.Last("eventfd");
        return new FileDescriptor(fd);
    }

    /// <summary>A full counter (EAGAIN) says the same as one more.</summary>
    internal static void Signal(FileDescriptor file)
    {
        ulong one = 1;
        file.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in one)));
    }

    internal static void Drain(FileDescriptor file)
    {
        ulong count = 0;
        file.Read(MemoryMarshal.AsBytes(new Span<ulong>(ref count)));
    }

    /// <summary>Ends the threads, after what is being served.</summary>
    public void Dispose()
    {
        foreach (DeviceWorker worker in _workers)
            worker.Stop();
        OnDispose();
        foreach (DeviceWorker worker in _workers)
            worker.Dispose();
        foreach (FileDescriptor file in _notifyFiles)
            file.Dispose();
        Registers.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes what the device was given. No thread of it is left.</summary>
    protected virtual void OnDispose()
    {
    }
}
