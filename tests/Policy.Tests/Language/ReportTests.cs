using System.Text.Json;
using System.Xml.Linq;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

public class ReportTests
{
    static IReadOnlyList<Diagnostic> Findings { get; } =
        MemoryFiles.Check("version: 1\nguest:\n  memry: 1G\n  user: \"a\\\"b\"\n").List;

    [Fact]
    public void SarifNamesRuleLevelAndRegion()
    {
        using JsonDocument sarif = JsonDocument.Parse(DiagnosticReports.Sarif(Findings, "9"));
        JsonElement run = sarif.RootElement.GetProperty("runs")[0];
        Assert.Equal("2.1.0", sarif.RootElement.GetProperty("version").GetString());
        JsonElement result = run.GetProperty("results")[0];
        Assert.Equal("unknown-key", result.GetProperty("ruleId").GetString());
        Assert.Equal("error", result.GetProperty("level").GetString());
        int index = result.GetProperty("ruleIndex").GetInt32();
        Assert.Equal("unknown-key", run.GetProperty("tool").GetProperty("driver").GetProperty("rules")[index].GetProperty("id").GetString());
        JsonElement region = result.GetProperty("locations")[0].GetProperty("physicalLocation").GetProperty("region");
        Assert.Equal((3, 3, 8), (region.GetProperty("startLine").GetInt32(), region.GetProperty("startColumn").GetInt32(), region.GetProperty("endColumn").GetInt32()));
    }

    [Fact]
    public void JsonCarriesEveryFinding()
    {
        using JsonDocument json = JsonDocument.Parse(DiagnosticReports.Json(Findings, 3));
        Assert.Equal(Findings.Count, json.RootElement.GetProperty("findings").GetArrayLength());
        Assert.Equal(3, json.RootElement.GetProperty("dropped").GetInt32());
    }

    [Fact]
    public void JUnitCountsAndEscapes()
    {
        XElement suites = XElement.Parse(CaseReport.JUnit([("s", [("a<b", null), ("c", "is \"wrong\" & more")])]));
        XElement suite = Assert.Single(suites.Elements());
        Assert.Equal(("2", "1"), (suite.Attribute("tests")!.Value, suite.Attribute("failures")!.Value));
        Assert.Equal("is \"wrong\" & more", suite.Elements().Last().Element("failure")!.Attribute("message")!.Value);
    }

    [Fact]
    public void TheSchemaKnowsEveryKeyAndNothingMore()
    {
        using JsonDocument schema = JsonDocument.Parse(SchemaReport.Write());
        JsonElement root = schema.RootElement;
        Assert.False(root.GetProperty("additionalProperties").GetBoolean());
        foreach (string key in (string[])["version", "extends", "guest", "files", "network", "syscalls", "devices", "isolation", "audit", "command-line"])
            Assert.True(root.GetProperty("properties").TryGetProperty(key, out _), key);
        Assert.Equal("version", root.GetProperty("required")[0].GetString());
    }

    public static TheoryData<string> Names => [.. BuiltinPolicies.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void WhatIsShownMeansTheSame(string name)
    {
        CompiledPolicy policy = MemoryFiles.Load(BuiltinPolicies.Read(name)!.Content.Replace("extends: ", "extends: builtin:", StringComparison.Ordinal));
        CompiledPolicy again = MemoryFiles.Load(PolicyText.Write(policy.Model));
        PolicyComparison comparison = PolicyComparer.Compare(policy, again);
        Assert.True(comparison.IsEqual, string.Join('\n', comparison.Differences));
    }

    [Fact]
    public void RandomPoliciesAreShownWithTheirMeaning()
    {
        for (int seed = 1; seed <= 100; seed++)
        {
            CompiledPolicy policy = MemoryFiles.Fragment(new RandomPolicy(seed).Text());
            PolicyComparison comparison = PolicyComparer.Compare(policy, MemoryFiles.Load(PolicyText.Write(policy.Model)));
            Assert.True(comparison.IsEqual, $"seed {seed}: {string.Join('\n', comparison.Differences)}");
        }
    }

    [Theory]
    [InlineData("open /usr/bin/env for execute", "decided by builtin:base.yaml:16:7: show /usr for read, execute\nbecause: programs and libraries\n")]
    [InlineData("open /usr/bin/env for execute", "without that rule it would be denied")]
    [InlineData("open /usr/bin/env for write", "no rule matches")]
    [InlineData("open /usr/bin/env for write", "the nearest rule builtin:base.yaml:16:7")]
    [InlineData("open /etc/shadow for read", "denied: open /etc/shadow for read\n")]
    public void AnExplanationNamesTheRuleAndTheReason(string request, string expected)
    {
        CompiledPolicy policy = MemoryFiles.Load("version: 1\nextends: builtin:default.yaml\n");
        Assert.Contains(expected, Explanation.Of(policy, Request.TryParse(request, "/", out _)!).Text(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("connect tcp 8.8.8.9:54", 5)]
    [InlineData("connect tcp 8.8.9.9:53", 5)]
    [InlineData("connect udp 192.0.2.1:443", 4)]
    [InlineData("connect tcp [2001:db8::2]:443", 6)]
    [InlineData("connect tcp www.example.org:443", 7)]
    [InlineData("connect tcp example.org:80", 7)]
    [InlineData("listen tcp 0.0.0.0:81", 8)]
    [InlineData("resolve example.com", 9)]
    public void TheNearestNetworkRuleIsTheOneThatSharesMost(string request, int line)
    {
        CompiledPolicy policy = MemoryFiles.Fragment("""
            network:
              - {allow: connect, to: 192.0.2.0/24, protocol: tcp, port: 443}
              - {allow: connect, to: 8.8.8.0/24, port: 53}
              - {allow: connect, to: '2001:db8::1'}
              - {allow: connect, to: example.org, port: 443}
              - {allow: listen, to: 0.0.0.0, port: 80}
              - {allow: resolve, to: '*.example.com'}
              - {allow: resolve, to: example.org}
            """);
        Assert.Equal(line, Explanation.Of(policy, Request.TryParse(request, "/", out _)!).Nearest!.Span.Line);
    }

    [Theory]
    [InlineData("", false)]
    [InlineData(", {allow: connect, to: 192.0.2.0/24}", true)]
    public void AnAnswerAboutANameSaysThatRulesOnAddressesHoldToo(string more, bool said)
    {
        CompiledPolicy policy = MemoryFiles.Fragment($"network: [{{allow: connect, to: a.example}}{more}]\n");
        string text = Explanation.Of(policy, Request.TryParse("connect tcp b.example:443", "/", out _)!).Text();
        Assert.Equal(said, text.Contains("rules on addresses hold", StringComparison.Ordinal));
    }

    [Fact]
    public void MoreExposureScoresHigher()
    {
        int Score(string text) => Exposure.Of(MemoryFiles.Load("version: 1\nextends: builtin:default.yaml\n" + text)).Score;
        int plain = Score("");
        Assert.InRange(plain, 1, 60);
        Assert.True(Score("network: [{allow: connect, to: 0.0.0.0/0, because: x}]\n") > plain);
        Assert.True(Score("files: {show: [{path: /h, from: /home, access: [read, write], because: x}]}\n") > plain);
        Assert.True(Score("isolation: [seccomp, landlock, namespaces]\n") < plain);
    }
}
