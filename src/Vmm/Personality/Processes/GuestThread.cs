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
    }

    public int Tid { get; internal set; }

    public Process Process { get; }

    public VirtualCpu Cpu { get; }

    public Parker Parker { get; } = new();

    /// <summary>For waiting in one queue without allocating.</summary>
    public ThreadWaitEntry WaitEntry { get; }

    public LinuxPersonality Personality => Process.Personality;

    public AddressSpace Memory => Process.Memory;

    public DescriptorTable Descriptors => Process.Descriptors;
}
