using Sandbox.Policy.Contract;
using static Sandbox.Supervisor.Metrics.MetricType;

namespace Sandbox.Supervisor.Metrics;

/// <summary>Every metric there is, in the order in which they are written. docs/metrics.md has this list.</summary>
static class MetricFamilies
{
    public static MetricFamily About { get; } =
        new("sandbox", Info, "", "The sandbox that this is about.", "name", "policy");
    public static MetricFamily State { get; } =
        new("sandbox_state", StateSet, "", "What the sandbox does.", "sandbox_state");
    public static MetricFamily StartTime { get; } =
        new("sandbox_start_time_seconds", Gauge, "seconds", "When it was started, since 1970.");
    public static MetricFamily WallTime { get; } =
        new("sandbox_wall_seconds", Gauge, "seconds", "How long it has existed, or did until its end.");
    public static MetricFamily Status { get; } =
        new("sandbox_exit_status", Gauge, "", "Its exit status, once it has ended.");
    public static MetricFamily Responding { get; } = new("sandbox_vmm_responding", Gauge, "", "1 if the VMM of a "
        + "running sandbox has answered in time with a record, else 0 and nothing of guest, exits and devices.");

    public static MetricFamily HostMemory { get; } =
        new("sandbox_memory_bytes", Gauge, "bytes", "Memory in use, by its control group.");
    public static MetricFamily HostMemoryPeak { get; } =
        new("sandbox_memory_peak_bytes", Gauge, "bytes", "The most memory in use at one time, by its control group.");
    public static MetricFamily HostMemoryLimit { get; } =
        new("sandbox_memory_limit_bytes", Gauge, "bytes", "The control group's limit of memory.");
    public static MetricFamily HostCpu { get; } = new("sandbox_cpu_seconds", Counter, "seconds",
        "CPU time of all that is in it, by its control group, or of its VMM without one.");
    public static MetricFamily Throttles { get; } =
        new("sandbox_cpu_throttles", Counter, "", "How often it had used up its quota of CPU time.");
    public static MetricFamily Throttled { get; } =
        new("sandbox_cpu_throttled_seconds", Counter, "seconds", "How long it waited for its next quota.");
    public static MetricFamily Threads { get; } =
        new("sandbox_threads", Gauge, "", "Processes and threads of the host that are in its control group.");
    public static MetricFamily ThreadsPeak { get; } =
        new("sandbox_threads_peak", Gauge, "", "The most of them at one time.");
    public static MetricFamily ThreadLimit { get; } =
        new("sandbox_threads_limit", Gauge, "", "The control group's limit of them.");
    public static MetricFamily OomKills { get; } =
        new("sandbox_oom_kills", Counter, "", "Processes that the host killed at the limit of memory.");
    public static MetricFamily ForksRefused { get; } =
        new("sandbox_forks_refused", Counter, "", "Threads that the host refused at the limit of them.");

