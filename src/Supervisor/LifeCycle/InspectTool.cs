using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Metrics;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary><c>sandbox inspect</c>: all that is known of one sandbox.</summary>
static class InspectTool
{
    public static int Run(StateOwner owner, string name, bool json)
    {
        using OpenedSandbox sandbox = OpenedSandbox.Find(owner, name);
        SandboxRecord record = sandbox.Listed.Record
            ?? throw new UsageException(
                $"{sandbox.Id} " + (sandbox.Listed.IsAlive
                    ? "is starting"
                    : "has no record that this version can read; see sandbox gc"));
        string? digest = Digest(sandbox.Folder);
        GroupUse use = sandbox.Listed is { IsAlive: true, Doubt: null } ? Use(record) : default;
        IReadOnlyList<FactLine>? lines = WallReading.Of(sandbox, out string problem);
        BalloonReport? balloon = BalloonReport.Of(Counts(owner, sandbox, record));
        string text = json
            ? Json(sandbox.Listed, record, digest, use, lines, balloon)
            : Text(sandbox.Listed, record, digest, use, lines, problem, balloon);
        return StandardStreams.WriteOutput(text) ? 0 : ExitStatus.SandboxFailed;
    }

    /// <summary>
    /// Of a machine guest, the only kind with devices. The supervisor of another user's is not asked: what it told
    /// last.
    /// </summary>
    static GuestRecord? Counts(StateOwner owner, OpenedSandbox sandbox, SandboxRecord record) =>
        !record.Descriptors.Contains(RecordText.BootFile) ? null
        : owner.IsOwn ? MetricsTool.Counts(sandbox) : sandbox.Folder.ReadCounts();

    /// <summary>As an audit log has it: SHA-256 of the policy's text.</summary>
    internal static string? Digest(StateFolder folder)
    {
        if (folder.ReadPolicy() is not byte[] policy)
            return null;
        CryptoLibrary.Require();
        return Convert.ToHexStringLower(SHA256.HashData(policy));
    }

    /// <summary>
    /// What the sandbox's control group has in use, by the group's own files; where none counts CPU time, that of its
    /// VMM.
    /// </summary>
    internal static GroupUse Use(SandboxRecord record)
    {
        GroupUse all = default;
        foreach (RecordedGroup group in record.Groups)
            all = all.Or(group.Open(HostCgroupFiles.Instance).Use);
        return all with
        {
            CpuMicroseconds = all.CpuMicroseconds
                ?? CgroupText.CpuTime(HostCgroupFiles.Instance.Read($"/proc/{record.Vmm}/stat")),
        };
    }

    /// <summary>What the sandbox's control group has used, by the group's own files.</summary>
    internal static GroupUsage Usage(SandboxRecord record)
    {
        GroupUsage all = default;
        foreach (RecordedGroup group in record.Groups)
            all = group.Open(HostCgroupFiles.Instance).Usage.And(all);
        return all;
    }

    /// <param name="lines">Its walls as the kernel shows them; null where nothing is to be read.</param>
    /// <param name="problem">Why not, for people.</param>
    /// <param name="balloon">Null where there is none, or nothing is known.</param>
    internal static string Text(
        ListedSandbox one, SandboxRecord record, string? digest, in GroupUse use, IReadOnlyList<FactLine>? lines,
        string problem,
        BalloonReport? balloon)
    {
        var text = new StringBuilder();
        GuestLimits limits = record.Limits;
        Line("ID", one.Id.ToString());
        Line("name", record.Name);
        Line("state", PsTool.State(one));
        Line("because", record.End?.Line);
        Line("command", string.Join(' ', record.Command.Select(Quote.Value)) + (record.IsCommandCut ? " ..." : ""));
        Line("policy", record.Policy);
        Line("policy digest", digest);
        Line("started", PsTool.Time(record.StartedAt));
        Line("ended", record.End is RecordedEnd end ? PsTool.Time(end.At) : null);
        if (one.Doubt is not null)
            Line("processes", $"none that can be this sandbox's: {one.Doubt}");
        else if (one.IsAlive)
            Line("processes", $"supervisor {record.Supervisor}, VMM {record.Vmm} as user {record.VmmUser}");
        if (lines is null)
        {
            Line("walls built", $"{record.Jail}");
            Line("walls now", one.IsAlive ? $"not known: {problem}" : null);
        }
        else
        {
            Line("walls", $"{WallNames.Of(Standing(lines))}, as the kernel shows them");
            foreach (FactLine line in lines.Where(line => line.Verdict != FactVerdict.Holds))
                Line(FactReport.WordOf(line.Verdict),
                    $"{line.Name}: {line.Found}{(line.Found.Length > 0 ? ", " : "")}expected {line.Expected}");
        }

        Line("required walls", record.Required.Length == 0 ? "none" : string.Join(
            ", ", record.Required.Select(wall => Walls.Names[(int)wall])));
        Line("limits", $"memory {ByteSize.Format(limits.MemoryBytes)}, {limits.Cpus} CPUs, {limits.Processes} "
            + $"processes, wall time {Time(limits.WallMilliseconds)}, CPU time {Time(limits.CpuMilliseconds)}");
        foreach (RecordedGroup group in record.Groups)
            Line("control group", group.Folder);
        Line("memory in use", use.MemoryBytes is ulong memory ? ByteSize.Format(memory) : null);
        Line("memory peak",
            (use.MemoryPeakBytes ?? record.End?.MemoryPeakBytes) is ulong peak ? ByteSize.Format(peak) : null);
        if (balloon is not null)
            foreach ((string what, string value) in balloon.Lines())
                Line(what, value);
        Line("CPU time", (use.CpuMicroseconds ?? (ulong?)record.End?.CpuMicroseconds) is ulong cpu ? string.Create(
            CultureInfo.InvariantCulture, $"{cpu / 1e6:F3} s") : null);
        Line("host threads", use.Threads?.ToString(CultureInfo.InvariantCulture));
        return text.ToString();

        void Line(string what, string? value)
        {
            if (value is not null)
                text.Append($"{what + ":",-16}{Quote.Printable(value)}\n");
        }

        static string Time(long milliseconds) => milliseconds == 0 ? "none" : Duration.Format(milliseconds);
    }

