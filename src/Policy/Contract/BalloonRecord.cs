using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Sandbox.Policy.Contract;

/// <summary>
/// What a machine guest's balloon holds, and what the guest says of its memory. All but the target may be a lie.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct BalloonRecord
{
    /// <summary>Of <see cref="Names"/>.</summary>
    public const int Count = 10;

    /// <summary>What the guest is asked to give back.</summary>
    public ulong TargetBytes;

    /// <summary>What it says it has given back.</summary>
    public ulong ActualBytes;

    /// <summary>How often it has told the statistics; 0 when there are none.</summary>
    public ulong Reports;

    /// <summary>As <see cref="Names"/> names them; what it has not told is 0.</summary>
    public StatisticValues Statistics;

    /// <summary>By VIRTIO_BALLOON_S_*, virtio 1.2, 5.5.6.3. What ends in "_bytes" counts bytes.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        "swapped_in_bytes", "swapped_out_bytes", "major_faults", "minor_faults", "free_bytes", "total_bytes",
        "available_bytes", "caches_bytes", "huge_pages", "huge_pages_missing",
    ];

    [InlineArray(Count)]
    public struct StatisticValues
    {
        private ulong _first;
    }
}
