namespace Sandbox.Vmm.Personality;

// What sched_* and nice calls set and read back. The host's scheduler does not hear of it.
public sealed partial class GuestThread
{
    internal int SchedulingPolicy { get; set; }

    /// <summary>-20 to 19.</summary>
    public int Nice { get; internal set; }

    /// <summary>The first 64 CPUs that the thread may use.</summary>
    internal ulong Affinity { get; set; } = ulong.MaxValue;

    /// <summary>PR_SET_TIMERSLACK, nanoseconds.</summary>
    internal ulong TimerSlack { get; set; } = DefaultTimerSlack;

    internal const ulong DefaultTimerSlack = 50_000;

    internal void InheritScheduling(GuestThread parent)
    {
        SchedulingPolicy = parent.SchedulingPolicy;
        Nice = parent.Nice;
        Affinity = parent.Affinity;
        TimerSlack = parent.TimerSlack;
    }
}
