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
    [InlineData("guest: {user: root, time: none}\n", new[] { "6 no-limit", "6 super-user" })]
    public void ItIsFlagged(string text, string[] expected) => Assert.Equal(expected, Findings(Start + text).Order());
}
