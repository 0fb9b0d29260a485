using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

public class LintTests
{
    const string Start = "version: 1\nfragment: true\nfiles:\n  show:\n    - {path: /d, memory: true, access: [read, write], because: x}\n";

    static IEnumerable<string> Findings(string text)
    {
        var diagnostics = new Diagnostics();
        CompiledPolicy? policy = CompiledPolicy.Load(new SourceText("p.yaml", text), new MemoryFiles(), diagnostics);
        Assert.NotNull(policy);
        Lint.Check(policy, diagnostics);
        return diagnostics.List.Select(found => $"{found.Span.Line} {found.Kind.Name}");
    }

    [Theory]
    [InlineData("  rules:\n    - {allow: create, path: /d/**, because: x}\n    - {deny: create, path: /d/a, because: x}\n", new string[0])]
    [InlineData("  rules:\n    - {allow: create, path: /d/**, because: x}\n    - {allow: create, path: /d/a, because: x}\n", new[] { "8 shadowed-rule" })]
    [InlineData("  rules:\n    - {allow: create, path: /d/a, because: x}\n    - {deny: create, path: /d/*, because: x}\n", new[] { "7 shadowed-rule" })]
    [InlineData("  rules:\n    - {allow: create, path: /d/a}\n", new[] { "7 missing-because" })]
    [InlineData("  rules:\n    - {allow: create, path: /e/*/f, because: x}\n", new[] { "7 impossible-rule" })]
    [InlineData("  rules:\n    - {deny: create, path: /e/*/f, because: x}\ncommand-line: [{value: mount, because: x}]\n", new string[0])]
    [InlineData("  rules:\n    - {allow: create, path: /**, because: x}\n", new[] { "7 over-broad" })]
    [InlineData("  rules:\n    - {allow: [write, execute], path: /d/x, because: x}\n", new[] { "7 write-and-execute" })]
    [InlineData("    - {path: /h, access: [read, write, execute], because: x}\n", new[] { "6 writable-host-folder", "6 write-and-execute" })]
    [InlineData("    - {path: /h, access: none, because: x}\n", new string[0])]
    [InlineData("    - {path: /h, from: /root/.ssh, because: x}\n", new[] { "6 secret-path" })]
    [InlineData("    - {path: /m, memory: true, mode: \"777\", because: x}\n", new[] { "6 writable-host-folder" })]
    [InlineData("network:\n  - {allow: connect, to: 0.0.0.0/0, because: x}\n", new[] { "7 over-broad" })]
    [InlineData("network:\n  - {allow: connect, to: 10.0.0.0/8, because: x}\n  - {deny: connect, to: 10.0.0.0/7, because: x}\n", new[] { "7 shadowed-rule" })]
    [InlineData("network:\n  - {allow: connect, to: 10.0.0.0/8, because: x}\n  - {deny: connect, to: 10.0.0.0/8, port: 0-65534, because: x}\n", new string[0])]
    [InlineData("network:\n  - {allow: resolve, to: '*.a.org', because: x}\n  - {deny: resolve, to: '*.org', because: x}\n", new[] { "7 shadowed-rule" })]
    [InlineData("syscalls:\n  - {allow: open, because: x}\n  - {deny: '@all', because: x}\n", new[] { "7 shadowed-rule" })]
    [InlineData("network:\n  - {allow: resolve, to: '*.org', because: x}\n  - {deny: resolve, to: any.org, because: x}\n", new string[0])]
    [InlineData("syscalls:\n  - {allow: close, because: x}\n  - {deny: close, when: {argument: 0, as: int, is: '>=', value: 0}, because: x}\n", new[] { "7 shadowed-rule" })]
    [InlineData("syscalls:\n  - {deny: open, when: {argument: 1, as: int, is: '>', value: 5}, because: x}\n  - {deny: open, when: {argument: 1, as: int, is: '>', value: 7}, because: x}\n", new[] { "8 shadowed-rule" })]
    [InlineData("syscalls:\n  - {deny: open, when: {argument: 1, as: int, is: <, value: 0}, because: x}\n", new[] { "7 shadowed-rule" })]
    [InlineData("syscalls:\n  - {deny: open, when: [{argument: 1, as: int, is: ==, value: 1}, {argument: 1, as: int, is: ==, value: 2}], because: x}\n", new[] { "7 shadowed-rule" })]
    [InlineData("syscalls:\n  - {deny: open, when: {argument: 1, as: int, mask: 3, is: ==, value: 1}, because: x}\n  - {deny: open, when: {argument: 1, as: int, mask: 6, is: ==, value: 2}, because: x}\n", new string[0])]
    [InlineData("syscalls:\n  - {deny: open, when: {argument: 1, as: int, mask: 3, is: ==, value: 1}, because: x}\n  - {deny: open, when: {argument: 1, as: int, mask: 7, is: ==, value: 5}, because: x}\n", new[] { "8 shadowed-rule" })]
    [InlineData("syscalls:\n  - {deny: open, when: {argument: 1, as: int, mask: 3, is: ==, value: 0}, because: x}\n  - {deny: open, when: {argument: 1, as: int, mask: 5, is: '!=', value: 0}, because: x}\n  - {deny: open, when: {argument: 1, as: int, mask: 6, is: ==, value: 4}, because: x}\n", new[] { "9 shadowed-rule" })]
    [InlineData("    - {deny: /d/x, because: x}\n", new string[0])]
    [InlineData("    - {deny: /d/x}\n    - {deny: /d/x/y, because: x}\n", new[] { "6 missing-because", "7 shadowed-rule" })]
    [InlineData("devices:\n  - {deny: block, because: x}\n  - {deny: block, from: /a, because: x}\n", new[] { "8 shadowed-rule" })]
    [InlineData("guest: {user: root, time: none}\n", new[] { "6 no-limit", "6 super-user" })]
    public void ItIsFlagged(string text, string[] expected) => Assert.Equal(expected, Findings(Start + text).Order());

