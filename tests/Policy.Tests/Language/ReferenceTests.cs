using System.Runtime.CompilerServices;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>docs/policy-reference.md is what the schema says, and what it says is true.</summary>
public class ReferenceTests
{
    static string Page([CallerFilePath] string here = "") =>
        File.ReadAllText(Path.GetFullPath("../../../docs/policy-reference.md", Path.GetDirectoryName(here)!));

    [Fact]
    public void ThePageIsUpToDate() => Assert.True(
        Page() == ReferenceReport.Write(), "write it again: sandbox policy schema --reference > docs/policy-reference.md");

    /// <summary>Each example in its place, in a policy that is right otherwise.</summary>
    [Fact]
    public void EveryExampleIsRight()
    {
        int checks = 0;
        string section = "";
        foreach (string line in ReferenceReport.Write().Split('\n'))
        {
            if (line.StartsWith("## ", StringComparison.Ordinal))
                section = line[3..].Trim('`');
            string[] cells = line.Split(" | ");
            if (!line.StartsWith("| `", StringComparison.Ordinal) || cells.Length != 5 || cells[4].Trim(' ', '|', '`') is not { Length: > 0 } example)
                continue;
            checks++;
            string key = example[..example.IndexOf(':', StringComparison.Ordinal)];
            Diagnostics found = MemoryFiles.Check(Place(section, key, example));
            Assert.DoesNotContain(found.List, one => one.Kind.Severity == Severity.Error && one.Kind != DiagnosticKind.Impossible
                && one.Kind != DiagnosticKind.MissingBecause && one.Message.Contains(key, StringComparison.Ordinal));
            Assert.DoesNotContain(found.List, one => one.Kind == DiagnosticKind.BadValue || one.Kind == DiagnosticKind.WrongType
                || one.Kind == DiagnosticKind.UnknownKey || one.Kind == DiagnosticKind.BadPattern);
        }

        Assert.InRange(checks, 40, 100);
    }

    static string Place(string section, string key, string example)
    {
        string rest(params string[] lines) => string.Concat(lines.Where(line => !line.StartsWith(key + ":", StringComparison.Ordinal)).Select(line => $", {line}"));
        string policy = "version: 1\nfragment: true\n";
        return section switch
        {
            "A policy" => key is "version" ? "version: 1\nfragment: true\n" : key == "fragment" ? "version: 1\n" + example : policy + example,
            "guest" => $"{policy}guest: {{{example}}}\n",
            "files.show" when key == "deny" => $"{policy}files: {{show: [{{{example}}}]}}\n",
            "files.show" => $"{policy}files: {{show: [{{{example}{(key is "from" or "text" or "link" or "generated" or "own" or "memory" or "quota" or "rate" or "operations" ? "" : ", memory: true")}{rest(key == "own" ? "path: /proc" : "path: /data")}}}]}}\n",
            "files.rules" => $"{policy}files: {{rules: [{{{example}{rest("path: /a")}{(key is "allow" or "deny" ? "" : ", deny: read")}}}]}}\n",
            "network" => $"{policy}network: [{{{(key is "allow" or "deny" ? $"{key}: connect" : example)}{rest("to: 192.0.2.1")}{(key is "allow" or "deny" ? "" : ", deny: connect")}}}]\n",
            "syscalls" => $"{policy}syscalls: [{{{example}{(key is "allow" or "deny" ? "" : ", deny: ptrace")}}}]\n",
            "syscalls.when" => $"{policy}syscalls: [{{deny: ptrace, when: {{{example}{rest("argument: 0", "as: long", "is: '>='", "value: 0x5401")}}}}}]\n",
            "devices" when key is "operations" or "rate" or "writable" or "from" => $"{policy}devices: [{{device: block, from: /a, {example}}}]\n",
            "devices" => $"{policy}devices: [{{{example}{(key == "deny" ? "" : rest("device: console"))}}}]\n",
            "audit" => $"{policy}audit: {{{example}{rest("record: denials", "to: /l", "when-full: stop")}}}\n",
            _ => throw new ArgumentOutOfRangeException(nameof(section), section),
        };
    }
}
