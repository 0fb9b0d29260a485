using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Audit;
using Sandbox.Vmm.Personality.Handoff;
using Sandbox.Vmm.Personality.Processes;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Personality.Time;
using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Personality;

/// <summary>
/// The Linux that one guest sees: its processes, files, clocks and limits. One instance per VMM. Owns what all
/// processes share and the lock over the process tree and signals.
/// </summary>
/// <remarks>
/// Lock order, outermost first: <see cref="TaskLock"/>, a process's or file system's own lock, a futex bucket, a
/// file's lock, an address space's lock, a wait queue's lock, the timer queue's lock. TaskLock is never held while a
/// thread parks or touches guest memory.
/// </remarks>
public sealed partial class LinuxPersonality
{
    public LinuxPersonality(LaunchPlan plan, GuestMemory memory, IPlatform platform)
    {
        Plan = plan;
        Memory = memory;
        Platform = platform;
        SystemCalls = new SystemCallTable();
        CallRules = plan.SystemCallRules is SystemCallTables rules ? new SystemCallRules(rules) : null;
        Timers = new TimerQueue(Clock);
        if (plan.Limits.Cpus < Environment.ProcessorCount)
            CpuGate = new CpuGate(plan.Limits.Cpus, Timers, Clock);
        int cpus = Math.Min(plan.Limits.Cpus, Environment.ProcessorCount);
        if (plan.Handoff && platform.HandsOver && cpus >= Attendance.MinimumCpus)
            Attendance = new Attendance(this, cpus);
    }

    /// <summary>Threads that serve the guest, of timers and of streams, wait for <see cref="StartDeferredThreads"/>.</summary>
    public void DeferThreads()
    {
        Timers.Defer();
        HostPoller.Defer();
    }

    /// <summary>Starts those that are needed, by a thread that has no role yet: they take one of their own.</summary>
    public void StartDeferredThreads()
    {
        Timers.Start();
        HostPoller.Start();
    }

    public LaunchPlan Plan { get; }

    public GuestMemory Memory { get; }

    public IPlatform Platform { get; }

    public SystemCallTable SystemCalls { get; }

    /// <summary>The policy's rules on calls; null when all are served.</summary>
    internal SystemCallRules? CallRules { get; }

    /// <summary>Where decisions are recorded; null when the policy records none.</summary>
    internal DecisionRecorder? Recorder { get; private set; }

    /// <summary>Records decisions, from now on. Before the file tree is built.</summary>
    /// <param name="socket">The plan's; taken over.</param>
    internal void RecordDecisionsTo(FileDescriptor socket) =>
        Recorder = new DecisionRecorder(new SeqpacketChannel(socket), Plan.Audit!, StopForAudit);

    /// <summary>Guards the process tree, process groups, sessions, wait states and all pending signals.</summary>
    public Lock TaskLock { get; } = new();

    public GuestClock Clock { get; } = new();

    public TimerQueue Timers { get; }

    internal HostThreads HostThreads { get; } = new();

    /// <summary>Null when the plan allows as many CPUs as the host has.</summary>
    internal CpuGate? CpuGate { get; }

    /// <summary>Null when every call leaves the guest.</summary>
    internal Attendance? Attendance { get; }

    internal FutexTable Futexes { get; } = new();

    /// <summary>--trace; null when off.</summary>
    internal Trace.Tracer? Tracer { get; set; }
}
