namespace Sandbox.Vmm.Virtio;

/// <summary>What every device counts. A device adds its own.</summary>
public class DeviceMetrics
{
    private readonly long[] _queueFaults = new long[Enum.GetValues<QueueFault>().Length];
    private readonly long[] _registerFaults = new long[Enum.GetValues<RegisterFault>().Length];
    private long _interrupts;
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

    /// <summary>Resets that the driver asked for.</summary>
    public long Resets => Volatile.Read(ref _resets);

    /// <summary>How often a driver broke the rules of queues this way.</summary>
    public long Count(QueueFault fault) => Volatile.Read(ref _queueFaults[(int)fault]);

    /// <summary>How often a driver broke the rules of registers this way.</summary>
    public long Count(RegisterFault fault) => Volatile.Read(ref _registerFaults[(int)fault]);

    /// <summary>Tells every count by its name; those of times end in "_nanoseconds".</summary>
    public virtual void Report(Action<string, long> tell)
    {
        tell("interrupts", Interrupts);
        tell("resets", Resets);
        for (int fault = 1; fault < _queueFaults.Length; fault++)
            tell($"queue_fault_{s_queueFaultNames[fault]}", _queueFaults[fault]);
        for (int fault = 0; fault < _registerFaults.Length; fault++)
            tell($"register_fault_{s_registerFaultNames[fault]}", _registerFaults[fault]);
        for (int queue = 0; queue < Latency.Length; queue++)
        {
            LatencyMetric latency = Latency[queue];
            tell($"queue_{queue}_requests", latency.Count);
            tell($"queue_{queue}_minimum_nanoseconds", latency.Minimum);
            tell($"queue_{queue}_maximum_nanoseconds", latency.Maximum);
            tell($"queue_{queue}_sum_nanoseconds", latency.Sum);
        }
    }

    internal LatencyMetric[] Latency { get; }

    internal void CountInterrupt() => Interlocked.Increment(ref _interrupts);

    internal void CountReset() => Interlocked.Increment(ref _resets);

    internal void Add(QueueFault fault) => Interlocked.Increment(ref _queueFaults[(int)fault]);

    internal void Add(RegisterFault fault) => Interlocked.Increment(ref _registerFaults[(int)fault]);

    private static readonly string[] s_queueFaultNames = Names<QueueFault>();
    private static readonly string[] s_registerFaultNames = Names<RegisterFault>();

    // AvailableIndex becomes available_index.
    private static string[] Names<T>()
        where T : struct, Enum =>
        [.. Enum.GetNames<T>().Select(name => string.Concat(name.Select((letter, at) =>
            char.IsAsciiLetterUpper(letter) ? (at == 0 ? "" : "_") + char.ToLowerInvariant(letter) : $"{letter}")))];
}
