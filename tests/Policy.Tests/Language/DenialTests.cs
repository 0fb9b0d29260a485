using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>What a policy denies of what it extends: shown files, devices, variables. A deny overrides, wherever it stands.</summary>
public class DenialTests
{
    static readonly MemoryFiles s_files = new()
    {
        ["base.yaml"] = """
            version: 1
            fragment: true
            guest: {user: alice, pass-environment: [LANG, TOKEN], environment: {A: "1"}}
            files:
              show:
                - {path: /usr, because: programs}
                - {path: /data/in, memory: true, access: [read, write], size: 8K, because: input}
                - {path: /data/out, memory: true, because: output}
                - {path: ~/keys, text: secret, because: keys}
            devices:
              - {device: console, because: x}
              - {device: block, from: /srv/a.img, because: x}
              - {device: block, from: /srv/b.img, because: x}
            """,
        ["never.yaml"] = """
            version: 1
            fragment: true
            guest: {deny-environment: TOKEN}
            files: {show: [{deny: /data, because: it is private}]}
            devices: [{deny: block, because: no disks}]
            """,
    };

    static CompiledPolicy Extend(string text, string extended = "base.yaml") => MemoryFiles.Fragment($"extends: {extended}\n{text}", s_files);

    static Diagnostics Check(string text, string extended = "base.yaml") =>
        MemoryFiles.Check($"version: 1\nfragment: true\nextends: {extended}\n{text}", s_files);

    static Decision Ask(CompiledPolicy policy, string request) =>
        Language.Ask.About(policy, Request.TryParse(request, "/home/alice", out string problem) ?? throw new InvalidOperationException(problem));

    [Fact]
    public void WhatIsInheritedCanBeTakenAwayWithoutAReason()
    {
        CompiledPolicy policy = Extend("guest: {deny-environment: [TOKEN, A]}\nfiles: {show: [{deny: /data/in}, {deny: /home/alice/keys}]}\ndevices: [{deny: block, from: /srv/a.img}]\n");
        Assert.Equal(["/usr", "/data/out"], policy.Model.Shown.Select(shown => shown.Path));
        Assert.Equal(["console", "block from /srv/b.img"], policy.Model.Devices.Select(device => device.Text["device ".Length..]));
        Assert.Equal(["LANG"], policy.Model.Environment.Select(variable => variable.Value.Name));
        Assert.False(Ask(policy, "open /data/in/x for read").Allowed);
        Assert.True(Ask(policy, "open /data/out/x for read").Allowed);
        Assert.True(PolicyComparer.Compare(Extend(""), policy).IsNoWider);
        Assert.False(PolicyComparer.Compare(policy, Extend("")).IsNoWider);
    }

    /// <summary>What lies above would otherwise show through, with more access than the entry gave.</summary>
    [Fact]
    public void AnEntryThatIsTakenAwayLeavesAHole()
    {
        var files = new MemoryFiles
        {
            ["over.yaml"] = "version: 1\nfragment: true\nfiles: {show: [{path: /d, memory: true}, {path: /d/x, memory: true, access: none}, {path: /d/x/y, memory: true}]}\n",
        };
        CompiledPolicy policy = MemoryFiles.Fragment("extends: over.yaml\nfiles: {show: [{deny: /d/x}]}\n", files);
        Assert.Equal(["/d"], policy.Model.Shown.Select(shown => shown.Path));
        foreach (string path in (string[])["/d/x", "/d/x/y", "/d/x/y/z"])
            Assert.Equal(PathAccess.None, policy.Paths.Allowed(ReferenceEvaluator.Bytes(path)));
        Assert.Equal(PathAccess.All, policy.Paths.Allowed("/d/xy"u8));
    }

    [Theory]
    [InlineData("files: {show: [{path: /data, from: /srv, because: wanted}]}", "3:16 shadowed-rule showing /data is denied at never.yaml:4:16")]
    [InlineData("files: {show: [{path: /data/in/more, from: /srv, because: wanted}]}", "3:16 shadowed-rule showing /data/in/more is denied at never.yaml:4:16")]
    [InlineData("devices: [{device: block, from: /x, because: wanted}]", "3:11 shadowed-rule device block from /x is denied at never.yaml:5:11")]
    [InlineData("guest: {pass-environment: {value: TOKEN, because: wanted}}", "3:35 shadowed-rule the variable TOKEN is denied at never.yaml:3:27")]
    [InlineData("guest: {environment: {TOKEN: x}}", "3:23 shadowed-rule the variable TOKEN is denied at never.yaml:3:27")]
    public void WhatIsDeniedCannotComeBack(string text, string finding)
    {
        Diagnostic one = Assert.Single(MemoryFiles.Check($"version: 1\nextends: never.yaml\n{text}\nfragment: true\n", s_files).List);
        Assert.Equal(finding, $"{one.Span.Line}:{one.Span.Column} {one.Kind.Name} {one.Message}");
    }

