using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Waiting;
using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Personality;

/// <summary>One guest thread: a host thread with a virtual CPU of its own.</summary>
public sealed partial class GuestThread
{
    internal GuestThread(Process process, int tid, VirtualCpu cpu)
    {
        Process = process;
        Tid = tid;
        Cpu = cpu;
        WaitEntry = new ThreadWaitEntry(Parker);
        Pending = new(process.Personality.QueuedSignals);
        StartedAt = process.Personality.Clock.Monotonic;
    }

    /// <summary>The guest thread that the calling host thread runs; null on the VMM's own threads.</summary>
    public static GuestThread? Current => _current;

    [ThreadStatic]
    private static GuestThread? _current;

    public int Tid { get; internal set; }

    public Process Process { get; }

    public VirtualCpu Cpu { get; }

    public Parker Parker { get; } = new();

    /// <summary>For waiting in one queue without allocating.</summary>
    public ThreadWaitEntry WaitEntry { get; }

    public LinuxPersonality Personality => Process.Personality;

    public AddressSpace Memory => Process.Memory;

    public DescriptorTable Descriptors => Process.Descriptors;

    /// <summary>PR_SET_NAME: at most 15 bytes, as Latin-1. /proc/PID/task/TID/comm.</summary>
    public string Name { get; internal set; } = "";

    /// <summary>CLOCK_MONOTONIC nanoseconds.</summary>
    public long StartedAt { get; }

    internal GuestThread? NextSibling { get; set; }

    internal GuestThread? PreviousSibling { get; set; }

    /// <summary>Left its process for good; guarded by TaskLock.</summary>
    public bool HasEnded { get; private set; }

    /// <summary>'R' running, 'S' sleeping, 'T' stopped, 'Z' zombie: /proc/PID/stat.</summary>
    public char StateLetter => HasEnded ? 'Z' : StopCounted ? 'T' : _mode == Mode.Serving && Parker.IsParked ? 'S' : 'R';
}
