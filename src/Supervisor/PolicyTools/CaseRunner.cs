using System.Text;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;

namespace Sandbox.Supervisor.PolicyTools;

/// <summary><c>sandbox policy test</c>: every *.yaml of a folder is a file of cases.</summary>
static class CaseRunner
{
    const int Failed = 1;
    const int Wrong = 3;

    public static int Run(string folder, string? junit, int? cover)
    {
        string[] files;
        try
        {
            files = [.. Directory.EnumerateFiles(folder, "*.yaml").Order(StringComparer.Ordinal)];
        }
        catch (Exception mistake) when (mistake is IOException or UnauthorizedAccessException)
        {
            throw new UsageException(
                $"policy test: {Quote.Value(folder)} cannot be listed; name a folder that holds cases");
        }

        if (files.Length == 0)
            throw new UsageException(
                $"policy test: {Quote.Value(folder)} holds no *.yaml; name a folder that holds cases");
        var suites = new List<(string, IReadOnlyList<(string, string?)>)>();
        var text = new StringBuilder();
        int passed = 0, failed = 0;
        foreach (string file in files)
        {
            if (RunFile(file, cover) is not List<(string Name, string? Problem)> cases)
                return Wrong;
            suites.Add((file, cases));
            foreach ((string name, string? problem) in cases.Where(one => one.Problem is not null))
                text.Append($"{name}: {problem}\n");
            failed += cases.Count(one => one.Problem is not null);
            passed += cases.Count(one => one.Problem is null);
        }

        if (junit is not null)
            TextFile.Write(junit, CaseReport.JUnit(suites));
        text.Append($"{passed} passed, {failed} failed\n");
        return PolicyTool.Print(text.ToString(), failed > 0 ? Failed : 0);
    }

    static List<(string Name, string? Problem)>? RunFile(string file, int? cover)
    {
        var opener = new PolicyOpener();
        var diagnostics = new Diagnostics();
        SourceText source = opener.Read(file, out string problem)
            ?? throw new UsageException($"policy test: {Quote.Value(file)} {problem}");
        // The home is the policy's, which the file of cases names: read once to learn it.
        CaseFile? cases = CaseFile.Read(source, "/home/sandbox", diagnostics);
        if (cases is null)
            return Refuse(diagnostics);

        string named = Path.Combine(Path.GetDirectoryName(file) ?? "", cases.Policy);
        SourceText tested = opener.Read(named, out problem)
            ?? throw new UsageException($"policy: {Quote.Value(named)} {problem}");
        if (PolicyTool.TryLoad(tested, opener) is not CompiledPolicy policy)
            return null;
        // With that home two cases may turn out to be one.
        cases = CaseFile.Read(source, CompiledPolicy.UserOf(policy.Model).Home, diagnostics);
        if (cases is null)
            return Refuse(diagnostics);
        IReadOnlyList<CaseResult> results = cases.Run(policy);
        var all = results.Select(result => ($"{result.Case.Span}: {result.Case.Request}", result.Problem)).ToList();
        IReadOnlyList<IRule> unreached = CaseFile.Unreached(policy, results);
        int rules = policy.Model.Rules.Count(rule => rule.Span.Text == policy.Model.Source);
        if (cover is int percent && rules > 0 && 100 * (rules - unreached.Count) < percent * rules)
            all.AddRange(unreached.Select(rule => ($"{rule.Span}", (string?)$"no case reaches '{rule.Text}'")));
        return all;
    }

    static List<(string, string?)>? Refuse(Diagnostics diagnostics)
    {
        StandardStreams.WriteText(DiagnosticReports.Human(diagnostics.List, diagnostics.Dropped));
        return null;
    }
}
