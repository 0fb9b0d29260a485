using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.LifeCycle;

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
    public static int Run(StateOwner owner, string text, bool json)
    {
        using OpenedSandbox sandbox = OpenedSandbox.Find(owner, text);
        IReadOnlyList<FactLine> lines = WallReading.Of(sandbox, out string problem)
            ?? throw new UsageException($"audit sandbox: {Quote.Value(text)}: {problem}");
        SandboxRecord record = sandbox.Listed.Record!;
        string[] required =
            [.. record.Required.Where(wall => !WallReading.Stands(wall, lines)).Select(wall => Walls.Names[(int)wall])];
        string report = json ? Json(record, lines, required) : FactReport.Text(lines) + Summary(lines, required);
        return StandardStreams.WriteOutput(report) ? StatusOf(lines) : ExitStatus.SandboxFailed;
    }

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
        FactReport.WriteLines(json, "walls", lines);
        json.WriteEndObject();
    });
}
