using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Network;
using Sandbox.Supervisor.Planning;
using Sandbox.Supervisor.PolicyTools;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests;

/// <summary>Plans come out of policies; flags only narrow them.</summary>
public sealed class PolicyRunTests : IDisposable
{
    static readonly RunOptions s_plain = new() { Arguments = ["true"] };

    readonly string _folder = Directory.CreateTempSubdirectory("sandbox-policy-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    string Write(string name, string text)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, text);
        return path;
    }

    PolicyModel Policy(string text) => PolicyOpener.Load(Write("p.yaml", "version: 1\nextends: builtin:default.yaml\n" + text));

    static LaunchPlan Plan(PolicyModel policy, RunOptions? options = null)
    {
        PolicyBounds.Check(options ?? s_plain, policy);
        return PlanBuilder.Build(options ?? s_plain, policy, new FakeHost().Facts, [], null, 0).Plan;
    }

    [Fact]
    public void TheDefaultNeedsNoRules()
    {
        LaunchPlan plan = Plan(FakeHost.DefaultPolicy);
        Assert.Null(plan.PathRules);
        Assert.Null(plan.SystemCallRules);
    }

    [Fact]
    public void LimitsUserAndEnvironmentAreThePolicys()
    {
        LaunchPlan plan = Plan(Policy("guest: {memory: 64M, time: 5s, processes: 7, open-files: 33, tmp-size: 1M, user: alice, hostname: box, environment: {A: ~/x}}"));
        Assert.Equal((64UL << 20, 5000L, 7, 33, 1UL << 20),
            (plan.Limits.MemoryBytes, plan.Limits.WallMilliseconds, plan.Limits.Processes, plan.Limits.OpenFiles, plan.Limits.TmpBytes));
        Assert.Equal(("alice", "box"), (plan.User.Name, plan.Hostname));
        Assert.Contains("A=/home/alice/x", plan.Environment);
    }

    [Fact]
    public void AFolderInMemoryHasItsSize()
    {
        LaunchPlan plan = Plan(Policy("files: {show: [{path: /scratch, memory: true, size: 64K, because: a test}]}"));
        Assert.Equal(64UL << 10, plan.Files.Single(file => file.Path == "/scratch").Bytes);
        Assert.Equal(0UL, plan.Files.Single(file => file.Path == "/tmp").Bytes);
    }

    [Fact]
    public void AQuotaTravelsWithWhatMayBeChanged()
    {
        PolicyModel policy = Policy("""
            files:
              show:
                - {path: /out, from: /usr, access: [read, write], quota: 1M, because: a test}
                - {path: /in, from: /usr, quota: 1M, because: a test}
                - {path: /ruled, from: /usr, access: none, quota: 2M, because: a test}
              rules: [{allow: create, path: /ruled/x, because: a test}]
            """);
        var host = new FakeHost();
        MountSource[] mounts = [.. PolicyOpener.Mounts(policy, "/home/sandbox", host.Facts.Tree).Select(pair =>
            new MountSource(pair.Mount.Host, pair.Mount.Host, pair.Mount.Guest!, true, pair.Mount.Writable)
            {
                Quota = pair.Mount.Quota, Shown = pair.Shown,
            })];
        LaunchPlan plan = PlanBuilder.Build(s_plain, policy, host.Facts, mounts, null, 0).Plan;
        Assert.Equal([("/in", false, 0UL), ("/out", true, 1UL << 20), ("/ruled", true, 2UL << 20)],
            plan.Files.Where(file => file.Path is "/in" or "/out" or "/ruled").Select(file => (file.Path, file.Writable, file.Bytes)));
    }

    [Fact]
    public void RulesTravelInThePlan()
    {
        LaunchPlan plan = Plan(Policy("files: {rules: [{deny: read, path: /tmp/secret}]}\nsyscalls: [{deny: ptrace}]"));
        Assert.False(new PathRules(plan.PathRules!).Decide("/tmp/secret"u8, PathAccess.Read).Allowed);
        Assert.True(new PathRules(plan.PathRules!).Decide("/tmp/other"u8, PathAccess.Read).Allowed);
        Assert.False(new SystemCallRules(plan.SystemCallRules!).Decide(101, new ulong[6]).Allowed);
        Assert.True(new SystemCallRules(plan.SystemCallRules!).Decide(0, new ulong[6]).Allowed);
    }

