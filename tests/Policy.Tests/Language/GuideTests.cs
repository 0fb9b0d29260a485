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

    [Fact]
    public void TheExamplesWorkTogether()
    {
        string[] examples = Examples();
        Assert.Equal(2, examples.Length);
        CompiledPolicy policy = MemoryFiles.Load(examples[0]);
        var diagnostics = new Diagnostics();
        CaseFile? cases = CaseFile.Read(new SourceText("cases", examples[1]), "/home/sandbox", diagnostics);
        Assert.Empty(diagnostics.List);
        Assert.All(cases!.Run(policy), result => Assert.Null(result.Problem));
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
