using System.CommandLine;
using System.Globalization;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Trust;

namespace Sandbox.Supervisor.PolicyTools;

/// <summary>
/// The verbs of <c>sandbox policy</c>. Exit status: 0 good, 1 the answer is no, 3 the policy is wrong.
/// </summary>
static class PolicyTool
{
    /// <summary>The answer is no: a warning, a failed case, a widening, a score above the threshold.</summary>
    public const int No = 1;

    /// <summary>A policy, or a file of cases, cannot be used.</summary>
    public const int Wrong = 3;

    public static int Run(PolicyCommand model, ParseResult parsed)
    {
        Command verb = parsed.CommandResult.Command;
        if (verb == model.Check)
            return Check(parsed.GetRequiredValue(model.Files), parsed.GetValue(model.ReportFormat) ?? "human");
        if (verb == model.Test)
            return CaseRunner.Run(parsed.GetRequiredValue(model.Folder), parsed.GetValue(model.JUnit),
                Percent("--cover", parsed.GetValue(model.Cover)));
        if (verb == model.Schema)
            return Print(parsed.GetValue(model.Reference) ? ReferenceReport.Write() : SchemaReport.Write(), 0);
        if (verb == model.Diff || verb == model.Implies || verb == model.Equivalent)
            return Compare(model, verb, parsed);
        if (verb == model.Format)
            return FormatTool.Run(
                parsed.GetRequiredValue(model.Files), parsed.GetValue(model.CheckOnly), parsed.GetValue(model.Write));
        if (verb == model.MakeKey)
            return SigningTool.MakeKey(parsed.GetRequiredValue(model.NewKey));
        if (verb == model.Sign)
            return SigningTool.Sign(model, parsed, TrustedPolicy.OfThisHost);
        if (verb == model.Verify)
            return SigningTool.Verify(model, parsed, TrustedPolicy.OfThisHost);
        if (TryLoad(parsed.GetRequiredValue(model.File)) is not CompiledPolicy policy)
            return Wrong;
        if (verb == model.Show)
            return Print(PolicyText.Write(policy.Model), 0);
        return verb == model.Score ? Score(model, parsed, policy) : Explain(parsed.GetValue(model.RequestText), policy);
    }

    static int Check(string[] files, string format)
    {
        if (!PolicyCommand.ReportFormats.Contains(format))
            throw new UsageException($"--format: {Quote.Value(format)} is none of human, json and sarif");
        var findings = new List<Diagnostic>();
        int dropped = 0;
        foreach (string file in files)
        {
            var diagnostics = new Diagnostics();
            var opener = new PolicyOpener();
            if (CompiledPolicy.Load(Read(file, opener), opener, diagnostics) is CompiledPolicy policy)
                Lint.Check(policy, diagnostics);
            findings.AddRange(diagnostics.List);
            dropped += diagnostics.Dropped;
        }

        int status = findings.Exists(found => found.Kind.Severity == Severity.Error)
            ? Wrong
            : findings.Count > 0 ? No : 0;
        return Print(format switch
        {
            "json" => DiagnosticReports.Json(findings, dropped),
            "sarif" => DiagnosticReports.Sarif(findings, BuildVersion.Text),
            _ => DiagnosticReports.Human(findings, dropped),
        }, status);
    }

    static int Explain(string? text, CompiledPolicy policy)
    {
        if (text is null)
            throw new UsageException($"policy explain: say what to ask with --request: {Request.Forms}");
        string home = CompiledPolicy.UserOf(policy.Model).Home;
        Request request = Request.TryParse(text, home, out string problem)
            ?? throw new UsageException($"--request: {problem}");
        Explanation explanation = Explanation.Of(policy, request);
        return Print(explanation.Text(), explanation.Decision.Allowed ? 0 : No);
    }

    static int Compare(PolicyCommand model, Command verb, ParseResult parsed)
    {
        CompiledPolicy? a = TryLoad(parsed.GetRequiredValue(model.Old)),
            b = TryLoad(parsed.GetRequiredValue(model.New));
        if (a is null || b is null)
            return Wrong;
        // What A has beyond B is what B would gain by becoming A.
        PolicyComparison comparison = verb == model.Implies
            ? PolicyComparer.Compare(b, a)
            : PolicyComparer.Compare(a, b);
        if (verb == model.Diff)
        {
            bool fails = parsed.GetValue(model.FailOnWidening) && !comparison.IsNoWider;
            return Print(
                parsed.GetValue(model.Json) ? ComparisonReport.Json(comparison) : ComparisonReport.Human(comparison),
                fails ? No : 0);
        }

        if (verb == model.Implies ? comparison.IsNoWider : comparison.IsEqual)
            return Print("yes\n", 0);
        var shown = new PolicyComparison(
            [.. comparison.Differences.Where(
                difference => verb == model.Equivalent || difference.Change != Change.Denied)], comparison.IsExact);
        // What cannot be compared exactly is no proof either way.
        return Print((shown.Differences.Count > 0 ? "no\n" : "unknown\n") + ComparisonReport.Human(shown),
            shown.Differences.Count > 0 ? No : Wrong);
    }

    static int Score(PolicyCommand model, ParseResult parsed, CompiledPolicy policy)
    {
        int? threshold = Percent("--threshold", parsed.GetValue(model.Threshold));
        Exposure exposure = Exposure.Of(policy);
        string name = policy.Model.Source.Name;
        return Print(
            parsed.GetValue(model.Json) ? ExposureReport.Json(name, exposure) : ExposureReport.Human(name, exposure),
            exposure.Score > threshold ? No : 0);
    }

    static int? Percent(string flag, string? text)
    {
        if (text is null)
            return null;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number <= 100
            ? number
            : throw new UsageException($"{flag}: {Quote.Value(text)} is not a whole number from 0 to 100");
    }

    /// <summary>Null after its findings were written to stderr.</summary>
    public static CompiledPolicy? TryLoad(string file) => TryLoad(file, new PolicyOpener());

    /// <summary>Null after its findings were written to stderr.</summary>
    public static CompiledPolicy? TryLoad(string file, IPolicyFiles files) => TryLoad(Read(file, files), files);

    /// <summary>Null after its findings were written to stderr.</summary>
    public static CompiledPolicy? TryLoad(SourceText source, IPolicyFiles files)
    {
        var diagnostics = new Diagnostics();
        CompiledPolicy? policy = CompiledPolicy.Load(source, files, diagnostics);
        if (policy is null)
            StandardStreams.WriteText(DiagnosticReports.Human(diagnostics.List, diagnostics.Dropped));
        return policy;
    }

    static SourceText Read(string file, IPolicyFiles files) =>
        files.ReadGiven(file, out string problem) ?? throw new UsageException($"policy: {Quote.Value(file)} {problem}");

    public static int Print(string text, int status) =>
        StandardStreams.WriteOutput(text) ? status : Sandbox.Policy.Contract.ExitStatus.SandboxFailed;
}
