using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.LifeCycle;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Audit;

/// <summary>
/// <c>sandbox audit sandbox</c>: what stands around a running VMM now, held to what its supervisor meant.
/// </summary>
static class SandboxAudit
{
    /// <summary>Exit status: something does not hold.</summary>
    const int Faulty = 1;

    /// <summary>Exit status: nothing is wrong that could be read, and not everything could be.</summary>
    const int Unknown = 3;

    /// <param name="text">An ID, the beginning of one, or a name.</param>
    /// <exception cref="UsageException">It does not run, or nothing is known of its jail.</exception>
    public static int Run(string text, bool json)
    {
        ListedSandbox found = StateList.Find(StatePlace.Path, text);
        if (!found.IsAlive || found.Record is not SandboxRecord record)
            throw new UsageException($"audit sandbox: {Quote.Value(text)} does not run; see sandbox ps");
        JailExpectation expected = Expectation(found.Id)
            ?? throw new UsageException($"audit sandbox: nothing is on record of {Quote.Value(text)}'s jail; "
                + "it may have ended, or be of another version of sandbox");
        IReadOnlyList<FactLine> lines = Compare(record.Vmm, expected)
            ?? throw new UsageException($"audit sandbox: {Quote.Value(text)} has ended");
        string[] required =
            [.. record.Required.Where(wall => !Stands(wall, lines)).Select(wall => Walls.Names[(int)wall])];
        string report = json ? Json(record, lines, required) : FactReport.Text(lines) + Summary(lines, required);
        return StandardStreams.WriteOutput(report) ? StatusOf(lines) : ExitStatus.SandboxFailed;
    }

    static JailExpectation? Expectation(SandboxId id)
    {
        using FileDescriptor? place = StateList.OpenPlace(StatePlace.Path);
        if (place is null || StateFolder.TryOpen(place, id, out StateFolder? folder) != 0)
            return null;
        using (folder)
            return folder!.ReadJail();
    }

    static IReadOnlyList<FactLine>? Compare(int vmm, JailExpectation expected)
    {
        int error = ProcessFiles.TryOpen(vmm, out ProcessFiles? files);
        if (error != 0)
            return null;
        using (files)
            return FactReader.Read(files!, HostCgroupFiles.Instance, vmm, geteuid() == 0, expected.Groups)
                is JailFacts facts && facts.Parent == expected.Supervisor
                ? JailComparison.Of(facts, expected)
                : null;
    }

    static bool Stands(Wall wall, IReadOnlyList<FactLine> lines) =>
        RequiredWalls.For(wall) is JailWalls walls
        && lines.All(line => (line.Wall & walls) == 0 || line.Verdict == FactVerdict.Holds);

    static int StatusOf(IReadOnlyList<FactLine> lines)
    {
        if (lines.All(line => line.Verdict == FactVerdict.Holds))
            return 0;
        return lines.Any(line => line.Verdict is FactVerdict.Missing or FactVerdict.Weaker) ? Faulty : Unknown;
    }

    static string Summary(IReadOnlyList<FactLine> lines, string[] required)
    {
        int holding = lines.Count(line => line.Verdict == FactVerdict.Holds);
        string rest = required.Length == 0 ? "" : $" The policy requires: {string.Join(", ", required)}.";
        return holding == lines.Count
            ? "Everything holds.\n"
            : $"{lines.Count - holding} of {lines.Count} do not hold, or cannot be read.{rest}\n";
    }

    static string Json(SandboxRecord record, IReadOnlyList<FactLine> lines, string[] required) => JsonText.Write(json =>
    {
        json.WriteStartObject();
        json.WriteString("sandbox", record.Id.ToString());
        json.WriteNumber("vmmPid", record.Vmm);
        json.WriteBoolean("holds", StatusOf(lines) == 0);
        json.WriteStartArray("requiredAndNotHolding");
        foreach (string wall in required)
            json.WriteStringValue(wall);
        json.WriteEndArray();
        FactReport.WriteWalls(json, lines);
        json.WriteEndObject();
    });
}