    /// <summary>Neither the policy's own plan nor a flag brings what is denied.</summary>
    [Fact]
    public void WhatIsDeniedIsInNoPlan()
    {
        PolicyModel policy = Policy("guest: {deny-environment: LANG}\nfiles: {show: [{deny: /tmp}]}\n");
        LaunchPlan plan = Plan(policy);
        Assert.DoesNotContain(plan.Environment, variable => variable.StartsWith("LANG=", StringComparison.Ordinal));
        Assert.DoesNotContain(plan.Files, file => GuestPath.IsWithin(file.Path, "/tmp"));
        Assert.Equal(PathAccess.None, new PathRules(plan.PathRules!).Allowed("/tmp/x"u8));
        OneLine.Refuses("--env: the policy denies LANG (", () => Plan(policy, s_plain with { Environment = [new("LANG", "C")] }));
        OneLine.Refuses("--mount: the policy denies that anything appears at /tmp/in (", () => Build("/tmp/in"));
        // A mount around it shows the place, and nothing of what is there.
        var rules = new PathRules(Build("/t").PathRules!);
        Assert.Equal((PathAccess.Read | PathAccess.Execute, PathAccess.None), (rules.Allowed("/t/x"u8), rules.Allowed("/tmp/x"u8)));

        LaunchPlan Build(string at) => PlanBuilder.Build(
            s_plain, policy, new FakeHost().Facts, [new MountSource("/m", "/m", at, IsDirectory: true, Writable: false)], null, 0).Plan;
    }

    [Fact]
    public void ATerminalsVariableCanBeDenied()
    {
        string never = Write("never.yaml", "version: 1\nfragment: true\nguest: {deny-environment: TERM}\n");
        PolicyModel policy = PolicyOpener.Load(Write("p.yaml", $"version: 1\nextends: [builtin:default.yaml, {never}]\n"));
        Assert.DoesNotContain(Plan(policy, s_plain with { Terminal = true }).Environment, variable => variable.StartsWith("TERM=", StringComparison.Ordinal));
        Assert.Contains(Plan(FakeHost.DefaultPolicy, s_plain with { Terminal = true }).Environment, variable => variable.StartsWith("TERM=", StringComparison.Ordinal));
    }

    [Fact]
    public void AMountOfTheCommandLineIsPartOfTheRules()
    {
        PolicyModel policy = Policy("files: {rules: [{deny: read, path: /tmp/secret}]}");
        var mount = new MountSource("/m", "/m", "/m", IsDirectory: true, Writable: false);
        LaunchPlan plan = PlanBuilder.Build(s_plain, policy, new FakeHost().Facts, [mount], null, 0).Plan;
        var rules = new PathRules(plan.PathRules!);
        Assert.Equal(PathAccess.Read | PathAccess.Execute, rules.Allowed("/m/x"u8));
    }

    [Fact]
    public void FlagsNarrowAndDoNotWiden()
    {
        PolicyModel policy = PolicyOpener.Load("builtin:untrusted-python.yaml");
        Assert.Equal(64UL << 20, Plan(policy, s_plain with { Memory = 64 << 20 }).Limits.MemoryBytes);
        OneLine.Refuses("--memory: 1 GiB is more than the policy gives", () => Plan(policy, s_plain with { Memory = 1 << 30 }));
        OneLine.Refuses("--timeout: none is more than the policy gives", () => Plan(policy, s_plain with { Timeout = 0 }));
        OneLine.Refuses("--processes: 33", () => Plan(policy, s_plain with { Processes = 33 }));
        OneLine.Refuses("--env: the policy", () => Plan(policy, s_plain with { Environment = [new("A", "1")] }));
        OneLine.Refuses("--user: the policy", () => Plan(policy, s_plain with { User = UserArgument.Parse("root") }));
        OneLine.Refuses("--hostname: the policy", () => Plan(policy, s_plain with { Hostname = "x" }));
        OneLine.Refuses("mount-writable", () => Plan(policy, s_plain with { Mounts = [new("/m", null, true)] }));
        Plan(policy, s_plain with { Mounts = [new("/m", null, false)] });
        Plan(policy, s_plain with { User = UserArgument.Parse("sandbox"), Hostname = "sandbox" });
    }

    [Theory]
    [InlineData("guest: {kind: {value: machine, because: a test}}", "is for a machine guest")]
    [InlineData("devices: [{device: console, because: x}]", "asks for a device")]
    [InlineData("fragment: true", "is a fragment")]
    public void WhatThisVersionCannotGiveRefusesTheStart(string text, string reason) => OneLine.Refuses(reason, () => Plan(Policy(text)));

