using System.Text;
using System.Text.Json;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.Metrics;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// What <c>--json</c> says about a guest that has ended. Times in microseconds, sizes in bytes. What the VMM counted is
/// its word; what its control group used and its walls are the kernel's.
/// </summary>
/// <param name="Counted">By the VMM; null when it did not get that far.</param>
/// <param name="Used">By its control group; null where it had none.</param>
/// <param name="Walls">As they were before the guest's first instruction.</param>
sealed record ResultRecord(
    int Status, string? Line, Outcome Outcome, GuestRecord? Counted, long VmmCpuMicroseconds, GroupUsage? Used,
    IReadOnlyList<FactLine> Walls)
{
    public const int Version = 5;

    /// <summary>The supervisor's part of the start; null where nothing of it is told.</summary>
    public JailPhases? Jailed { get; init; }

    /// <summary>When the command line began: CLOCK_MONOTONIC nanoseconds.</summary>
    public long StartedAt { get; init; }

    public byte[] Write() => Encoding.UTF8.GetBytes(JsonText.Write(json =>
    {
        json.WriteStartObject();
        json.WriteNumber("version", Version);
        json.WriteNumber("status", Status);
        json.WriteString("cause", Cause);
        if (Outcome is Outcome.Ended { Cause: EndCause.Signaled } ended)
            json.WriteNumber("signal", ended.Value);
        if (Line is not null)
            json.WriteString("message", Line);
        if (Counted is GuestRecord counted)
            WriteCounts(json, counted);
        json.WriteNumber("vmmCpuMicroseconds", VmmCpuMicroseconds);
        if (Used is GroupUsage used)
            WriteUsage(json, used);
        FactReport.WriteLines(json, "walls", Walls);
        json.WriteEndObject();
    }));

    /// <summary>A word for each kind of outcome, and for each cause that the VMM gives.</summary>
    string Cause => Outcome switch
    {
        Outcome.Ended ended => Enum.IsDefined(ended.Cause) ? JsonNames.Of(ended.Cause.ToString()) : "unknown",
        Outcome.WallTimeEnforced => JsonNames.Of(nameof(EndCause.WallTimeLimit)),
        Outcome.AuditFailed => JsonNames.Of(nameof(EndCause.AuditFull)),
        Outcome.HostMemoryLimit => "hostMemoryLimit",
        Outcome.WallNotConfirmed => "wallNotConfirmed",
        Outcome.Interrupted => "interrupted",
        _ => JsonNames.Of(nameof(EndCause.Failed)),
    };

    void WriteCounts(Utf8JsonWriter json, in GuestRecord counted)
    {
        json.WriteNumber("wallMicroseconds", counted.WallNanoseconds / 1000);
        json.WriteNumber("cpuMicroseconds", counted.CpuNanoseconds / 1000);
        json.WriteNumber("memoryLimitBytes", counted.MemoryLimitBytes);
        json.WriteNumber("memoryPeakBytes", counted.MemoryPeakBytes);
        json.WriteNumber("outputBytes", counted.OutputBytes);
        json.WriteNumber("processesStarted", counted.ProcessesStarted);
        json.WriteStartObject("startPhasesMicroseconds");
        foreach ((string phase, long at) in Jailed?.All ?? [])
            if (at > 0)
                json.WriteNumber(phase, (at - StartedAt) / 1000);
        foreach (StartPhase phase in Enum.GetValues<StartPhase>())
            if (counted.Phases[(int)phase] is > 0 and ulong at)
                json.WriteNumber(JsonNames.Of(phase.ToString()), at / 1000);
        json.WriteEndObject();
        if (counted.Vcpus > 0)
        {
            WriteMachine(json, counted);
            WriteDevices(json, counted);
            return;
        }

        json.WriteStartObject("exits");
        for (int kind = 0; kind < GuestRecord.ExitNames.Count; kind++)
            json.WriteNumber(GuestRecord.ExitNames[kind], counted.Exits[kind]);
        json.WriteEndObject();
        json.WriteStartObject("exitTimes");
        for (int kind = 0; kind < GuestRecord.ExitNames.Count; kind++)
            WriteTimes(json, GuestRecord.ExitNames[kind], counted.ExitTimes[kind]);
        json.WriteEndObject();
        json.WriteNumber("callsHandedOver", counted.CallsHandedOver);
        json.WriteStartArray("systemCalls");
        for (int number = 0; number < GuestRecord.CallLimit; number++)
        {
            if (counted.Calls[number] == 0)
                continue;
            json.WriteStartObject();
            json.WriteNumber("number", number);
            json.WriteString("name", SystemCallNames.NameOf(number));
            json.WriteNumber("count", counted.Calls[number]);
            if (counted.CallsNotServed[number] > 0)
                json.WriteNumber("notServed", counted.CallsNotServed[number]);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        if (counted.CallsOutOfRange > 0)
            json.WriteNumber("systemCallsOutOfRange", counted.CallsOutOfRange);
    }

    static void WriteMachine(Utf8JsonWriter json, in GuestRecord counted)
    {
        json.WriteNumber("vcpus", counted.Vcpus);
        json.WriteNumber("lostBytes", counted.LostBytes);
        json.WriteStartObject("exits");
        for (int reason = 0; reason < GuestRecord.MachineExitLimit; reason++)
            if (counted.MachineExitTimes[reason].Count is > 0 and ulong exits)
                json.WriteNumber(MachineExit(reason), exits);
        json.WriteEndObject();
        json.WriteStartObject("exitTimes");
        for (int reason = 0; reason < GuestRecord.MachineExitLimit; reason++)
            WriteTimes(json, MachineExit(reason), counted.MachineExitTimes[reason]);
        json.WriteEndObject();
        json.WriteNumber("refusedRegisterAccesses", counted.RefusedRegisterAccesses);
        json.WriteNumber("strayReads", counted.StrayReads);
        json.WriteNumber("strayWrites", counted.StrayWrites);
        BalloonReport.Of(counted)?.Write(json);
        WriteCpuid(json, counted);
    }

    /// <summary>In hexadecimal digits, as manuals have them.</summary>
    static void WriteCpuid(Utf8JsonWriter json, in GuestRecord counted)
    {
        json.WriteStartArray("cpuid");
        for (int number = 0; number < (int)Math.Min(counted.CpuidCount, GuestRecord.CpuidLimit); number++)
        {
            CpuidRecord leaf = counted.Cpuid[number];
            json.WriteStartObject();
            foreach ((string name, ulong value) in ((string, ulong)[])
                [
                    ("leaf", leaf.Leaf), ("index", leaf.Index), ("eax", leaf.Eax), ("ebx", leaf.Ebx), ("ecx", leaf.Ecx),
                    ("edx", leaf.Edx),
                ])
                json.WriteString(name, $"0x{value:x}");
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    static void WriteDevices(Utf8JsonWriter json, in GuestRecord counted)
    {
        json.WriteStartArray("devices");
        for (int number = 0; number < (int)Math.Min(counted.DeviceCount, GuestRecord.DeviceLimit); number++)
        {
            DeviceRecord device = counted.Devices[number];
            json.WriteStartObject();
            json.WriteString("kind", JsonNames.Of(device.Kind.ToString()));
            WriteCounts(json, DeviceCounters.Of(device.Kind), device.Counters);
            WriteFaults(json, "queueFaults", DeviceCounters.QueueFaults, device.QueueFaults);
            WriteFaults(json, "registerFaults", DeviceCounters.RegisterFaults, device.RegisterFaults);
            json.WriteStartArray("queues");
            for (int queue = 0; queue < (int)Math.Min(device.QueueCount, DeviceRecord.QueueLimit); queue++)
            {
                json.WriteStartObject();
                WriteTimes(json, device.Queues[queue]);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    static void WriteCounts(Utf8JsonWriter json, IReadOnlyList<string> names, ReadOnlySpan<ulong> counts)
    {
        for (int i = 0; i < names.Count; i++)
            json.WriteNumber(JsonNames.OfWords(names[i]), counts[i]);
    }

    static void WriteFaults(Utf8JsonWriter json, string what, IReadOnlyList<string> names, ReadOnlySpan<ulong> counts)
    {
        json.WriteStartObject(what);
        for (int i = 0; i < names.Count; i++)
            if (counts[i] > 0)
                json.WriteNumber(JsonNames.OfWords(names[i]), counts[i]);
        json.WriteEndObject();
    }

    /// <summary>Of what was done at all.</summary>
    static void WriteTimes(Utf8JsonWriter json, string what, in LatencyRecord times)
    {
        if (times.Count == 0)
            return;
        json.WriteStartObject(what);
        WriteTimes(json, times);
        json.WriteEndObject();
    }

    static void WriteTimes(Utf8JsonWriter json, in LatencyRecord times)
    {
        json.WriteNumber("count", times.Count);
        json.WriteNumber("minimumNanoseconds", times.MinimumNanoseconds);
        json.WriteNumber("maximumNanoseconds", times.MaximumNanoseconds);
        json.WriteNumber("sumNanoseconds", times.SumNanoseconds);
    }

    /// <summary>The word for a KVM_EXIT_*.</summary>
    internal static string MachineExit(int reason) => reason switch
    {
        KvmAbi.KVM_EXIT_IO => "io",
        KvmAbi.KVM_EXIT_MMIO => "mmio",
        KvmAbi.KVM_EXIT_SHUTDOWN => "shutdown",
        KvmAbi.KVM_EXIT_SYSTEM_EVENT => "systemEvent",
        KvmAbi.KVM_EXIT_X86_RDMSR => "readMsr",
        KvmAbi.KVM_EXIT_X86_WRMSR => "writeMsr",
        KvmAbi.KVM_EXIT_INTERNAL_ERROR => "internalError",
        _ => $"exit{reason}",
    };

    static void WriteUsage(Utf8JsonWriter json, in GroupUsage used)
    {
        json.WriteStartObject("controlGroup");
        foreach ((string name, ulong? value) in ((string, ulong?)[])
            [
                ("memoryPeakBytes", used.MemoryPeakBytes), ("cpuMicroseconds", used.CpuMicroseconds),
                ("peakProcesses", used.PeakProcesses), ("oomKills", used.OomKills), ("forksRefused", used.ForksRefused),
                ("throttled", used.Throttled), ("throttledMicroseconds", used.ThrottledMicroseconds),
            ])
            if (value is ulong known)
                json.WriteNumber(name, known);
        json.WriteEndObject();
    }
}
