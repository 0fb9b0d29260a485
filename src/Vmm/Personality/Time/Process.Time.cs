using Sandbox.Vmm.Personality.Time;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// A process's timers.
public sealed partial class Process
{
    private IntervalTimer? _intervalTimer;
    private PosixTimers? _posixTimers;
    private CpuIntervalTimer? _virtualTimer;
    private CpuIntervalTimer? _profilingTimer;
    private CpuResourceLimit? _cpuLimit;

    internal IntervalTimer IntervalTimer => Once(ref _intervalTimer, static p => new IntervalTimer(p));

    internal PosixTimers PosixTimers => Once(ref _posixTimers, static p => new PosixTimers(p));

    internal CpuIntervalTimer VirtualTimer => Once(ref _virtualTimer, static p => new CpuIntervalTimer(p, SIGVTALRM));

    internal CpuIntervalTimer ProfilingTimer => Once(ref _profilingTimer, static p => new CpuIntervalTimer(p, SIGPROF));

    /// <summary>RLIMIT_CPU.</summary>
    internal CpuResourceLimit CpuLimit => Once(ref _cpuLimit, static p => new CpuResourceLimit(p));

    private T Once<T>(ref T? field, Func<Process, T> create)
        where T : class
    {
        if (Volatile.Read(ref field) is { } existing)
            return existing;
        lock (Personality.TaskLock)
            return field ??= create(this);
    }

    /// <summary>execve deletes POSIX timers; the end of the process stops them all.</summary>
    internal void StopTimers(bool atEnd)
    {
        Volatile.Read(ref _posixTimers)?.Clear();
        if (!atEnd)
            return;
        Volatile.Read(ref _intervalTimer)?.Clear();
        Volatile.Read(ref _virtualTimer)?.Set(0);
        Volatile.Read(ref _profilingTimer)?.Set(0);
        Volatile.Read(ref _cpuLimit)?.Set(0);
    }
}
