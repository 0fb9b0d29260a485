using System.Globalization;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>No two policies make a comparison long or large: beyond its bounds it ends, and says that it is not exact.</summary>
public class ComparisonBoundTests
{
    /// <summary>Of the comparing thread's own time, whatever else the machine does. Native programs take a third.</summary>
    const double MaximumCpuSeconds = 3;

    /// <summary>All that is ever allocated, of which a part is there at once.</summary>
    const long MaximumBytes = 100 << 20;

    const string Shown = "files:\n  show: [{path: /some, memory: true}, {path: /d, memory: true}, {path: /a1b, memory: true}]\n  rules:\n";

    static string Many(int count, Func<int, string> item) => string.Join("\n", Enumerable.Range(0, count).Select(item)) + "\n";

    static string Deep(int i) => string.Concat(Enumerable.Range(0, 8).Select(bit => (i >> bit & 1) == 0 ? "/a*b" : "/*c*d"));

    public static TheoryData<string, string, string> Heavy => new()
    {
        {
            "paths spelt out", Shown + Many(9_000, i => $"    - {{deny: read, path: /some/longer/folder{i}/name{i * 7}}}"),
            Shown + Many(9_000, i => $"    - {{deny: read, path: /some/longer/folder{i}/name{i * 5}}}")
        },
        {
            "wildcards behind one another", Shown + Many(150, i => $"    - {{deny: read, path: {Deep(i)}/x{i}}}"),
            Shown + Many(150, i => $"    - {{deny: read, path: {Deep(i + 80)}/*y{i}}}")
        },
        {
            "stars in names", Shown + Many(7, i => $"    - {{deny: read, path: /d/*{(char)('a' + i % 26)}*{(char)('a' + i / 2 % 26)}}}"),
            Shown + Many(7, i => $"    - {{deny: read, path: /d/*{(char)('b' + i % 25)}*{(char)('a' + i / 3 % 26)}*}}")
        },
        {
            "blocks and ports", "network:\n" + Many(9_000, i => $"  - {{allow: connect, to: 8.{i / 256}.{i % 256}.0/24, port: [{i}, {i + 9}-{i + 3000}]}}"),
            "network:\n" + Many(9_000, i => $"  - {{allow: connect, to: 8.{i / 256}.{i % 256}.0/25, port: [{i + 1}, {i + 7}-{i + 2000}]}}")
        },
        {
            "ports of all addresses beside blocks",
            "network:\n" + Many(5_000, i => $"  - {{deny: connect, to: {i % 223 + 1}.{i / 223}.0.0/16, port: {i * 13 % 65536}}}")
                + Many(4_900, i => $"  - {{allow: connect, to: 0.0.0.0/0, port: {i * 11 % 65536}}}"),
            "network:\n" + Many(5_000, i => $"  - {{deny: connect, to: {i % 223 + 1}.{i / 223}.0.0/16, port: {i * 7 % 65536}}}")
                + Many(4_900, i => $"  - {{allow: connect, to: 0.0.0.0/0, port: {i * 3 % 65536}}}")
        },
        {
            "names and what they may stand for",
            "network:\n" + Many(4_000, i => $"  - {{allow: connect, to: a{i}.org, port: {i * 13 % 65536}}}") + Many(4_000, i => $"  - {{deny: connect, to: b{i}.org}}"),
            "network:\n" + Many(4_000, i => $"  - {{allow: connect, to: a{i}.org, port: {i * 13 % 65536}}}")
                + Many(5_000, i => $"  - {{deny: connect, to: {i % 223 + 1}.{i / 223}.0.0/16}}")
        },
        {
            "ports around everything", "network:\n" + Many(4_000, i => $"  - {{deny: connect, to: '::/{i % 100}', port: {i * 13 % 65536}}}"),
            "network:\n" + Many(4_000, i => $"  - {{deny: connect, to: '2001:db8:{i:x}::/48', port: {i * 11 % 65536}}}")
        },
        {
            "conditions on every call", "syscalls:\n" + Many(380, i => $"  - {{deny: '@all', when: {{argument: {i % 6}, as: long, is: ==, value: {i * 3}}}}}"),
            "syscalls:\n" + Many(380, i => $"  - {{deny: '@all', when: {{argument: {i % 6}, as: long, is: ==, value: {i * 5}}}}}")
        },
        {
            "masks", "syscalls:\n" + Many(3_000, i => $"  - {{deny: open, when: {{argument: 1, as: long, mask: 0x{i * 2 + 1:x}, is: ==, value: 1}}}}") + "  - {allow: open}\n",
            "syscalls:\n" + Many(3_000, i => $"  - {{deny: open, when: {{argument: 1, as: long, mask: 0xffff, is: ==, value: {i}}}}}") + "  - {allow: open}\n"
        },
        {
            "calls told apart", "syscalls:\n" + Many(9_000, i => $"  - {{deny: '{i % 330}', when: {{argument: {i % 2}, as: int, is: <, value: {i}}}}}"),
            "syscalls:\n" + Many(9_000, i => $"  - {{deny: ['{i % 330}', '{i % 77}'], when: {{argument: {i % 3}, as: long, is: <, value: {i}}}}}")
        },
        {
            "variables", "guest:\n  environment:\n" + Many(40_000, i => $"    V{i}: a"),
            "guest:\n  environment:\n" + Many(40_000, i => $"    V{i}: b")
        },
        {
            "words repeated", "command-line: [" + string.Join(", ", Enumerable.Repeat("mount", 80_000)) + "]\n",
            "command-line: [" + string.Join(", ", Enumerable.Repeat("identity", 60_000)) + "]\n"
        },
    };