    public static MetricFamily GuestWall { get; } =
        new("sandbox_guest_wall_seconds", Gauge, "seconds", "Since the guest's first program was started.");
    public static MetricFamily GuestCpu { get; } =
        new("sandbox_guest_cpu_seconds", Counter, "seconds", "CPU time of a process guest's threads.");
    public static MetricFamily GuestMemoryPeak { get; } = new("sandbox_guest_memory_peak_bytes", Gauge, "bytes",
        "The most of a process guest's memory in use at one time, as its limit counts it.");
    public static MetricFamily GuestMemoryLimit { get; } =
        new("sandbox_guest_memory_limit_bytes", Gauge, "bytes", "The guest's memory.");
    public static MetricFamily GuestOutput { get; } =
        new("sandbox_guest_output_bytes", Counter, "bytes", "Written to standard output and error.");
    public static MetricFamily Processes { get; } =
        new("sandbox_guest_processes", Counter, "", "Processes that a process guest has started.");
    public static MetricFamily Calls { get; } =
        new("sandbox_guest_system_calls", Counter, "", "System calls of a process guest.", "call");
    public static MetricFamily CallsNotServed { get; } =
        new("sandbox_guest_system_calls_not_served", Counter, "", "Those that were answered with ENOSYS.", "call");
    public static MetricFamily CallsOutOfRange { get; } =
        new("sandbox_guest_system_calls_out_of_range", Counter, "", "Calls with numbers that no Linux has.");
    public static MetricFamily CallsHandedOver { get; } = new("sandbox_guest_system_calls_handed_over", Counter, "",
        "Calls that were served without an exit. These are not timed.");
    public static MetricFamily Vcpus { get; } = new("sandbox_guest_vcpus", Gauge, "", "Processors of a machine guest.");
    public static MetricFamily LostBytes { get; } = new("sandbox_guest_serial_lost_bytes", Counter, "bytes",
        "Sent by a machine guest although its serial port had no room.");
    public static MetricFamily RefusedRegisters { get; } = new("sandbox_guest_refused_register_accesses", Counter, "",
        "Accesses to model-specific registers that a machine guest may not make.");
    public static MetricFamily StrayReads { get; } =
        new("sandbox_guest_stray_reads", Counter, "", "Reads of a machine guest from where nothing is.");
    public static MetricFamily StrayWrites { get; } =
        new("sandbox_guest_stray_writes", Counter, "", "Writes of a machine guest to where nothing is.");

    public static MetricFamily Exits { get; } =
        new("sandbox_exits", Counter, "", "How often processors left the guest.", "kind");
    public static LatencyFamilies ExitTimes { get; } =
        new("sandbox_exit", "From an exit to its answer, what the guest waits for included", "kind");
    public static LatencyFamilies Requests { get; } = new(
        "sandbox_device_request", "From taking a request out of a queue to giving it back", "device", "kind", "queue");
    public static MetricFamily QueueFaults { get; } = new("sandbox_device_queue_faults", Counter, "",
        "How often a driver broke the rules of queues.", "device", "kind", "fault");
    public static MetricFamily RegisterFaults { get; } = new("sandbox_device_register_faults", Counter, "",
        "How often a driver broke the rules of registers.", "device", "kind", "fault");

    public static MetricFamily BalloonTarget { get; } =
        new("sandbox_balloon_target_bytes", Gauge, "bytes", "Memory that a machine guest is asked to give back.");
    public static MetricFamily BalloonActual { get; } =
        new("sandbox_balloon_actual_bytes", Gauge, "bytes", "Memory that it says it has given back.");
    public static MetricFamily BalloonReports { get; } =
        new("sandbox_balloon_reports", Counter, "", "How often it has told what follows.");

    // In the order of the record's. None is a counter: a guest may say anything.
    static readonly string[] s_balloonHelp =
    [
        "Swapped in", "Swapped out", "Page faults that read a disk", "Page faults that did not",
        "Memory that nothing uses",
        "Memory that its kernel manages", "Memory that programs could have without swapping",
        "Memory of its page cache",
        "Huge pages that it gave out", "Huge pages that it could not give out",
    ];

    /// <summary>A family for each name in <see cref="BalloonRecord.Names"/>.</summary>
    public static IReadOnlyList<MetricFamily> BalloonGuest { get; } =
    [
        .. BalloonRecord.Names.Zip(s_balloonHelp, (name, help) => new MetricFamily(
            $"sandbox_balloon_guest_{name}", Gauge, name.EndsWith("_bytes", StringComparison.Ordinal) ? "bytes" : "",
            $"{help}, as the guest says.")),
    ];

