using System.Runtime.CompilerServices;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>What docs/policy.md shows is true.</summary>
public class GuideTests
{
    static string[] Examples([CallerFilePath] string here = "")
    {
        string text = File.ReadAllText(Path.GetFullPath("../../../docs/policy.md", Path.GetDirectoryName(here)!));
        return [.. text.Split("```yaml\n")[1..].Select(part => part[..part.IndexOf("```", StringComparison.Ordinal)])];
    }

    static string Key(string example) => example[..example.IndexOf(':', StringComparison.Ordinal)];

    static string WholePolicy => Examples().First(example => example.Contains("/srv/input", StringComparison.Ordinal));

    /// <summary>Each example is a policy, a section of one, a file of cases, or a trust file; of each there are some.</summary>
    [Fact]
    public void EveryExampleIsRight()
    {
        var kinds = new HashSet<string>();
        foreach (string example in Examples())
        {
            string kind = example.Contains("\nkeys:", StringComparison.Ordinal) ? "trust" : Key(example) switch { "version" => "policy", "policy" => "cases", _ => "section" };
            kinds.Add(kind);
            var diagnostics = new Diagnostics();
            object? read = kind switch
            {
                "trust" => TrustSettings.Read(new SourceText("trust.yaml", WithKey(example)), diagnostics),
                "cases" => CaseFile.Read(new SourceText("cases.yaml", example), "/home/sandbox", diagnostics),
                "policy" => CompiledPolicy.Load(new SourceText("p.yaml", example), new MemoryFiles(), diagnostics),
                _ => CompiledPolicy.Load(new SourceText("p.yaml", "version: 1\nfragment: true\n" + example), new MemoryFiles(), diagnostics),
            };
            Assert.True(read is not null, $"{example}\n{DiagnosticReports.Human(diagnostics.List, 0)}");
            Assert.Empty(diagnostics.List);
        }

        Assert.Equal(["cases", "policy", "section", "trust"], kinds.Order());
    }

    /// <summary>The example leaves out what a key is, and which.</summary>
    static string WithKey(string example)
    {
        string key = PolicyKey.Generate().Public;
        string[] lines = key.Trim().Split('\n');
        return example.Replace("    -----BEGIN PUBLIC KEY-----\n    ...\n", string.Concat(lines.Select(line => $"    {line}\n")), StringComparison.Ordinal);
    }

    [Fact]
    public void TheCasesHoldForThePolicy()
    {
        CaseFile? cases = CaseFile.Read(
            new SourceText("cases", Examples().Single(example => Key(example) == "policy")), "/home/sandbox", new Diagnostics());
        Assert.All(cases!.Run(MemoryFiles.Load(WholePolicy)), result => Assert.Null(result.Problem));
    }

    [Fact]
    public void ADenyTakesAwayWhatTheGuideSays()
    {
        CompiledPolicy policy = MemoryFiles.Load(Examples().Single(example => example.Contains("deny-environment", StringComparison.Ordinal)));
        Assert.DoesNotContain(policy.Model.Environment, variable => variable.Value.Name == "LANG");
        Assert.Equal(PathAccess.None, policy.Paths.Allowed("/tmp/x"u8));
        Assert.False(policy.Paths.Decide("/dev/shm/memfd"u8, PathAccess.Execute).Allowed);
        CompiledPolicy machine = MemoryFiles.Load(Examples().Single(example => example.Contains("deny: balloon", StringComparison.Ordinal)));
        Assert.DoesNotContain(machine.Model.Devices, device => device.Kind == DeviceKind.Balloon);
    }

    [Theory]
    [InlineData("/work/**", "/work", true)]
    [InlineData("/work/**", "/work/a/b", true)]
    [InlineData("/work/**", "/workshop", false)]
    [InlineData("/work/*", "/work", false)]
    [InlineData("/work/*", "/work/a", true)]
    [InlineData("/work/*", "/work/a/b", false)]
    [InlineData("/work/a*", "/work/a", true)]
    [InlineData("/work/*.o", "/work/.o", true)]
    [InlineData("/**/x", "/x", true)]
    [InlineData("/**/x", "/a/b/x", true)]
    [InlineData("/**/x", "/a/b/x/y", false)]
    [InlineData("~/x", "/home/sandbox/x", true)]
    [InlineData("/a\\*b", "/a*b", true)]
    [InlineData("/a\\*b", "/axb", false)]
    public void PatternsMeanWhatTheGuideSays(string pattern, string path, bool matches)
    {
        CompiledPolicy policy = MemoryFiles.Fragment($"files: {{rules: [{{allow: write, path: '{pattern}'}}]}}\n");
        Assert.Equal(matches, policy.Paths.Decide(ReferenceEvaluator.Bytes(path), PathAccess.Write).Allowed);
    }

    [Fact]
    public void AHostNameMeansTheAddressesItHadAndNoReservedOnes()
    {
        CompiledPolicy policy = MemoryFiles.Fragment("network: [{allow: connect, to: a.example, port: 443}]\n");
        NetworkRules pinned = CompiledPolicy.Pin(policy.Model, new Dictionary<string, IReadOnlyList<System.Net.IPAddress>>
        {
            ["a.example"] = [System.Net.IPAddress.Parse("192.0.2.1"), System.Net.IPAddress.Parse("10.0.0.1"), System.Net.IPAddress.Parse("::1")],
        });
        bool Allowed(string address, ushort port) =>
            pinned.Decide(NetworkAction.Connect, NetworkProtocol.Tcp, System.Net.IPAddress.Parse(address), port).Allowed;
        Assert.True(Allowed("192.0.2.1", 443));
        Assert.True(Allowed("::ffff:192.0.2.1", 443));
        Assert.False(Allowed("192.0.2.1", 80));
        Assert.False(Allowed("192.0.2.2", 443));
        Assert.False(Allowed("10.0.0.1", 443));
        Assert.False(Allowed("::1", 443));
    }
}