    [Theory]
    [InlineData(Wall.Namespaces, (int)JailWalls.Pid)]
    [InlineData(Wall.Landlock, (int)JailWalls.Landlock)]
    [InlineData(Wall.Cgroup, (int)JailWalls.CgroupLimits)]
    [InlineData(Wall.Seccomp, (int)JailWalls.Seccomp)]
    [InlineData(Wall.NoNetwork, (int)JailWalls.Network)]
    [InlineData(Wall.UserMapping, (int)JailWalls.User)]
    public void ARequiredWallThatIsMissingRefusesTheStart(Wall required, int number)
    {
        var missing = (JailWalls)number;
        PolicyModel policy = Policy($"isolation: [{Walls.Names[(int)required]}]");
        RequiredWalls.Check(policy.Isolation, new BuiltJail(JailWalls.All, JailWalls.None, null));
        var weak = new BuiltJail(JailWalls.All & ~missing, missing, "clone3: too many");
        OneLine.Refuses(
            $"p.yaml:3:13: the policy requires the wall {Walls.Names[(int)required]}, which this host does not let the caller build (clone3: too many)",
            () =>
            {
                RequiredWalls.Check(policy.Isolation, weak);
                return null;
            });
    }

    /// <summary>Where there is nothing to hold to a rate, no rate is missing.</summary>
    [Fact]
    public void ARequiredControlGroupIsRatesOfDisksTooWhereThereAreSome()
    {
        PolicyModel policy = Policy("isolation: [cgroup]");
        var jail = new BuiltJail(JailedProgram.Offered(isRoot: true), JailWalls.None, null);
        RequiredWalls.Check(policy.Isolation, jail);
        RequiredWalls.Check(policy.Isolation, jail.WithDiskRates(null));
        OneLine.Refuses(
            "p.yaml:3:13: the policy requires the wall cgroup, which this host does not let the caller build (rates of disks: no controller for io)",
            () =>
            {
                RequiredWalls.Check(policy.Isolation, jail.WithDiskRates("no controller for io"));
                return null;
            });
    }

    [Fact]
    public void WhatIsRecordedIsPartOfThePlan()
    {
        AuditPlan? Audit(string record) => Plan(Policy($"audit: {{record: {record}, to: /l, when-full: drop}}")) is var plan
            && (plan.Audit is null || plan.PathRules is not null) ? plan.Audit : throw new InvalidOperationException("no rules");
        Assert.Null(Audit("lifecycle"));
        Assert.Equal((false, WhenFull.Drop), (Audit("denials")!.All, Audit("denials")!.WhenFull));
        Assert.True(Audit("[lifecycle, decisions]")!.All);
        Assert.NotNull(Plan(Policy("audit: {record: decisions, to: /l, when-full: stop}")).SystemCallRules);
        Assert.Null(Plan(Policy("audit: {record: denials, to: /l, when-full: stop}")).SystemCallRules);
    }

    [Fact]
    public void AMistakeIsOneLineWithItsPlace() => OneLine.Refuses(
        "p.yaml:3:9: guest has no key 'memry'; did you mean memory?", () => Policy("guest: {memry: 1G}"));

    [Fact]
    public void ACeilingIsNeverExceeded()
    {
        string ceiling = Write("ceiling.yaml", "version: 1\nextends: builtin:default.yaml\nguest: {memory: 512M}\nfiles: {rules: [{deny: execute, path: /tmp/**}]}\ncommand-line: [mount]\n");
        PolicyModel within = PolicyOpener.Load(Write("w.yaml", "version: 1\nextends: ceiling.yaml\nguest: {memory: 64M}\n"));
        Ceiling.Check(within, false, ceiling, geteuid());
        OneLine.Refuses("memory: 512 MiB -> 1 GiB", () => Beyond(FakeHost.DefaultPolicy));
        PolicyModel beyond = Policy("guest: {memory: 512M}\ncommand-line: [mount]\n");
        OneLine.Refuses("open /tmp for execute", () => Beyond(beyond));
        Ceiling.Check(FakeHost.DefaultPolicy, false, Path.Combine(_folder, "none.yaml"), geteuid());

        object Beyond(PolicyModel policy)
        {
            Ceiling.Check(policy, false, ceiling, geteuid());
            return policy;
        }
    }

