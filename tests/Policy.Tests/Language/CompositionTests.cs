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
    [InlineData("guest: {memory: 2G}", "guest: {memory: 1G}", null)]
    [InlineData("guest: {memory: 1G}", "guest: {memory: 2G}", "name b.yaml first")]
    [InlineData("guest: {memory: 1G}", "guest: {memory: {value: 2G, because: x}}", null)]
    [InlineData("guest: {memory: 1G, tmp-size: half}", "guest: {tmp-size: 100G}", "name b.yaml first")]
    [InlineData("", "guest: {memory: 2G}", null)]
    [InlineData("extends: base.yaml", "extends: base.yaml", null)]
    [InlineData("files: {show: [{path: /d, operations: 5}]}", "files: {show: [{path: /d, operations: 6}]}", "name b.yaml first")]
    [InlineData("command-line: []", "command-line: [mount]", "name b.yaml first")]
    [InlineData("", "command-line: [mount]\nfiles: {show: [{path: /d}], rules: [{allow: read, path: /d}]}\nguest: {pass-environment: A}", null)]
    [InlineData("guest: {environment: {A: b}}", "guest: {pass-environment: A}", "name b.yaml first")]
    public void TheLaterOfTwoSaysWhyItGivesMore(string first, string second, string? advice)
    {
        var files = new MemoryFiles
        {
            ["base.yaml"] = "version: 1\nfragment: true\nsyscalls: [{allow: open}]\naudit: {record: lifecycle, to: /l, when-full: drop}\n",
            ["a.yaml"] = $"version: 1\nfragment: true\n{first}\n",
            ["b.yaml"] = $"version: 1\nfragment: true\n{second}\n",
        };
        Diagnostics diagnostics = MemoryFiles.Check("version: 1\nfragment: true\nextends: [a.yaml, b.yaml]\n", files);
        if (advice is null)
        {
            Assert.Empty(diagnostics.List.Select(found => found.Message));
            return;
        }

        Diagnostic found = Assert.Single(diagnostics.List);
        Assert.Equal(("unexplained-widening", "b.yaml"), (found.Kind.Name, found.Span.Text.Name));
        Assert.Contains("a.yaml", found.Message, StringComparison.Ordinal);
        Assert.Contains(advice, found.Advice, StringComparison.Ordinal);
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
    [InlineData("command-line: []")]
    public void NarrowingNeedsNone(string text) => Extend(text);

    [Fact]
    public void TheFreedomsOfWhatIsExtendedCanBeGivenUp()
    {
        Assert.True(Extend("").Model.Allows(Freedom.Mount));
        Assert.Empty(Extend("command-line: []").Model.Freedoms);
        Assert.DoesNotContain(Extend("command-line: [{value: identity, because: x}]").Model.Freedoms, freedom => freedom.Value == Freedom.Mount);
    }

    /// <summary>A fragment leaves open what it does not say; a policy that can be used by itself means the default.</summary>
    [Theory]
    [InlineData("guest: {kind: machine}")]
    [InlineData("guest: {platforms: [kvm, lite]}")]
    public void WhatAPolicyDoesNotSayIsItsDefault(string text)
    {
        var files = new MemoryFiles
        {
            ["part.yaml"] = "version: 1\nfragment: true\nguest: {user: alice}\n",
            ["whole.yaml"] = "version: 1\nguest: {cpus: 1, memory: 1G, time: 1h, cpu-time: 1h, processes: 1, open-files: 9, output: 1M, tmp-size: 1M}\n",
        };
        Diagnostics Check(string extended) => MemoryFiles.Check($"version: 1\nfragment: true\nextends: {extended}\n{text}\n", files);
        Assert.Empty(Check("part.yaml").List);
        Assert.Equal("unexplained-widening", Assert.Single(Check("whole.yaml").List).Kind.Name);
        Assert.Equal("unexplained-widening", Assert.Single(Check("[whole.yaml, part.yaml]").List).Kind.Name);
    }

    [Theory]
    [InlineData("'~'", "/home/alice")]
    [InlineData("/home/alice/x", "'~/x'")]
    public void TheHomeIsShownUnderOneNameOnly(string one, string other)
    {
        Diagnostics diagnostics = MemoryFiles.Check(
            $"version: 1\nfragment: true\nguest: {{user: alice}}\nfiles: {{show: [{{path: {one}, memory: true}}, {{path: {other}, memory: true, access: none}}]}}\n");
        Assert.Equal("conflict", Assert.Single(diagnostics.List).Kind.Name);
    }

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

    [Theory]
    [InlineData("builtin:", "'builtin:' is not a built-in policy; it is one of base.yaml, ci-job.yaml, ")]
    [InlineData("builtin:defalt.yaml", "'builtin:defalt.yaml' is not a built-in policy; did you mean builtin:default.yaml?")]
    [InlineData("builtin:../default.yaml", "'builtin:../default.yaml' is not a built-in policy; did you mean builtin:default.yaml?")]
    public void ABuiltinPolicyThatIsNotThereIsTold(string name, string message)
    {
        Diagnostic found = Assert.Single(MemoryFiles.Check($"version: 1\nextends: '{name}'\n").List);
        Assert.Equal("extends", found.Kind.Name);
        Assert.StartsWith(message, found.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ABuiltinPolicyExtendsItsNeighbour()
    {
        CompiledPolicy policy = MemoryFiles.Load("version: 1\nextends: builtin:default.yaml\n");
        Assert.True(policy.Paths.Decide("/usr/bin/env"u8, PathAccess.Execute).Allowed);
        Assert.Equal(1UL << 30, policy.Model.Limit(Resource.Memory)!.Value);
    }
}
