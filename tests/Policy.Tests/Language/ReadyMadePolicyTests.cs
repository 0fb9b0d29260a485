using System.Runtime.CompilerServices;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>The policies of this repository: their cases pass and reach every rule; the bad examples are flagged.</summary>
public class ReadyMadePolicyTests
{
    static string Folder([CallerFilePath] string here = "") =>
        Path.GetFullPath("../../../policies", Path.GetDirectoryName(here)!);

    sealed class Disk : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem)
        {
            problem = "";
            return new SourceText(name, File.ReadAllText(name));
        }
    }

    public static TheoryData<string> Names => [.. BuiltinPolicies.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void CasesPassAndReachEveryRule(string name)
    {
        var diagnostics = new Diagnostics();
        CaseFile? cases = CaseFile.Read(new Disk().Read(Path.Combine(Folder(), "tests", name), out _)!, "/home/sandbox", diagnostics);
        Assert.Empty(diagnostics.List);
        string path = Path.GetFullPath(cases!.Policy, Path.Combine(Folder(), "tests"));
        Assert.Equal(Path.Combine(Folder(), name), path);
        CompiledPolicy? policy = CompiledPolicy.Load(new Disk().Read(path, out _)!, new Disk(), diagnostics);
        Assert.Empty(diagnostics.List);
        IReadOnlyList<CaseResult> results = cases.Run(policy!);
        Assert.All(results, result => Assert.Null(result.Problem));
        Assert.Empty(CaseFile.Unreached(policy!, results).Select(rule => rule.Text));
    }

    [Theory]
    [InlineData(
        "looks-harmless.yaml", "10 no-limit", "14 no-limit", "16 super-user", "20 secret-path", "20 writable-host-folder",
        "20 write-and-execute", "25 write-and-execute", "26 over-broad", "30 over-broad")]
    [InlineData("false-safety.yaml", "24 impossible-rule", "29 shadowed-rule")]
    public void ABadExampleIsFlagged(string name, params string[] expected)
    {
        var diagnostics = new Diagnostics();
        CompiledPolicy? policy = CompiledPolicy.Load(
            new Disk().Read(Path.Combine(Folder(), "adversarial", name), out _)!, new Disk(), diagnostics);
        Assert.NotNull(policy);
        Lint.Check(policy, diagnostics);
        Assert.Equal(expected, diagnostics.List.Select(found => $"{found.Span.Line} {found.Kind.Name}").Order());
    }
}