    static readonly string[] s_accesses = ["read", "write", "execute", "create", "delete"];

    static string Many(int count, Func<int, string> item) => string.Join("\n", Enumerable.Range(0, count).Select(item)) + "\n";

    public static TheoryData<string, string, string> TooLarge => new()
    {
        {
            "rules on paths", "7",
            // At each level one of ten letters takes over one of ten columns from the levels above.
            "  rules:\n" + Many(70, i => $"    - {{{(i % 10 < 5 ? "allow" : "deny")}: {s_accesses[i % 5]}, path: '/d/{string.Concat(Enumerable.Repeat("*/", 6 - i / 10))}{(char)('a' + i % 10)}*/**', because: x}}")
        },
        {
            "rules on the network", "7",
            "network:\n" + Many(4_000, i => $"  - {{deny: connect, to: '::/{i % 100}', port: {i * 13 % 65536}, because: x}}")
                + Many(4_000, i => $"  - {{allow: connect, to: '2001:db8:{i:x}::/48', port: {i * 11 % 65536}, because: x}}")
        },
        {
            "rules on open", "7",
            "syscalls:\n" + Many(6 * 300, i => $"  - {{deny: open, when: {{argument: {i % 6}, as: long, is: ==, value: {i * 3}}}, because: x}}")
        },
    };

    /// <summary>What is too large to be looked through is told, before anything else, and in every form of report.</summary>
    [Theory]
    [MemberData(nameof(TooLarge), DisableDiscoveryEnumeration = true)]
    public void WhatCouldNotBeDecidedIsTold(string what, string line, string text)
    {
        var diagnostics = new Diagnostics();
        CompiledPolicy policy = MemoryFiles.Load(Start + text);
        Lint.Check(policy, diagnostics);
        Diagnostic first = diagnostics.List[0];
        Assert.Equal(("not-decided", Severity.Warning, line), (first.Kind.Name, first.Kind.Severity, $"{first.Span.Line}"));
        Assert.Contains($"whether shadowed-rule holds of the {what} was not decided", first.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(diagnostics.List, found => found.Kind == DiagnosticKind.Shadowed);
        Assert.Contains("not-decided", DiagnosticReports.Human([first], 0), StringComparison.Ordinal);
        Assert.Contains("\"rule\": \"not-decided\"", DiagnosticReports.Json([first], 0), StringComparison.Ordinal);
        Assert.Contains("\"ruleId\": \"not-decided\"", DiagnosticReports.Sarif([first], "1"), StringComparison.Ordinal);
    }
}