    static readonly (string Name, string Help)[] s_deviceHelp =
    [
        ("interrupts", "Interrupts that the device has raised."),
        ("notifications", "How often a queue's worker was told that there is something to do."),
        ("resets", "Resets that the driver asked for."),
        ("read_bytes", "Read from a disk."),
        ("written_bytes", "Written to a disk, or made zero without giving its blocks back."),
        ("flushes", "Flushes of a disk."),
        ("ranges", "Ranges of a disk that were discarded or made zero."),
        ("errors", "Requests to a disk that failed."),
        ("unsupported", "Requests to a disk that it does not know."),
        ("throttled", "How often a request waited for its rate."),
        ("ring_requests", "Requests to a disk that the host's kernel worked on while its queue went on (io_uring)."),
        ("plain_requests",
            "Requests to a disk that the VMM's own thread served: all, where the host has no io_uring for it."),
        ("packets_sent", "Packets that the guest has sent."),
        ("sent_bytes", "Bytes of them."),
        ("packets_received", "Packets that the guest has got."),
        ("received_bytes", "Bytes of them."),
        ("dropped_spoofed_mac", "Packets from a MAC address that is not the guest's."),
        ("dropped_spoofed_address", "Packets from an IP address that is not the guest's."),
        ("dropped_malformed", "Packets that are none."),
        ("dropped_by_host", "Packets that the host did not take."),
        ("link_failed", "How often the host did not change a link as the guest wanted it."),
        ("dropped_too_long", "Packets for which the guest has no room at all."),
        ("send_throttled", "How often sending waited for its rate."),
        ("receive_throttled", "How often receiving waited for its rate."),
        ("to_guest_bytes", "From the host to the guest."),
        ("from_guest_bytes", "From the guest to the host."),
        ("messages_refused", "Messages about a console's ports that made no sense."),
        ("connections_opened", "Connections that were opened, by either side."),
        ("connections_refused", "Connections that were refused."),
        ("packets_reset", "Packets that were answered with a reset."),
        ("packets_dropped", "Such packets for whose answers the guest left no room."),
        ("random_bytes", "Random bytes that the guest got."),
        ("pages_inflated", "Pages that were put into the balloon."),
        ("pages_deflated", "Pages that were taken out of the balloon."),
        ("pages_refused", "Pages that are no RAM, or that the host did not take back."),
        ("reported_bytes", "Free memory that went back to the host."),
    ];

    /// <summary>A family for each name in <see cref="DeviceCounters"/>.</summary>
    public static IReadOnlyList<(string Counter, MetricFamily Family)> DeviceCounts { get; } =
    [
        .. s_deviceHelp.Select(one => (one.Name, new MetricFamily(
            $"sandbox_device_{one.Name}", Counter, one.Name.EndsWith("_bytes", StringComparison.Ordinal) ? "bytes" : "",
            one.Help, "device", "kind"))),
    ];

    public static IReadOnlyList<MetricFamily> All { get; } =
    [
        About, State, StartTime, WallTime, Status, Responding,
        HostMemory, HostMemoryPeak, HostMemoryLimit, HostCpu, Throttles, Throttled, Threads, ThreadsPeak, ThreadLimit,
        OomKills,
        ForksRefused,
        GuestWall, GuestCpu, GuestMemoryPeak, GuestMemoryLimit, GuestOutput, Processes, Calls, CallsNotServed,
        CallsOutOfRange,
        CallsHandedOver, Vcpus, LostBytes, RefusedRegisters, StrayReads, StrayWrites,
        Exits, .. ExitTimes.All, .. DeviceCounts.Select(one => one.Family), .. Requests.All, QueueFaults,
        RegisterFaults,
        BalloonTarget, BalloonActual, BalloonReports, .. BalloonGuest,
    ];
}

/// <summary>Count, sum, minimum and maximum of how long something took.</summary>
sealed class LatencyFamilies(string name, string help, params string[] labels)
{
    public MetricFamily Total { get; } = new($"{name}_duration_seconds", Summary, "seconds", $"{help}.", labels);
    public MetricFamily Minimum { get; } =
        new($"{name}_duration_minimum_seconds", Gauge, "seconds", $"{help}: the shortest.", labels);
    public MetricFamily Maximum { get; } =
        new($"{name}_duration_maximum_seconds", Gauge, "seconds", $"{help}: the longest.", labels);

    public IReadOnlyList<MetricFamily> All => [Total, Minimum, Maximum];
}
