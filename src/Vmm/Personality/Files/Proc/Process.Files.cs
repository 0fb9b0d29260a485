namespace Sandbox.Vmm.Personality;

public sealed partial class Process
{
    /// <summary>/proc/PID/oom_score_adj, -1000 to 1000.</summary>
    internal int OutOfMemoryAdjustment { get; set; }

    /// <summary>It has set a record lock, which the next close(2) of the file takes away.</summary>
    internal bool HasLockedRecords { get; set; }
}
