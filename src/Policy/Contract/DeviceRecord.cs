using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Sandbox.Policy.Contract;

/// <summary>Kinds of virtio devices, by their names.</summary>
public enum VirtioKind : ulong
{
    None,
    Block,
    Net,
    Console,
    Vsock,
    Rng,
    Balloon,
}

/// <summary>
/// What a device of a machine guest has counted. What each place means is in <see cref="DeviceCounters"/>.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct DeviceRecord
{
    /// <summary>8 pairs and the control queue, or the 18 of a console with 8 ports.</summary>
    public const int QueueLimit = 18;

    public VirtioKind Kind;

    /// <summary>How many of <see cref="Queues"/> the device has.</summary>
    public ulong QueueCount;

    /// <summary>As <see cref="DeviceCounters.Of"/> names them.</summary>
    public CounterValues Counters;

    /// <summary>As <see cref="DeviceCounters.QueueFaults"/> names them.</summary>
    public QueueFaultCounts QueueFaults;

    /// <summary>As <see cref="DeviceCounters.RegisterFaults"/> names them.</summary>
    public RegisterFaultCounts RegisterFaults;

    /// <summary>Of each queue, from taking a request out to giving it back.</summary>
    public QueueLatencies Queues;

    [InlineArray(DeviceCounters.Limit)]
    public struct CounterValues
    {
        private ulong _first;
    }

    [InlineArray(13)]
    public struct QueueFaultCounts
    {
        private ulong _first;
    }

    [InlineArray(6)]
    public struct RegisterFaultCounts
    {
        private ulong _first;
    }

    [InlineArray(QueueLimit)]
    public struct QueueLatencies
    {
        private LatencyRecord _first;
    }
}

/// <summary>
/// The names of a device's counts, in their order: a VMM sends numbers only. What ends in "_bytes" counts bytes.
/// </summary>
public static class DeviceCounters
{
    /// <summary>The most counts of a device.</summary>
    public const int Limit = 16;

    private static readonly string[] s_all = ["interrupts", "notifications", "resets"];

    private static readonly string[][] s_byKind =
    [
        [],
        [
            .. s_all, "read_bytes", "written_bytes", "flushes", "ranges", "errors", "unsupported", "throttled",
            "ring_requests", "plain_requests",
        ],
        [
            .. s_all, "packets_sent", "sent_bytes", "packets_received", "received_bytes", "dropped_spoofed_mac",
            "dropped_spoofed_address", "dropped_malformed", "dropped_by_host", "link_failed", "dropped_too_long",
            "send_throttled", "receive_throttled",
        ],
        [.. s_all, "to_guest_bytes", "from_guest_bytes", "messages_refused"],
        [
            .. s_all, "connections_opened", "connections_refused", "packets_reset", "packets_dropped", "to_guest_bytes",
            "from_guest_bytes",
        ],
        [.. s_all, "random_bytes", "throttled"],
        [.. s_all, "pages_inflated", "pages_deflated", "pages_refused", "reported_bytes"],
    ];

    /// <summary>How a driver broke the rules of queues, in the order of the VMM's own numbers.</summary>
    public static IReadOnlyList<string> QueueFaults { get; } =
    [
        "available_index", "head_index", "next_index", "too_long", "zero_length", "too_many_bytes", "not_ram", "order",
        "indirect_not_negotiated", "nested_indirect", "indirect_with_next", "indirect_size", "request",
    ];

    /// <summary>How a driver broke the rules of registers, in the order of the VMM's own numbers.</summary>
    public static IReadOnlyList<string> RegisterFaults { get; } =
        ["access", "status", "features", "frozen", "queue", "notify"];

    /// <summary>The names of a kind's counts; none for what is no kind.</summary>
    public static IReadOnlyList<string> Of(VirtioKind kind) =>
        kind < (VirtioKind)s_byKind.Length ? s_byKind[(int)kind] : [];
}