    /// <summary>Walls that were looked at, and of which everything holds.</summary>
    static JailWalls Standing(IReadOnlyList<FactLine> lines) => WallNames.All.Aggregate(JailWalls.None, (all, wall) =>
        lines.Any(line => (line.Wall & wall.Wall) != 0) && WallReading.Stands(wall.Wall, lines)
            ? all | wall.Wall
            : all);

    /// <inheritdoc cref="Text"/>
    internal static string Json(
        ListedSandbox one, SandboxRecord record, string? digest, GroupUse use, IReadOnlyList<FactLine>? lines,
        BalloonReport? balloon) => JsonText.Write(json =>
    {
        json.WriteStartObject();
        PsTool.WriteSummary(json, one);
        json.WriteString("policyDigest", digest);
        json.WriteNumber("vmmUser", record.VmmUser);
        JailWalls standing = lines is null ? record.Jail.Walls : Standing(lines);
        JailWalls looked = lines is null
            ? standing | record.Jail.Missing
            : lines.Aggregate(JailWalls.None, (all, line) => all | line.Wall);
        json.WriteString("wallsFrom", lines is null ? "record" : "kernel");
        WriteTexts(json, "walls", WallNames.Each(standing));
        WriteTexts(json, "missingWalls", WallNames.Each(looked & ~standing));
        json.WriteString("missingBecause", record.Jail.Reason);
        if (lines is not null)
            FactReport.WriteLines(json, "readBack", lines);
        WriteTexts(json, "requiredWalls", record.Required.Select(wall => Walls.Names[(int)wall]));
        WriteTexts(json, "descriptors", record.Descriptors);
        json.WriteStartObject("limits");
        json.WriteNumber("memoryBytes", record.Limits.MemoryBytes);
        json.WriteNumber("cpus", record.Limits.Cpus);
        json.WriteNumber("processes", record.Limits.Processes);
        json.WriteNumber("wallMilliseconds", record.Limits.WallMilliseconds);
        json.WriteNumber("cpuMilliseconds", record.Limits.CpuMilliseconds);
        json.WriteNumber("outputBytes", record.Limits.OutputBytes);
        json.WriteNumber("tmpBytes", record.Limits.TmpBytes);
        json.WriteEndObject();
        json.WriteStartObject("controlGroup");
        WriteTexts(json, "folders", record.Groups.Select(group => group.Folder));
        json.WriteNumber("memoryLimitBytes", record.GroupLimits.MemoryBytes);
        json.WriteNumber("cpuLimit", record.GroupLimits.Cpus);
        json.WriteNumber("cpuWeight", record.GroupLimits.Weight);
        json.WriteNumber("threadLimit", record.GroupLimits.Processes);
        WriteNumber(json, "memoryBytes", use.MemoryBytes);
        WriteNumber(json, "memoryPeakBytes", use.MemoryPeakBytes ?? record.End?.MemoryPeakBytes);
        WriteNumber(json, "cpuMicroseconds", use.CpuMicroseconds ?? (ulong?)record.End?.CpuMicroseconds);
        WriteNumber(json, "threads", use.Threads);
        json.WriteEndObject();
        balloon?.Write(json);
        json.WriteEndObject();
    });

    static void WriteTexts(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (string text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }

    static void WriteNumber(Utf8JsonWriter json, string name, ulong? number)
    {
        if (number is ulong value)
            json.WriteNumber(name, value);
        else
            json.WriteNull(name);
    }
}
