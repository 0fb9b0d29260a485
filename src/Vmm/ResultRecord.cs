using System.Buffers;
using System.Text.Json;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Processes;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm;

/// <summary>What --json says about a guest that has ended. Times in microseconds, sizes in bytes.</summary>
static class ResultRecord
{
    public const int Version = 1;

    /// <returns>0, or the negative errno of the write that failed.</returns>
    public static long Write(FileDescriptor output, LinuxPersonality personality, in GuestEnd end, StartPhases phases)
    {
        GuestEnd ended = end;
        return Write(output, json => Write(json, personality, ended, phases));
    }

    /// <inheritdoc cref="Write(FileDescriptor, LinuxPersonality, in GuestEnd, StartPhases)"/>
    internal static long Write(FileDescriptor output, Action<Utf8JsonWriter> content)
    {
        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter json = new(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            content(json);
            json.WriteEndObject();
        }
        ReadOnlySpan<byte> rest = [.. buffer.WrittenSpan, (byte)'\n'];
        while (!rest.IsEmpty)
        {
            nint written = output.Write(rest);
            if (written < 0)
                return written;
            rest = rest[(int)written..];
        }
        return 0;
    }

    /// <summary>How the guest ended: what the records of all guests begin with.</summary>
    internal static void WriteEnd(Utf8JsonWriter json, in GuestEnd end)
    {
        json.WriteNumber("version", Version);
        json.WriteNumber("status", StatusOf(end));
        json.WriteString("cause", NameOf(end.Cause));
        if (end.Cause == EndCause.Signaled)
            json.WriteNumber("signal", end.Value);
        if (end.Message.Length > 0)
            json.WriteString("message", end.Message);
    }

    internal static void WritePhases(Utf8JsonWriter json, StartPhases phases)
    {
        json.WriteStartObject("startPhasesMicroseconds");
        foreach ((string name, long at) in phases.All)
            json.WriteNumber(name, at);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, LinuxPersonality personality, in GuestEnd end, StartPhases phases)
    {
        WriteEnd(json, end);
        json.WriteNumber("wallMicroseconds", personality.WallNanoseconds / 1000);
        json.WriteNumber("cpuMicroseconds", personality.CpuNanoseconds / 1000);
        json.WriteNumber("memoryLimitBytes", personality.Memory.LimitBytes);
        json.WriteNumber("memoryPeakBytes", personality.Memory.PeakBytes);
        json.WriteNumber("outputBytes", personality.OutputBytes);
        json.WriteNumber("processesStarted", personality.ProcessesStarted);

        WritePhases(json, phases);
        ExitCounters counters = personality.HostThreads.Sum();
        json.WriteStartObject("exits");
        for (int kind = 0; kind < ExitCounters.Kinds; kind++)
            json.WriteNumber(JsonNamingPolicy.CamelCase.ConvertName(((GuestExitKind)kind).ToString()), counters.ExitsByKind[kind]);
        json.WriteEndObject();
        json.WriteNumber("callsHandedOver", counters.HandedOver);

        json.WriteStartArray("systemCalls");
        for (int number = 0; number < SystemCallTable.Limit; number++)
        {
            if (counters.Calls[number] == 0)
                continue;
            json.WriteStartObject();
            json.WriteNumber("number", number);
            json.WriteString("name", personality.SystemCalls[(ulong)number].Name ?? $"unknown_{number}");
            json.WriteNumber("count", counters.Calls[number]);
            if (counters.UnknownCalls[number] > 0)
                json.WriteNumber("notServed", counters.UnknownCalls[number]);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        if (counters.OutOfRange > 0)
            json.WriteNumber("systemCallsOutOfRange", counters.OutOfRange);
    }

    private static long StatusOf(in GuestEnd end) => end.Cause switch
    {
        EndCause.Exited => end.Value,
        EndCause.Signaled => ExitStatus.SignalBase + end.Value,
        EndCause.WallTimeLimit or EndCause.CpuTimeLimit => ExitStatus.TimeLimit,
        EndCause.MemoryLimit => ExitStatus.MemoryLimit,
        EndCause.OutputLimit => ExitStatus.OutputLimit,
        EndCause.NotFound => ExitStatus.NotFound,
        EndCause.NotExecutable => ExitStatus.NotExecutable,
        EndCause.PoweredOff => 0,
        EndCause.Rebooted => ExitStatus.Rebooted,
        EndCause.KernelPanic => ExitStatus.KernelPanic,
        EndCause.TripleFault => ExitStatus.TripleFault,
        _ => ExitStatus.SandboxFailed,
    };

    private static string NameOf(EndCause cause) => JsonNamingPolicy.CamelCase.ConvertName(cause.ToString());
}
