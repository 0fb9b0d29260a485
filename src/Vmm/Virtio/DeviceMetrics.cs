using Sandbox.Policy.Contract;

namespace Sandbox.Vmm.Virtio;

/// <summary>What every device counts. A device adds its own.</summary>
public class DeviceMetrics
{
    private readonly long[] _queueFaults = new long[Enum.GetValues<QueueFault>().Length];
    private readonly long[] _registerFaults = new long[Enum.GetValues<RegisterFault>().Length];
    private long _interrupts;
    private long _notifications;
    private long _resets;

    /// <param name="queues">How many queues the device has.</param>
    public DeviceMetrics(int queues)
    {
        Latency = new LatencyMetric[queues];
        for (int i = 0; i < queues; i++)
            Latency[i] = new LatencyMetric();
    }

    /// <summary>For each queue, from taking a request out to giving it back.</summary>
    public IReadOnlyList<LatencyMetric> LatencyByQueue => Latency;

    public long Interrupts => Volatile.Read(ref _interrupts);

    /// <summary>
    /// How often a queue's worker was told that there is something: by the driver, of whose notifications some come as
    /// one, or by the device's other side.
    /// </summary>
    public long Notifications => Volatile.Read(ref _notifications);

    /// <summary>Resets that the driver asked for.</summary>
    public long Resets => Volatile.Read(ref _resets);

    /// <summary>How often a driver broke the rules of queues this way.</summary>
    public long Count(QueueFault fault) => Volatile.Read(ref _queueFaults[(int)fault]);

    /// <summary>How often a driver broke the rules of registers this way.</summary>
    public long Count(RegisterFault fault) => Volatile.Read(ref _registerFaults[(int)fault]);

    /// <summary>Tells every count by its name in <see cref="DeviceCounters"/>, but faults and latencies.</summary>
    public virtual void Report(Action<string, long> tell)
    {
        tell("interrupts", Interrupts);
        tell("notifications", Notifications);
        tell("resets", Resets);
    }

    /// <summary>Puts everything into a record, which is empty.</summary>
    public void Write(ref DeviceRecord record, VirtioKind kind)
    {
        IReadOnlyList<string> names = DeviceCounters.Of(kind);
        ulong[] counters = new ulong[names.Count];
        Report((name, value) =>
        {
            for (int i = 0; i < counters.Length; i++)
                if (names[i] == name)
                    counters[i] = (ulong)value;
        });
        record.Kind = kind;
        counters.CopyTo(record.Counters);
        // None is no fault.
        for (int fault = 1; fault < _queueFaults.Length; fault++)
            record.QueueFaults[fault - 1] = (ulong)Volatile.Read(ref _queueFaults[fault]);
        for (int fault = 0; fault < _registerFaults.Length; fault++)
            record.RegisterFaults[fault] = (ulong)Volatile.Read(ref _registerFaults[fault]);
        record.QueueCount = (ulong)Latency.Length;
        for (int queue = 0; queue < Latency.Length; queue++)
            record.Queues[queue] = Latency[queue].Read();
    }

    internal LatencyMetric[] Latency { get; }

    internal void CountInterrupt() => Interlocked.Increment(ref _interrupts);

    internal void CountNotification() => Interlocked.Increment(ref _notifications);

    internal void CountReset() => Interlocked.Increment(ref _resets);

    internal void Add(QueueFault fault) => Interlocked.Increment(ref _queueFaults[(int)fault]);

    internal void Add(RegisterFault fault) => Interlocked.Increment(ref _registerFaults[(int)fault]);
}
