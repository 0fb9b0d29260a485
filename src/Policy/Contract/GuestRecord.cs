using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Sandbox.Policy.Contract;

/// <summary>Steps of a guest's start in the VMM, in their order.</summary>
public enum StartPhase
{
    Platform,
    Plan,

    /// <summary>Landlock's rules and the filters are put on; by a machine guest's VMM after the next step.</summary>
    Confined,
    Files,
    Personality,

    /// <summary>Only where the supervisor looks at the jail first.</summary>
    Inspection,
    Program,
}

/// <summary>
/// What a VMM has counted of its guest, in one piece of numbers: it writes it whenever it is asked, and at the end. A
/// VMM that has fallen may write any numbers; there is nothing to parse, and <see cref="GuestRecordRules"/> says which
/// may be.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct GuestRecord
{
    public const ulong CurrentVersion = 6;

    /// <summary>System calls have numbers below this.</summary>
    public const int CallLimit = 512;

    /// <summary>KVM_EXIT_* are below this.</summary>
    public const int MachineExitLimit = 40;

    /// <summary>The most devices that are told of.</summary>
    public const int DeviceLimit = 16;

    /// <summary>The most leaves of CPUID that are told of: twice what the largest processors have.</summary>
    public const int CpuidLimit = 128;

    /// <summary>Why processors left the guest, by number.</summary>
    public static IReadOnlyList<string> ExitNames { get; } =
        ["systemCall", "servedCall", "pageFault", "exception", "backingLost", "interrupted", "failed"];

    public ulong Version;

    /// <summary>From the start of the first program to the guest's end.</summary>
    public ulong WallNanoseconds;

    /// <summary>Of all guest threads.</summary>
    public ulong CpuNanoseconds;

    /// <summary>Of guest memory, page tables and in-memory files included.</summary>
    public ulong MemoryLimitBytes;
    public ulong MemoryPeakBytes;

    /// <summary>Written to stdout and stderr.</summary>
    public ulong OutputBytes;
    public ulong ProcessesStarted;

    /// <summary>Calls that were served without an exit.</summary>
    public ulong CallsHandedOver;

    /// <summary>Calls with numbers that no Linux has.</summary>
    public ulong CallsOutOfRange;

    /// <summary>Nanoseconds from the command line's start to each step's end; 0 for one that was not taken.</summary>
    public PhaseTimes Phases;

    public ExitCounts Exits;

    /// <summary>
    /// From the exit to its answer, what the guest waits for included. Calls served without an exit are not timed.
    /// </summary>
    public ExitLatencies ExitTimes;

    /// <summary>System calls by number, those that nothing serves included.</summary>
    public CallCounts Calls;

    /// <summary>Calls that were answered with ENOSYS because nothing serves them.</summary>
    public CallCounts CallsNotServed;

    /// <summary>
    /// Of a machine guest, to which the counts of calls and exits above do not apply; 0 for a process guest.
    /// </summary>
    public ulong Vcpus;

    /// <summary>Bytes that a machine guest sent although its serial port had no room for them.</summary>
    public ulong LostBytes;

    /// <summary>Model-specific registers that it was refused.</summary>
    public ulong RefusedRegisterAccesses;

    /// <summary>Accesses to memory and ports where nothing is.</summary>
    public ulong StrayReads;
    public ulong StrayWrites;

    /// <summary>
    /// By KVM_EXIT_*, of all vCPUs, from the exit to its answer. One that is being answered is not among them.
    /// </summary>
    public MachineExitLatencies MachineExitTimes;

    /// <summary>Of a machine guest: how many of <see cref="Devices"/> there are.</summary>
    public ulong DeviceCount;

    public DeviceRecords Devices;

    /// <summary>Of a machine guest with a balloon; else empty.</summary>
    public BalloonRecord Balloon;

    /// <summary>Of a machine guest: how many of <see cref="Cpuid"/> there are.</summary>
    public ulong CpuidCount;

    /// <summary>What CPUID tells its first processor; the others' differ in their own numbers only.</summary>
    public CpuidLeaves Cpuid;

    [InlineArray(CpuidLimit)]
    public struct CpuidLeaves
    {
        private CpuidRecord _first;
    }

    [InlineArray(MachineExitLimit)]
    public struct MachineExitLatencies
    {
        private LatencyRecord _first;
    }

    [InlineArray(7)]
    public struct ExitLatencies
    {
        private LatencyRecord _first;
    }

    [InlineArray(DeviceLimit)]
    public struct DeviceRecords
    {
        private DeviceRecord _first;
    }

    [InlineArray((int)StartPhase.Program + 1)]
    public struct PhaseTimes
    {
        private ulong _first;
    }

    [InlineArray(7)]
    public struct ExitCounts
    {
        private ulong _first;
    }

    [InlineArray(CallLimit)]
    public struct CallCounts
    {
        private ulong _first;
    }
}
