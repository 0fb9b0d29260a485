using Sandbox.Vmm.Personality.Time;

namespace Sandbox.Vmm.Personality;

public sealed partial class LinuxPersonality
{
    private long _endedProcessesCpu;
    private long _chargedCpu;
    private long _startedAt;

    /// <summary>
    /// CPU time of all guest threads that ever ran, and of what the VMM does for them besides, in nanoseconds. Takes
    /// TaskLock.
    /// </summary>
    public long CpuNanoseconds
    {
        get
        {
            lock (TaskLock)
            {
                long sum = _endedProcessesCpu + Interlocked.Read(ref _chargedCpu);
                foreach (Process process in _processes.Values)
                    sum += process.CpuNanoseconds;
                return sum;
            }
        }
    }

    /// <summary>CPU time, in nanoseconds, that was spent for the guest and for none of its threads.</summary>
    internal void ChargeCpu(long nanoseconds) => Interlocked.Add(ref _chargedCpu, nanoseconds);

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
