using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

public class CompositionTests
{
    static readonly MemoryFiles s_files = new()
    {
        ["base.yaml"] = """
            version: 1
            fragment: true
            guest: {memory: 1G, time: 1h, kind: process, user: alice, pass-environment: LANG, environment: {A: "1", B: "2"}}
            files:
              show:
                - {path: /usr, because: programs}
            command-line: [mount]
            """,
    };

    static CompiledPolicy Extend(string text) => MemoryFiles.Fragment("extends: base.yaml\n" + text, s_files);

    [Fact]
    public void AnotherLogThanTheInheritedOneNeedsAReason()
    {
        var files = new MemoryFiles { ["audited.yaml"] = "version: 1\nfragment: true\naudit: {record: decisions, to: /l, when-full: block}\n" };
        Diagnostics Check(string because) => MemoryFiles.Check(
            $"version: 1\nfragment: true\nextends: audited.yaml\naudit: {{record: lifecycle, to: /l, when-full: drop{because}}}\n", files);
        Assert.Equal("unexplained-widening", Assert.Single(Check("").List).Kind.Name);
        Assert.Empty(Check(", because: x").List);
    }

    [Theory]
    [InlineData("guest: {memory: 2G}")]
    [InlineData("guest: {memory: {value: 2G}}")]
    [InlineData("guest: {time: none}")]
    [InlineData("guest: {kind: machine}")]
    [InlineData("guest: {user: root}")]
    [InlineData("guest: {pass-environment: [LANG, TOKEN]}")]
    [InlineData("files: {show: [{path: /data}]}")]
    [InlineData("files: {show: [{path: /data, because: ' '}]}")]
    [InlineData("files: {rules: [{allow: write, path: /usr/x}]}")]
    [InlineData("network: [{allow: connect, to: 192.0.2.1}]")]
    [InlineData("syscalls: [{allow: open}]")]
    [InlineData("command-line: [environment]")]
    [InlineData("devices: [{device: console}]")]
    public void WideningNeedsAReason(string text)
    {
        Diagnostics diagnostics = MemoryFiles.Check("version: 1\nfragment: true\nextends: base.yaml\n" + text, s_files);
        Assert.Equal("unexplained-widening", Assert.Single(diagnostics.List).Kind.Name);
    }

    [Theory]
    [InlineData("guest: {memory: {value: 2G, because: it is large}}")]
    [InlineData("guest: {pass-environment: {value: TOKEN, because: it signs}}")]
    [InlineData("files: {show: [{path: /data, because: its input}]}")]
    [InlineData("command-line: [{value: environment, because: it asks}]")]
    public void AReasonIsEnough(string text) => Extend(text);

    [Theory]
    [InlineData("guest: {memory: 512M, time: 10s}")]
    [InlineData("files: {rules: [{deny: read, path: /usr/share/**}]}")]
    [InlineData("network: [{deny: connect, to: 192.0.2.1}]")]
    [InlineData("guest: {processes: 10}")]
    [InlineData("guest: {kind: process, user: alice, pass-environment: LANG}")]
    public void NarrowingNeedsNone(string text) => Extend(text);

    [Fact]
    public void WhatIsExtendedComesFirstAndKeepsItsPlace()
    {
        CompiledPolicy policy = Extend("guest: {memory: 512M, environment: {B: \"3\"}}\nfiles: {show: [{path: /data, because: input}]}\n");
        Assert.Equal(512UL << 20, policy.Model.Limit(Resource.Memory)!.Value);
        Assert.Equal("p.yaml:4:17", policy.Model.Limit(Resource.Memory)!.Span.ToString());
        Assert.Equal("base.yaml:3:27", policy.Model.Limit(Resource.Time)!.Span.ToString());
        Assert.Equal(["A=1", "LANG=", "B=3"], policy.Model.Environment.Select(entry => $"{entry.Value.Name}={entry.Value.Value}"));
        Assert.Equal(["/usr", "/data"], policy.Model.Shown.Select(shown => shown.Path));
        Assert.Equal(["base.yaml:6:7", "p.yaml:5:16"], policy.Model.Shown.Select(shown => shown.Span.ToString()));
    }

    [Fact]
    public void ADenyOfWhatIsExtendedCannotBeLifted()
    {
        var files = new MemoryFiles
        {
            ["base.yaml"] = "version: 1\nfragment: true\nfiles: {show: [{path: /d}], rules: [{deny: read, path: /d/secret}]}\n",
        };
        CompiledPolicy policy = MemoryFiles.Fragment(
            "extends: base.yaml\nfiles: {rules: [{allow: read, path: /d/**, because: wanted}]}\n", files);
        Assert.False(policy.Paths.Decide("/d/secret"u8, PathAccess.Read).Allowed);
        Assert.True(policy.Paths.Decide("/d/other"u8, PathAccess.Read).Allowed);
    }

    [Fact]
    public void ExtendingInACircleIsRefused()
    {
        var files = new MemoryFiles { ["a.yaml"] = "version: 1\nextends: b.yaml", ["b.yaml"] = "version: 1\nextends: a.yaml" };
        Assert.Equal("extends", Assert.Single(MemoryFiles.Check("version: 1\nextends: a.yaml", files).List).Kind.Name);
    }

    [Fact]
    public void ABuiltinPolicyExtendsItsNeighbour()
    {
        CompiledPolicy policy = MemoryFiles.Load("version: 1\nextends: builtin:default.yaml\n");
        Assert.True(policy.Paths.Decide("/usr/bin/env"u8, PathAccess.Execute).Allowed);
        Assert.Equal(1UL << 30, policy.Model.Limit(Resource.Memory)!.Value);
    }
}
