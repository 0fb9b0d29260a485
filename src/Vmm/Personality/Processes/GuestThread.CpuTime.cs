using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// CPU time of a guest thread: that of its host thread, in user code and in the VMM on its behalf alike.
public sealed unsafe partial class GuestThread
{
    // The kernel's encoding of a thread's CPU clock (include/linux/posix-timers.h): ~tid << 3, per thread, sched.
    private const int PerThreadSchedulerClock = 6;

    private int _hostClock;
    private long _hostCpuAtStart;
    private long _cpuAtEnd = -1;
    private long _chargedCpu;

    /// <summary>CPU time that another thread of the VMM spent on this thread, in nanoseconds.</summary>
    internal void ChargeCpu(long nanoseconds) => Interlocked.Add(ref _chargedCpu, nanoseconds);

    private void StartCpuAccounting()
    {
        _hostClock = (~gettid() << 3) | PerThreadSchedulerClock;
        Volatile.Write(ref _hostCpuAtStart, HostClock.ThreadCpuNanoseconds());
    }

    private void FreezeCpuAccounting() => _cpuAtEnd = CpuNanoseconds;

    /// <summary>What the thread's end has cost since: its process, which may give back much, is gone by now.</summary>
    private void ChargeEnd()
    {
        ChargeCpu(Errands.TakeCost());
        Personality.ChargeCpu(Math.Max(MeasureCpu() - _cpuAtEnd, 0));
    }

    /// <summary>CPU time so far, in nanoseconds. From any thread, under TaskLock when it is not this one.</summary>
    public long CpuNanoseconds => _cpuAtEnd >= 0 ? _cpuAtEnd : MeasureCpu();

    private long MeasureCpu()
    {
        long start = Volatile.Read(ref _hostCpuAtStart);
        if (start == 0)
            return 0;
        timespec time;
        if (clock_gettime(_hostClock, &time) != 0)
            return 0;
        long own = time.tv_sec * HostClock.NanosecondsPerSecond + time.tv_nsec - start;
        return Math.Max(own, 0) + Interlocked.Read(ref _chargedCpu);
    }
}
