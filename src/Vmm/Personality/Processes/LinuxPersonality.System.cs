namespace Sandbox.Vmm.Personality;

// What the guest is told about the machine.
public sealed partial class LinuxPersonality
{
    /// <summary>uname(2), /proc/version.</summary>
    public const string KernelRelease = "6.12.0-sandbox";

    public const string KernelVersion = "#1 SMP PREEMPT_DYNAMIC";

    /// <summary>CPUs that the guest counts: those that may run at once.</summary>
    public int CpuCount => Math.Min(Plan.Limits.Cpus, Environment.ProcessorCount);

    /// <summary>Bytes of the XSAVE image in signal frames, AT_MINSIGSTKSZ's variable part.</summary>
    internal int ExtendedStateSize(ulong components)
    {
        // All virtual CPUs of a guest have the same components.
        if (_extendedStateSize == 0)
            _extendedStateSize = Signals.ExtendedState.SizeOf(components);
        return _extendedStateSize;
    }

    private int _extendedStateSize;
}
