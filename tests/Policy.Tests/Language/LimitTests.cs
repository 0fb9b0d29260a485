using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

[CollectionDefinition("alone", DisableParallelization = true)]
public class AloneCollection;

/// <summary>Files as large as can be, made to be slow or to fill the memory: they are served, or refused by a message.</summary>
[Collection("alone")]
public class LimitTests
{
    /// <summary>Of CPU time, with room for the just-in-time compiler: natively each takes less than a second.</summary>
    static readonly TimeSpan s_longest = TimeSpan.FromSeconds(5);

    /// <summary>All that is ever allocated, which is several times what is held at once.</summary>
    const long MostBytes = 400L << 20;

    const string Rules = "files:\n  show: [{path: /d}]\n  rules:\n";

    static string Lines(int count, Func<int, string> line) => string.Concat(Enumerable.Range(0, count).Select(line));

    public static TheoryData<string, string, string> Large => new()
    {
        { "rules", Rules + Lines(9990, i => $"    - {{deny: read, path: /d/t{i}/p{i}/**}}\n"), "" },
        { "wildcard folders", Rules + Lines(9990, i => $"    - {{deny: read, path: '/d/d{i}/*/x'}}\n"), "" },
        { "names below **", Rules + Lines(9990, i => $"    - {{deny: read, path: '/d/**/n{i}/*.x{i % 40}'}}\n"), "" },
        { "shown", "files:\n  show:\n" + Lines(9990, i => $"    - {{path: /a{i}/b{i}/c, memory: true}}\n"), "" },
        { "shown deep down", "files:\n  show:\n" + Lines(6500, i => $"    - {{path: /{string.Concat(Enumerable.Repeat("x/", 60))}{i}, memory: true}}\n"), "" },
        { "ports of one address", "network:\n" + Lines(9990, i => $"  - {{deny: connect, to: 8.8.8.8, port: {i}-{65535 - i}}}\n"), "" },
        { "hosts", "network:\n" + Lines(4990, i => $"  - {{deny: connect, to: h{i}.example.org}}\n  - {{deny: resolve, to: '*.h{i}.example.org'}}\n"), "" },
        { "calls", "syscalls:\n" + Lines(300, i => $"  - {{deny: '@all', when: {{argument: 0, as: int, is: '==', value: {i}}}}}\n"), "" },
        { "every call, often", "syscalls:\n" + Lines(9990, i => $"  - {{deny: '@all', when: {{argument: 0, as: int, is: '==', value: {i}}}}}\n"), "too-large" },
        { "words for calls", "syscalls:\n" + Lines(11, _ => $"  - {{deny: [{string.Join(",", Enumerable.Repeat("'@all'", 9000))}]}}\n"), "" },
        { "paths of one rule", Rules + $"    - {{deny: read, path: [{string.Join(",", Enumerable.Range(0, 80_000).Select(i => $"'/d/{i}/*'"))}]}}\n", "too-large" },
        { "wildcards", Rules + Lines(9990, i => $"    - {{deny: read, path: '/*{(char)('a' + i % 26)}{i}*x{i}*'}}\n"), "bad-pattern" },
        { "** behind **", Rules + Lines(9990, i => $"    - {{deny: read, path: '/**/a{i % 7}/**/b{i % 11}/**/c{i % 13}/**/d{i}'}}\n"), "bad-pattern" },
        { "long names", Rules + Lines(4000, i => $"    - {{deny: read, path: '/d/{new string((char)('a' + i % 26), 220)}{i}'}}\n"), "" },
        { "one rule too many", Rules + Lines(10_000, i => $"    - {{deny: read, path: /d/{i}}}\n"), "too-large" },
        { "one byte too many", "#" + new string('x', 1 << 20), "too-large" },
        { "unknown keys", Lines(70_000, i => $"z{i}: 1\n"), "unknown-key" },
        { "one key, often", Lines(100_000, _ => "z: 1\n"), "duplicate-key" },
        { "variables", "guest:\n  environment:\n" + Lines(70_000, i => $"    V{i}: x\n"), "" },
        { "values in values", "z: " + new string('[', 200_000), "too-large" },
    };

    /// <param name="expected">The first error's kind; empty for none.</param>
    [Theory]
    [MemberData(nameof(Large), DisableDiscoveryEnumeration = true)]
    public void ALargeFileIsServedOrRefused(string what, string text, string expected)
    {
        TimeSpan start = Environment.CpuUsage.UserTime;
        long before = GC.GetAllocatedBytesForCurrentThread();
        var diagnostics = new Diagnostics();
        CompiledPolicy? policy = CompiledPolicy.Load(
            new SourceText("p.yaml", "version: 1\nfragment: true\n" + text), new MemoryFiles(), diagnostics);
        if (policy is not null)
            Lint.Check(policy, diagnostics);
        long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        TimeSpan time = Environment.CpuUsage.UserTime - start;
        string found = policy is null ? diagnostics.List.First(diagnostic => diagnostic.Kind.Severity == Severity.Error).Kind.Name : "";
        Assert.True(found == expected, $"{what}: '{found}' instead of '{expected}'");
        Assert.True(bytes < MostBytes, $"{what}: {bytes >> 20} MiB");
        Assert.True(time < s_longest, $"{what}: {time}");
    }

    [Fact]
    public void FilesTogetherAreBoundedToo()
    {
        var files = new MemoryFiles();
        string more = "#" + new string('x', 1_000_000) + "\nversion: 1\nfragment: true\n";
        for (int i = 0; i < 5; i++)
            files[$"{i}.yaml"] = more;
        Assert.Contains("more than 4194304 characters", Message("extends: [0.yaml, 1.yaml, 2.yaml, 3.yaml, 4.yaml]\n", files), StringComparison.Ordinal);
        files["a.yaml"] = files["b.yaml"] = "version: 1\nfragment: true\n" + Rules + Lines(6000, i => $"    - {{deny: read, path: /d/{i}}}\n");
        Assert.Contains("more than 10000 rules", Message("extends: [a.yaml, b.yaml]\n", files), StringComparison.Ordinal);

        static string Message(string text, MemoryFiles files) =>
            MemoryFiles.Check("version: 1\nfragment: true\n" + text, files).List[0].Message;
    }
}
