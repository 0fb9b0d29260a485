using System.Globalization;
using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail.Facts;
using Serilog.Events;
using Serilog.Formatting.Compact;
using Serilog.Parsing;

namespace Sandbox.Supervisor.Audit;

/// <summary>One line of a log, as Serilog's compact JSON, before it has its place in the log.</summary>
sealed class AuditEvent
{
    /// <summary>Characters of a text that somebody else wrote: a reason, a rule, a path.</summary>
    const int MaximumText = 1000;

    static readonly MessageTemplate s_decision = Template("{Request}: {Result}");
    static readonly MessageTemplate s_start = Template("{Sandbox} starts {Program} under {Policy}");
    static readonly MessageTemplate s_walls = Template("{Sandbox}: {Holding} of {Checked} walls hold");
    static readonly MessageTemplate s_end = Template("{Sandbox} ends: {Cause}");
    static readonly MessageTemplate s_dropped = Template("{Sandbox}: {Count} records were dropped");
    static readonly MessageTemplate s_misbehaved = Template("{Sandbox}: {Fault}");
    static readonly MessageTemplate s_repaired =
        Template("a writer was interrupted: {Recovered} lines kept, {Missing} missing");

    readonly MessageTemplate _template;
    readonly LogEventLevel _level;
    readonly DateTimeOffset _at = DateTimeOffset.UtcNow;
    readonly List<LogEventProperty> _properties = [];

    AuditEvent(string kind, MessageTemplate template, LogEventLevel level = LogEventLevel.Information)
    {
        _template = template;
        _level = level;
        Add("Kind", kind);
    }

    /// <param name="sequence">Of the decision in its sandbox, from 1.</param>
    public static AuditEvent Of(DecisionRecord decision, AuditedRun run, long sequence)
    {
        AuditEvent line =
            new("decision", s_decision, decision.Allowed ? LogEventLevel.Information : LogEventLevel.Warning);
        line.AddRun(run);
        line.Add("Id", string.Create(CultureInfo.InvariantCulture, $"{run.Sandbox}-{sequence}"));
        line.Add("Request", decision.Request);
        line.Add("Result", decision.Result);
        line.Add("Allowed", decision.Allowed);
        if (decision.Rule is IRule rule)
        {
            line.Add("Rule", rule.Text);
            line.Add("Place", rule.Span.ToString());
            if (rule.Because is not null)
                line.Add("Because", rule.Because);
        }

        line.Add("Process", decision.Process);
        line.Add("Nanoseconds", decision.Nanoseconds);
        if (decision.IsTruncated)
            line.Add("Truncated", true);
        return line;
    }

    public static AuditEvent Start(AuditedRun run, LaunchPlan plan)
    {
        AuditEvent line = new("start", s_start);
        line.AddRun(run);
        line.Add("Program", string.Join(' ', plan.Arguments));
        line.Add("Version", BuildVersion.Text);
        line.Add(
            "User", string.Create(CultureInfo.InvariantCulture, $"{plan.User.Name} ({plan.User.Uid}:{plan.User.Gid})"));
        line.Add("MemoryBytes", plan.Limits.MemoryBytes);
        line.Add("Cpus", plan.Limits.Cpus);
        line.Add("WallMilliseconds", plan.Limits.WallMilliseconds);
        line.Add("CpuMilliseconds", plan.Limits.CpuMilliseconds);
        line.Add("Processes", plan.Limits.Processes);
        line.Add("Shown", string.Join(' ', plan.Files.Where(file => file.Kind == GuestFileKind.Host)
            .Select(file => file.Writable ? file.Path + ":rw" : file.Path)));
        line.Add("Records", plan.Audit is null ? "lifecycle" : plan.Audit.All ? "decisions" : "denials");
        return line;
    }

    /// <summary>What was read back of the jail before the guest's first instruction.</summary>
    public static AuditEvent Walls(AuditedRun run, IReadOnlyList<FactLine> lines)
    {
        int holding = lines.Count(fact => fact.Verdict == FactVerdict.Holds);
        AuditEvent line =
            new("walls", s_walls, holding == lines.Count ? LogEventLevel.Information : LogEventLevel.Warning);
        line.AddRun(run);
        line.Add("Holding", holding);
        line.Add("Checked", lines.Count);
        line._properties.Add(new LogEventProperty("Walls", new SequenceValue(lines.Select(fact => new StructureValue(
        [
            Text("Wall", fact.Name), Text("Expected", fact.Expected), Text("Found", fact.Found),
            Text("Verdict", FactReport.WordOf(fact.Verdict)),
            Text("Source", FactReport.WordOf(fact.Source)),
        ])))));
        return line;

        static LogEventProperty Text(string name, string text) => new(name, new ScalarValue(Cut(text)));
    }

    /// <param name="cause">In words.</param>
    /// <param name="complete">Whether all decisions that were to be recorded are in the log.</param>
    public static AuditEvent End(AuditedRun run, string cause, int status, in AuditedUsage usage, bool complete)
    {
        AuditEvent line = new("end", s_end);
        line.AddRun(run);
        line.Add("Cause", cause);
        line.Add("Status", status);
        line.Add("WallMilliseconds", usage.WallMilliseconds);
        line.Add("CpuMilliseconds", usage.CpuMilliseconds);
        line.Add("PeakKibibytes", usage.PeakKibibytes);
        line.Add("Decisions", usage.Decisions);
        line.Add("Dropped", usage.Dropped);
        line.Add("Complete", complete);
        return line;
    }

    public static AuditEvent Dropped(AuditedRun run, long count)
    {
        AuditEvent line = new("dropped", s_dropped, LogEventLevel.Warning);
        line.AddRun(run);
        line.Add("Count", count);
        return line;
    }

    /// <summary>The VMM sent records that no VMM sends.</summary>
    public static AuditEvent Misbehaved(AuditedRun run, string fault)
    {
        AuditEvent line = new("misbehaved", s_misbehaved, LogEventLevel.Error);
        line.AddRun(run);
        line.Add("Fault", fault);
        return line;
    }

    public static AuditEvent Repaired(LogTail tail)
    {
        AuditEvent line = new("repaired", s_repaired, LogEventLevel.Warning);
        line.Add("Recovered", tail.Recovered);
        line.Add("Missing", tail.Missing);
        line.Add("TornBytes", tail.Torn);
        return line;
    }

    /// <summary>The line as JSON, without the chain's value and a newline.</summary>
    /// <param name="number">Its place in the log, from 1.</param>
    public byte[] Write(long number)
    {
        var text = new StringWriter(CultureInfo.InvariantCulture);
        var numbered = new LogEventProperty("Line", new ScalarValue(number));
        CompactJsonFormatter.FormatEvent(
            new LogEvent(_at, _level, null, _template, _properties.Append(numbered)), text, s_values);
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    static readonly Serilog.Formatting.Json.JsonValueFormatter s_values = new(typeTagName: null);

    void AddRun(AuditedRun run)
    {
        Add("Sandbox", run.Sandbox);
        Add("Policy", run.PolicyName);
        Add("Digest", run.PolicyDigest);
        if (run.PolicyRevision is long revision)
            Add("Revision", revision);
        if (run.IsLearning)
            Add("Learning", true);
    }

    void Add(string name, string text) => Add(name, (object)Cut(text));

    static string Cut(string text) => text.Length <= MaximumText ? text : text[..MaximumText] + "...";

    void Add(string name, object value) => _properties.Add(new LogEventProperty(name, new ScalarValue(value)));

    static MessageTemplate Template(string text) => new MessageTemplateParser().Parse(text);
}
