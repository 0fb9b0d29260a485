using Sandbox.Vmm.Personality.Time;

namespace Sandbox.Vmm.Personality;

public sealed partial class LinuxPersonality
{
    private long _endedProcessesCpu;
    private long _startedAt;

    /// <summary>CPU time of all guest threads that ever ran, in nanoseconds. Takes TaskLock.</summary>
    public long CpuNanoseconds
    {
        get
        {
            lock (TaskLock)
            {
                long sum = _endedProcessesCpu;
                foreach (Process process in _processes.Values)
                    sum += process.CpuNanoseconds;
                return sum;
            }
        }
    }

    /// <summary>When the first program started, CLOCK_MONOTONIC nanoseconds.</summary>
    public long StartedAt => _startedAt;

    private void StartClocks()
    {
        _startedAt = Clock.Monotonic;
        if (Plan.Limits.WallMilliseconds > 0)
            new WallTimeLimit(this, Plan.Limits.WallMilliseconds).Start();
        if (Plan.Limits.CpuMilliseconds > 0)
            new CpuTimeLimit(this, Plan.Limits.CpuMilliseconds).Start();
    }
}