    [Theory]
    [InlineData("[base.yaml, never.yaml]")]
    [InlineData("[never.yaml, base.yaml]")]
    public void ADenyHoldsForWhatStandsBesideIt(string extended)
    {
        CompiledPolicy policy = Extend("", extended);
        Assert.Equal(["/usr", "~/keys"], policy.Model.Shown.Select(shown => shown.Path));
        Assert.Equal(["device console"], policy.Model.Devices.Select(device => device.Text));
        Assert.Equal(["A", "LANG"], policy.Model.Environment.Select(variable => variable.Value.Name).Order());
    }

    [Theory]
    [InlineData("files: {show: [{deny: /data/inn}]}", "impossible-rule", "did you mean /data/in?")]
    [InlineData("files: {show: [{deny: /usr/share}]}", "impossible-rule", "what is in a folder that is shown is denied in files.rules")]
    [InlineData("files: {show: [{deny: /etc/passwd}]}", "impossible-rule", "leave it out")]
    [InlineData("files: {show: [{deny: relative}]}", "bad-value", null)]
    [InlineData("files: {show: [{deny: /data/in, access: read}]}", "conflict", "leave it out, or make two entries of it")]
    [InlineData("files: {show: [{from: /data/in}]}", "missing-key", null)]
    [InlineData("devices: [{deny: balloon}]", "impossible-rule", "leave it out")]
    [InlineData("devices: [{deny: block, from: /srv/c.img}]", "impossible-rule", "did you mean /srv/a.img?")]
    [InlineData("devices: [{deny: blok}]", "bad-value", "did you mean block?")]
    [InlineData("devices: [{deny: block, rate: 1M}]", "conflict", "leave it out, or make two entries of it")]
    [InlineData("devices: [{from: /srv/a.img}]", "missing-key", null)]
    [InlineData("guest: {deny-environment: TOKN}", "impossible-rule", "did you mean TOKEN?")]
    [InlineData("guest: {deny-environment: HOME}", "bad-value", "leave it out")]
    [InlineData("guest: {deny-environment: 'A=B'}", "bad-value", "name each variable")]
    public void AMistakeIsTold(string text, string kind, string? advice)
    {
        Diagnostic found = Assert.Single(Check(text).List);
        Assert.Equal((kind, advice), (found.Kind.Name, found.Advice));
    }

    /// <summary>A file that extends nothing may deny what those that extend it would give.</summary>
    [Fact]
    public void WhoExtendsNothingMayDenyAnything() => Assert.Empty(MemoryFiles.Check(s_files["never.yaml"]).List);

    [Fact]
    public void ADenyIsExplainedWithWhatItTakesAway()
    {
        CompiledPolicy policy = Extend("files: {show: [{deny: /data/in, because: no input}]}\ndevices: [{deny: block, from: /srv/a.img}]\n");
        string Text(string request) => Explanation.Of(policy, Request.TryParse(request, "/home/alice", out _)!).Text();
        string shown = Text("open /data/in/x for read");
        Assert.Contains("decided by p.yaml:4:16: deny showing /data/in\nbecause: no input\n", shown, StringComparison.Ordinal);
        Assert.Contains("without that rule it would be allowed by base.yaml:7:7: show /data/in for read, write\n", shown, StringComparison.Ordinal);
        string device = Text("device block from /srv/a.img");
        Assert.Contains("decided by p.yaml:5:11: deny device block from /srv/a.img\n", device, StringComparison.Ordinal);
        Assert.Contains("without that rule it would be allowed by base.yaml:12:5: device block from /srv/a.img\n", device, StringComparison.Ordinal);
        Assert.StartsWith("allowed: device block\n", Text("device block"), StringComparison.Ordinal);
        Assert.StartsWith("denied: device vsock\nno rule matches", Text("device vsock"), StringComparison.Ordinal);
    }

