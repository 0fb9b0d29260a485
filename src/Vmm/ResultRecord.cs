using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Machine;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Processes;
using Sandbox.Vmm.Platforms;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm;

/// <summary>Tells the supervisor what has been counted of a guest: whenever it asks, and at the end.</summary>
/// <param name="output">Memory that has room for one record and no more.</param>
sealed class ResultRecord(FileDescriptor output, StartPhases phases)
{
    /// <summary>Too large for the stack of the thread that is asked.</summary>
    private readonly GuestRecord[] _record = new GuestRecord[1];

    /// <returns>0, or the negative errno of the write that failed.</returns>
    public long Write(LinuxPersonality personality)
    {
        lock (_record)
        {
            ref GuestRecord record = ref Clear();
            record.WallNanoseconds = (ulong)personality.WallNanoseconds;
            record.CpuNanoseconds = (ulong)personality.CpuNanoseconds;
            record.MemoryLimitBytes = personality.Memory.LimitBytes;
            record.MemoryPeakBytes = personality.Memory.PeakBytes;
            record.OutputBytes = (ulong)personality.OutputBytes;
            record.ProcessesStarted = (ulong)personality.ProcessesStarted;
            ExitCounters counters = personality.HostThreads.Sum();
            record.CallsHandedOver = (ulong)counters.HandedOver;
            record.CallsOutOfRange = (ulong)counters.OutOfRange;
            MemoryMarshal.Cast<long, ulong>(counters.ExitsByKind).CopyTo(record.Exits);
            MemoryMarshal.Cast<long, ulong>(counters.Calls).CopyTo(record.Calls);
            MemoryMarshal.Cast<long, ulong>(counters.UnknownCalls).CopyTo(record.CallsNotServed);
            for (int kind = 0; kind < ExitCounters.Kinds; kind++)
                record.ExitTimes[kind] = personality.HostThreads.Times((GuestExitKind)kind);
            return Write();
        }
    }

    /// <returns>0, or the negative errno of the write that failed.</returns>
    public long Write(MachineSession session)
    {
        lock (_record)
        {
            MachineRecord.Write(ref Clear(), session);
            return Write();
        }
    }

    private ref GuestRecord Clear()
    {
        ref GuestRecord record = ref _record[0];
        record = default;
        record.Version = GuestRecord.CurrentVersion;
        foreach (StartPhase phase in Enum.GetValues<StartPhase>())
            record.Phases[(int)phase] = (ulong)phases[phase];
        return ref record;
    }

    private long Write()
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<GuestRecord>(_record));
        nint written = output.WriteAt(bytes, 0);
        // Memory takes all of it or has none left.
        return written < 0 ? written : written == bytes.Length ? 0 : -ENOMEM;
    }
}
