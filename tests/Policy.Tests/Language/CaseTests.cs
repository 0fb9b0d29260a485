using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

public class CaseTests
{
    const string Policy = """
        version: 1
        fragment: true
        files:
          show:
            - {path: /d, because: x}
          rules:
            - {deny: read, path: /d/secret, because: x}
            - {deny: read, path: /d/other, because: x}
        """;

    static (CaseFile? File, Diagnostics Diagnostics) Read(string cases)
    {
        var diagnostics = new Diagnostics();
        return (CaseFile.Read(new SourceText("c.yaml", "policy: p.yaml\ncases:\n" + cases), "/home/u", diagnostics), diagnostics);
    }

    static CompiledPolicy Compiled { get; } = MemoryFiles.Load(Policy);

    [Theory]
    [InlineData("open /d/x for read", "allow", "show /d for read, execute", null)]
    [InlineData("open /d/x for read", "allow", "p.yaml:5", null)]
    [InlineData("open /d/x for read", "allow", null, null)]
    [InlineData("open /d/x for read", "deny", null, "is allowed")]
    [InlineData("open /d/secret for read", "deny", "deny read of /d/secret", null)]
    [InlineData("open /d/secret for read", "deny", "deny read of /d/other", "instead of")]
    [InlineData("open /d/secret for read", "deny", "none", "instead of")]
    [InlineData("open /x for read", "deny", "none", null)]
    [InlineData("open /x for read", "deny", "deny nothing", "no rule of the policy")]
    public void ACasePassesOnlyWithItsAnswerAndItsRule(string request, string expect, string? by, string? problem)
    {
        string text = $"  - request: {request}\n    expect: {expect}\n" + (by is null ? "" : $"    by: \"{by}\"\n");
        CaseResult result = Assert.Single(Read(text).File!.Run(Compiled));
        if (problem is null)
            Assert.Null(result.Problem);
        else
            Assert.Contains(problem, result.Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("open /d/x for fun")]
    [InlineData("open d/x for read")]
    [InlineData("connect tcp example.org")]
    [InlineData("connect tcp 127.1:80")]
    [InlineData("listen tcp example.org:80")]
    [InlineData("resolve '*.org'")]
    [InlineData("syscall nothing")]
    [InlineData("syscall read 1 2 3 4 5 6 7")]
    [InlineData("device toaster")]
    public void ARequestThatIsNoneIsRefused(string request) =>
        Assert.Equal("bad-value", Assert.Single(Read($"  - request: {request}\n    expect: deny\n").Diagnostics.List).Kind.Name);

    [Fact]
    public void ACaseThatSaysNothingNewIsRefused() => Assert.Equal(
        "conflict",
        Assert.Single(Read("  - {request: open /d/x for read, expect: allow}\n  - {request: open /d//x for read, expect: allow}\n").Diagnostics.List).Kind.Name);

    [Fact]
    public void MoreCasesThanAreRunAreRefused()
    {
        string cases = string.Concat(Enumerable.Range(0, 10_001).Select(i => $"  - {{request: open /d/{i} for read, expect: allow}}\n"));
        Assert.Equal("too-large", Assert.Single(Read(cases).Diagnostics.List).Kind.Name);
    }

    [Fact]
    public void RulesThatNoCaseReachesAreNamed()
    {
        CaseFile file = Read("  - {request: open /d/x for read, expect: allow}\n  - {request: open /d/secret for read, expect: deny}\n").File!;
        Assert.Equal(["deny read of /d/other"], CaseFile.Unreached(Compiled, file.Run(Compiled)).Select(rule => rule.Text));
    }
}