    [Theory]
    [MemberData(nameof(Heavy), DisableDiscoveryEnumeration = true)]
    public void ItEndsSoonAndTakesLittle(string what, string before, string after)
    {
        CompiledPolicy old = MemoryFiles.Fragment(before), @new = MemoryFiles.Fragment(after);
        long bytes = GC.GetAllocatedBytesForCurrentThread();
        double start = CpuSeconds();
        PolicyComparison comparison = PolicyComparer.Compare(old, @new);
        double seconds = CpuSeconds() - start;
        bytes = GC.GetAllocatedBytesForCurrentThread() - bytes;
        Assert.True(seconds <= MaximumCpuSeconds, $"{what}: {seconds:f2} s");
        Assert.True(bytes <= MaximumBytes, $"{what}: {bytes >> 20} MiB");
        Assert.True(comparison.Differences.Count > 0 || !comparison.IsExact, $"{what}: nothing differs");
    }

    [Theory]
    [MemberData(nameof(Heavy), DisableDiscoveryEnumeration = true)]
    public void LookingForRemarkableRulesEndsSoonAndTakesLittle(string what, string policy, string other)
    {
        foreach (string text in (string[])[policy, other])
        {
            CompiledPolicy compiled = MemoryFiles.Fragment(text);
            long bytes = GC.GetAllocatedBytesForCurrentThread();
            double start = CpuSeconds();
            Lint.Check(compiled, new Diagnostics());
            Assert.InRange(CpuSeconds() - start, 0, MaximumCpuSeconds);
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - bytes <= MaximumBytes, what);
        }
    }

    [Fact]
    public void ExtendingEndsSoon()
    {
        const string start = "version: 1\nfragment: true\n";
        string words = string.Join(", ", Enumerable.Repeat("mount", 30_000));
        string Text(string name, string word) => start + $"command-line: [{words.Replace("mount", word, StringComparison.Ordinal)}]\n"
            + "guest:\n  pass-environment:\n" + Many(40_000, i => $"    - {name}{i}");
        var files = new MemoryFiles { ["base.yaml"] = Text("A", "mount") };
        double seconds = CpuSeconds();
        Diagnostics found = MemoryFiles.Check(Text("B", "identity") + "extends: base.yaml\n", files);
        Assert.InRange(CpuSeconds() - seconds, 0, MaximumCpuSeconds);
        Assert.Equal(70_000, found.List.Count + found.Dropped);
    }

    [Fact]
    public void CasesThatNameTheirRulesEndSoon()
    {
        CompiledPolicy policy = MemoryFiles.Fragment(Shown + Many(9_900, i => $"    - {{deny: read, path: /d/f{i}}}"));
        var diagnostics = new Diagnostics();
        string cases = "policy: p\ncases:\n" + Many(9_900, i => $"  - {{request: open /d/f{i} for read, expect: deny, by: deny read of /d/f{i}}}");
        double seconds = CpuSeconds();
        CaseFile file = CaseFile.Read(new SourceText("c.yaml", cases), "/home/sandbox", diagnostics)!;
        Assert.All(file.Run(policy), result => Assert.Null(result.Problem));
        Assert.InRange(CpuSeconds() - seconds, 0, MaximumCpuSeconds);
    }

    /// <summary>More combinations than a number of 64 bits counts.</summary>
    [Fact]
    public void CombinationsBeyondCountingAreNotCalledExact()
    {
        string rules = "syscalls:\n" + Many(6 * 300, i => $"  - {{deny: open, when: {{argument: {i % 6}, as: long, is: ==, value: {i * 3}}}}}");
        PolicyComparison comparison = PolicyComparer.Compare(MemoryFiles.Fragment(rules), MemoryFiles.Fragment(rules + "  - {allow: open}\n"));
        Assert.False(comparison.IsExact);
    }

    static double CpuSeconds() =>
        double.Parse(File.ReadAllText("/proc/thread-self/schedstat").Split(' ')[0], CultureInfo.InvariantCulture) / 1e9;
}
