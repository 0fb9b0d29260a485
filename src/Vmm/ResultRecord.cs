using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Processes;

namespace Sandbox.Vmm;

/// <summary>Tells the supervisor what was counted of a guest that has ended.</summary>
static class ResultRecord
{
    /// <returns>0, or the negative errno of the write that failed.</returns>
    public static long Write(FileDescriptor output, LinuxPersonality personality, StartPhases phases)
    {
        GuestRecord record = Of(personality, phases);
        ReadOnlySpan<byte> rest = MemoryMarshal.AsBytes(new ReadOnlySpan<GuestRecord>(in record));
        while (!rest.IsEmpty)
        {
            nint written = output.Write(rest);
            if (written < 0)
                return written;
            rest = rest[(int)written..];
        }
        return 0;
    }

    private static GuestRecord Of(LinuxPersonality personality, StartPhases phases)
    {
        ExitCounters counters = personality.HostThreads.Sum();
        GuestRecord record = new()
        {
            Version = GuestRecord.CurrentVersion,
            WallNanoseconds = (ulong)personality.WallNanoseconds,
            CpuNanoseconds = (ulong)personality.CpuNanoseconds,
            MemoryLimitBytes = personality.Memory.LimitBytes,
            MemoryPeakBytes = personality.Memory.PeakBytes,
            OutputBytes = (ulong)personality.OutputBytes,
            ProcessesStarted = (ulong)personality.ProcessesStarted,
            CallsHandedOver = (ulong)counters.HandedOver,
            CallsOutOfRange = (ulong)counters.OutOfRange,
        };
        foreach (StartPhase phase in Enum.GetValues<StartPhase>())
            record.Phases[(int)phase] = (ulong)phases[phase];
        MemoryMarshal.Cast<long, ulong>(counters.ExitsByKind).CopyTo(record.Exits);
        MemoryMarshal.Cast<long, ulong>(counters.Calls).CopyTo(record.Calls);
        MemoryMarshal.Cast<long, ulong>(counters.UnknownCalls).CopyTo(record.CallsNotServed);
        return record;
    }
}