    [Fact]
    public void TheComposedPolicyIsShownWithItsDeniesAndMeansTheSame()
    {
        CompiledPolicy policy = Extend("guest: {deny-environment: {value: TOKEN, because: secret}}\nfiles: {show: [{deny: ~/keys}]}\ndevices: [{deny: block, from: /srv/a.img}]\n");
        string text = PolicyText.Write(policy.Model);
        Assert.Contains("    - deny: \"~/keys\"  # p.yaml:5:16\n", text, StringComparison.Ordinal);
        Assert.Contains("  - deny: block  # p.yaml:6:11\n    from: /srv/a.img\n", text, StringComparison.Ordinal);
        Assert.Contains("  deny-environment:\n    - {value: TOKEN, because: secret}  # p.yaml:4:35\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("/srv/a.img, because", text, StringComparison.Ordinal);
        CompiledPolicy again = MemoryFiles.Load(text);
        Assert.True(PolicyComparer.Compare(policy, again).IsEqual);
        Assert.Equal(PolicyText.Write(policy.Model, origins: false), PolicyText.Write(again.Model, origins: false));
    }

    [Fact]
    public void WhatFlagsMayBringIsCompared()
    {
        const string free = "version: 1\nfragment: true\ncommand-line: [mount, environment]\n";
        CompiledPolicy open = MemoryFiles.Load(free);
        CompiledPolicy denying = MemoryFiles.Load(free + "guest: {deny-environment: TOKEN}\nfiles: {show: [{deny: /data}]}\n");
        CompiledPolicy less = MemoryFiles.Load(free + "files: {show: [{deny: /data/in}]}\n");
        Assert.Equal(["command line: --env TOKEN", "command line: --mount to /data"],
            PolicyComparer.Compare(denying, open).Differences.Select(found => found.Witness));
        Assert.True(PolicyComparer.Compare(open, denying).IsNoWider);
        Assert.True(PolicyComparer.Compare(less, denying).IsNoWider);
        Assert.False(PolicyComparer.Compare(denying, less).IsNoWider);
        Assert.True(PolicyComparer.Compare(MemoryFiles.Fragment(""), MemoryFiles.Fragment("guest: {deny-environment: TOKEN}\n")).IsEqual);
    }

    [Theory]
    [InlineData("- {path: /data/in, memory: true, access: read, size: 8K}", true)]
    [InlineData("- {path: /data/in, memory: true, access: [read, write], size: 4K}", true)]
    [InlineData("- {path: /data/in, memory: true, access: [read, execute], size: 8K}", false)]
    [InlineData("- {path: /data/in, memory: true, access: [read, write]}", false)]
    [InlineData("- {path: /data/in, from: /srv, access: read}", false)]
    [InlineData("- {path: /data/in, memory: true, access: read, size: 8K, mode: 1777}", false)]
    public void AnEntryThatOnlyNarrowsNeedsNoReason(string entry, bool free)
    {
        Diagnostics found = Check($"files:\n  show:\n    {entry}\n");
        Assert.Equal(free ? [] : ["unexplained-widening"], found.List.Select(one => one.Kind.Name));
    }

    /// <summary>Against the base, request by request: what is denied is denied, and all else answered as before.</summary>
    [Fact]
    public void NothingElseChanges()
    {
        int denied = 0, allowed = 0;
        for (int seed = 1; seed <= 200; seed++)
        {
            var random = new RandomPolicy(seed);
            var files = new MemoryFiles { ["base.yaml"] = "version: 1\nfragment: true\n" + random.Text() };
            CompiledPolicy whole = MemoryFiles.Load(files["base.yaml"]);
            string gone = whole.Model.Shown[seed % whole.Model.Shown.Count].Path;
            CompiledPolicy less = MemoryFiles.Fragment($"extends: base.yaml\nfiles: {{show: [{{deny: '{gone}'}}]}}\n", files);
            Assert.True(PolicyComparer.Compare(whole, less).IsNoWider);
            for (int i = 0; i < 500; i++)
            {
                string path = random.Path(7);
                PathAccess before = whole.Paths.Allowed(ReferenceEvaluator.Bytes(path)), after = less.Paths.Allowed(ReferenceEvaluator.Bytes(path));
                if (GuestPath.IsWithin(path, gone))
                {
                    Assert.Equal(PathAccess.None, after);
                    denied += before == PathAccess.None ? 0 : 1;
                }
                // A folder that only led there leads nowhere.
                else if (GuestPath.IsWithin(gone, path))
                    Assert.Equal(PathAccess.None, after & ~before);
                else
                {
                    Assert.Equal(before, after);
                    allowed += after == PathAccess.None ? 0 : 1;
                }
            }
        }

        Assert.InRange(denied, 500, int.MaxValue);
        Assert.InRange(allowed, 500, int.MaxValue);
    }
}