    void ExceedsCeiling(string expected, string ceiling, string policy, string? user = null)
    {
        const string start = "version: 1\nextends: builtin:default.yaml\n";
        string file = Write("ceiling.yaml", start + ceiling);
        GuestUser? named = user is null ? null : UserArgument.Parse(user);
        Ceiling.Check(PolicyOpener.Load(file), false, file, geteuid(), named);
        OneLine.Refuses(expected, () =>
        {
            Ceiling.Check(PolicyOpener.Load(Write("p.yaml", start + policy)), false, file, geteuid(), named);
            return null;
        });
    }

    [Fact]
    public void WhatTheCeilingHidesStaysHidden()
    {
        const string work = "files:\n  show:\n    - {path: /work, from: /srv/work, because: x}\n";
        ExceedsCeiling("/work/keys is something else: a folder in memory", work + "    - {path: /work/keys, memory: true, because: x}\n", work);
    }

    [Fact]
    public void WhatTheCeilingDeniesWhereAFlagMountsSomethingStaysDenied() => ExceedsCeiling(
        "open /work/release for write when mounted", "files: {rules: [{deny: [write, create, delete], path: /work/release/**}]}\n", "");

    /// <summary>At the home of the policy's own user the two are one.</summary>
    [Theory]
    [InlineData(null)]
    [InlineData("alice")]
    public void TheCeilingIsComparedForTheUserWhoIsNamed(string? user)
    {
        const string shown = "files:\n  show: [{path: /home/sandbox/x, from: /srv/x, because: x}]\n  rules: ";
        ExceedsCeiling("/home/sandbox/x for read", shown + "[{deny: read, path: /home/sandbox/x}]\n", shown + "[{deny: read, path: ~/x}]\n", user);
    }

    [Fact]
    public void WhatACeilingExtendsIsTheOperatorsToo()
    {
        string part = Write("part.yaml", "version: 1\nfragment: true\nfiles: {rules: [{deny: execute, path: /tmp/**}]}\n");
        string ceiling = Write("ceiling.yaml", "version: 1\nextends: [builtin:default.yaml, part.yaml]\n");
        PolicyModel policy = PolicyOpener.Load(ceiling);
        object? Check()
        {
            Ceiling.Check(policy, false, ceiling, geteuid());
            return null;
        }

        Check();
        File.SetUnixFileMode(part, (UnixFileMode)0x1b6); // rw-rw-rw-
        OneLine.Refuses("part.yaml' cannot be relied on", Check);
        File.Delete(part);
        OneLine.Refuses("'part.yaml' cannot be read: no such file", Check);
    }

    [Theory]
    [InlineData(null, 512UL << 20, null)]
    [InlineData(null, (512UL << 20) + 1, "--tmp-size: ")]
    [InlineData(64UL << 20, 33UL << 20, "--tmp-size: 33 MiB is more than the policy gives, which is half")]
    public void HalfIsALimitOfFoldersInMemory(ulong? memory, ulong size, string? mistake)
    {
        PolicyModel policy = Policy("command-line: []\n");
        RunOptions options = s_plain with { Memory = memory, TmpSize = size };
        object? Check()
        {
            PolicyBounds.Check(options, policy);
            return null;
        }

        if (mistake is null)
            Check();
        else
            OneLine.Refuses(mistake, Check);
        PolicyBounds.Check(options, FakeHost.DefaultPolicy);
    }

    [Fact]
    public void ALearningRunDoesNotExceedTheCeilingEither()
    {
        string ceiling = Write("ceiling.yaml", "version: 1\nextends: builtin:default.yaml\nfiles: {rules: [{deny: execute, path: /tmp/**}]}\n");
        PolicyModel policy = PolicyOpener.Load(Write("w.yaml", "version: 1\nextends: ceiling.yaml\n"));
        Ceiling.Check(policy, false, ceiling, geteuid());
        OneLine.Refuses("a learning run gives", () =>
        {
            Ceiling.Check(policy, true, ceiling, geteuid());
            return policy;
        });
        string open = Write("open.yaml", "version: 1\nextends: builtin:default.yaml\n");
        Ceiling.Check(PolicyOpener.Load(open), true, open, geteuid());
    }

