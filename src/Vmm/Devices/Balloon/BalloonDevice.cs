using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Balloon;

/// <summary>
/// Memory that the guest gives back: virtio 1.2, 5.5. Pages in the balloon, and free pages that the guest reports, go
/// back to the host. It is no limit: a guest may take its pages again at any time.
/// </summary>
public sealed class BalloonDevice : RequestDevice
{
    private const ushort QueueSize = 128;
    private const int InflateQueue = 0;
    private const int DeflateQueue = 1;
    private const int ActualOffset = 4;
    private const int None = -1;
    private const long NanosecondsPerMillisecond = 1_000_000;

    private readonly BalloonRequests _requests;
    private readonly object _lock = new();
    private readonly ulong[] _statistics = new ulong[VIRTIO_BALLOON_S_NR];
    private uint _target;
    private long _reports;
    private int _statisticsQueue = None;
    private int _reportingQueue;
    private bool _holdsStatistics;
    private ushort _statisticsHead;
    private bool _wantsStatistics;

    /// <param name="deflatesOnOom">Whether the guest may take pages back rather than kill a process.</param>
    public BalloonDevice(GuestRam ram, bool deflatesOnOom)
        : base("virtio-balloon", VIRTIO_ID_BALLOON,
            1UL << VIRTIO_BALLOON_F_STATS_VQ | 1UL << VIRTIO_BALLOON_F_REPORTING
                | (deflatesOnOom ? 1UL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM : 0),
            configurationBytes: 16, ram, new BalloonMetrics(), QueueSize, QueueSize, QueueSize, QueueSize)
    {
        _requests = new BalloonRequests(ram, (BalloonMetrics)Metrics);
        AddWorker(0, 1, 2, 3);
    }

    /// <summary>What the guest says is in the balloon, in bytes. It may lie.</summary>
    public ulong ActualBytes =>
        (ulong)(uint)Volatile.Read(ref Registers[VIRTIO_MMIO_CONFIG + ActualOffset]) << VIRTIO_BALLOON_PFN_SHIFT;

    /// <summary>Asks the guest to have this much in the balloon. Rounded down to pages; at most what it has.</summary>
    public void SetTarget(ulong bytes)
    {
        lock (_lock)
        {
            _target = (uint)(Math.Min(bytes, Ram.TotalBytes) >> VIRTIO_BALLOON_PFN_SHIFT);
            ChangeConfiguration(0, _target);
        }
    }

    /// <summary>
    /// Asks the guest for new statistics, and waits for them: at most this long, and not for a guest that never told any.
    /// </summary>
    public void RefreshStatistics(int milliseconds)
    {
        long until = HostClock.MonotonicNanoseconds() / NanosecondsPerMillisecond + milliseconds;
        lock (_lock)
        {
            long before = _reports;
            if (before == 0)
                return;
            RequestStatistics();
            while (_reports == before
                && until - (HostClock.MonotonicNanoseconds() / NanosecondsPerMillisecond) is > 0 and long left)
                Monitor.Wait(_lock, (int)left);
        }
    }

    /// <summary>Puts what is known into a record.</summary>
    public void Write(ref BalloonRecord record)
    {
        record.ActualBytes = ActualBytes;
        lock (_lock)
        {
            record.TargetBytes = (ulong)_target << VIRTIO_BALLOON_PFN_SHIFT;
            record.Reports = (ulong)_reports;
            // The record holds no larger numbers, whatever a guest says.
            for (int i = 0; i < BalloonRecord.Count; i++)
                record.Statistics[i] = Math.Min(_statistics[i], GuestRecordRules.LargestNumber);
        }
    }

    /// <summary>Asks the guest for new statistics, which arrive some time later.</summary>
    public void RequestStatistics()
    {
        Volatile.Write(ref _wantsStatistics, true);
        if (Volatile.Read(ref _statisticsQueue) is >= 0 and int queue)
            Signal(NotifyFile(queue));
    }

    /// <summary>What a snapshot keeps.</summary>
    public BalloonState Save() =>
        new(_target, (uint)(ActualBytes >> VIRTIO_BALLOON_PFN_SHIFT), _holdsStatistics, _statisticsHead);

    /// <summary>After the transport was restored, before it resumes. False when no balloon was ever so.</summary>
    public bool TryRestore(BalloonState state)
    {
        if (state.TargetPages > Ram.TotalBytes >> VIRTIO_BALLOON_PFN_SHIFT)
            return false;
        if (state.HoldsStatistics
            && (_statisticsQueue == None || state.StatisticsHead >= Queues[_statisticsQueue].Size))
            return false;
        _target = state.TargetPages;
        InitialiseConfiguration(
            new virtio_balloon_config { num_pages = state.TargetPages, actual = state.ActualPages });
        (_holdsStatistics, _statisticsHead) = (state.HoldsStatistics, state.StatisticsHead);
        return true;
    }

    protected override RequestResult Serve(int queue, DescriptorChain chain)
    {
        if (queue == InflateQueue)
            return _requests.Inflate(chain);
        if (queue == DeflateQueue)
            return _requests.Deflate(chain);
        if (queue == _statisticsQueue)
            return TakeStatistics(chain);
        return _requests.Report(chain);
    }

    // The driver may write only how much it has given (5.5.6).
    protected internal override bool TryWriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
        if (offset != ActualOffset || data.Length != sizeof(uint))
            return false;
        StoreConfiguration(offset, data);
        return true;
    }

    // Queues of features that were not negotiated do not exist, and those behind them move up.
    protected override void OnActivate()
    {
        int next = DeflateQueue + 1;
        Volatile.Write(ref _statisticsQueue, Has(VIRTIO_BALLOON_F_STATS_VQ) ? next++ : None);
        _reportingQueue = Has(VIRTIO_BALLOON_F_REPORTING) ? next : None;
    }

    protected override void OnReset() => _holdsStatistics = _wantsStatistics = false;

    protected internal override bool ServeQueue(DeviceWorker worker, int queue)
    {
        if (queue == _statisticsQueue && _holdsStatistics && Volatile.Read(ref _wantsStatistics))
        {
            Volatile.Write(ref _wantsStatistics, false);
            _holdsStatistics = false;
            Queues[queue].Push(_statisticsHead, 0);
            Publish(Queues[queue]);
        }
        return ServeRequests(worker, queue);
    }

    /// <summary>The buffer stays here until new statistics are wanted: its return is the question (5.5.6.3).</summary>
    private RequestResult TakeStatistics(DescriptorChain chain)
    {
        if (_holdsStatistics)
            return RequestResult.Broken(QueueFault.Request);
        lock (_lock)
        {
            _requests.Read(chain, _statistics);
            _reports++;
            Monitor.PulseAll(_lock);
        }
        _holdsStatistics = true;
        _statisticsHead = chain.Head;
        return RequestResult.Kept;
    }
}