    /// <summary>
    /// A deny that cannot be evaluated is not passed over, which would allow: the guest does not start. What only turns out
    /// later, a path that is too long to be compared, is denied (PathRuleTests).
    /// </summary>
    [Fact]
    public void ARuleThatCannotBeEvaluatedDenies()
    {
        PolicyModel named = Policy("network: [{allow: connect, to: 0.0.0.0/0, because: x}, {deny: connect, to: evil.example}]\n");
        OneLine.Refuses("p.yaml:3:56: the host evil.example has no address now", () => NetworkGrant.Prepare(named, static _ => (-ENOENT, [])));
        Assert.NotNull(NetworkGrant.Prepare(named, static _ => (0, [System.Net.IPAddress.Parse("192.0.2.1")])));
        string entangled = string.Concat(Enumerable.Range(0, 40).Select(i => $"    - {{deny: read, path: '/usr/*a{i}*b{i}*'}}\n"));
        OneLine.Refuses("too entangled", () => Plan(Policy("files:\n  rules:\n" + entangled)));
    }

    /// <summary>~ and the home's own name are one path, for the policy's user and for one that the command line names.</summary>
    [Fact]
    public void AUserWhoseHomeIsShownTwiceIsRefused()
    {
        PolicyModel policy = Policy("files: {show: [{path: /home/bob, from: /usr, access: none, because: x}]}\n");
        PolicyBounds.Check(s_plain, policy);
        Assert.True(UserText.TryParse("bob", out GuestUser bob, out _));
        OneLine.Refuses("/home/bob (", () => Plan(policy, s_plain with { User = bob }));
    }

    [Fact]
    public void AReportOfCasesThatCannotBeWrittenIsTold()
    {
        Write("p.yaml", "version: 1\nfragment: true\n");
        Directory.CreateDirectory(Path.Combine(_folder, "cases"));
        Write("cases/c.yaml", "policy: ../p.yaml\ncases: [{request: open /x for read, expect: deny}]\n");
        string cases = Path.Combine(_folder, "cases"), report = Path.Combine(_folder, "report.xml");
        OneLine.Refuses("cannot be written", () => CaseRunner.Run(cases, Path.Combine(_folder, "none", "report.xml"), null));
        Assert.Equal(0, CaseRunner.Run(cases, report, null));
        Assert.Contains("<testcase", File.ReadAllText(report), StringComparison.Ordinal);
    }

    /// <summary>For the policy's user two cases may turn out to be one.</summary>
    [Fact]
    public void CasesThatAreOneForThePolicysUserAreRefused()
    {
        Write("p.yaml", "version: 1\nfragment: true\nguest: {user: alice}\n");
        Directory.CreateDirectory(Path.Combine(_folder, "cases"));
        Write("cases/c.yaml", "policy: ../p.yaml\ncases:\n  - {request: open ~/x for read, expect: deny}\n  - {request: open /home/alice/x for read, expect: deny}\n");
        Assert.Equal(3, CaseRunner.Run(Path.Combine(_folder, "cases"), null, null));
    }

    [Fact]
    public void ACeilingThatIsThereAndCannotBeReadRefuses()
    {
        string ceiling = Path.Combine(_folder, "gone.yaml");
        File.CreateSymbolicLink(ceiling, Path.Combine(_folder, "nothing.yaml"));
        OneLine.Refuses("gone.yaml' cannot be opened", () =>
        {
            Ceiling.Check(FakeHost.DefaultPolicy, false, ceiling, geteuid());
            return ceiling;
        });
    }

    [Theory]
    [InlineData("[{allow: '@all', because: x}]", true)]
    [InlineData("[{allow: ptrace, because: x}]", true)]
    [InlineData("[{deny: ptrace}]", false)]
    [InlineData("[{deny: open, when: {argument: 1, as: int, is: ==, value: 1}}]", false)]
    public void CallRulesTravelOnlyWhereSomeCallIsRefused(string rules, bool all) =>
        Assert.Equal(all, PlanRules.SystemCalls(Policy($"syscalls: {rules}")) is null);

    [Fact]
    public void CallsAreNotAllServedWhereARuleNamesOneOften()
    {
        string often = string.Join(", ", Enumerable.Repeat("read", SystemCallTables.Limit));
        PolicyModel policy = PolicyOpener.Load(Write("p.yaml", $"version: 1\nfragment: true\nsyscalls: [{{allow: [{often}]}}]"));
        Assert.False(new SystemCallRules(PlanRules.SystemCalls(policy)!).Decide(1, new ulong[6]).Allowed);
    }
}
