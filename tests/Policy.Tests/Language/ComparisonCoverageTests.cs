using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>
/// Every key of the language is compared: a policy that says something else there is told from the other, and the wider
/// one exceeds the narrower one as a ceiling. A key that is new to the schema fails here until it is in one of the lists.
/// </summary>
public class ComparisonCoverageTests
{
    /// <summary>Keys that give a guest nothing and take nothing from it.</summary>
    static readonly string[] s_saysNothing =
    [
        "version", "description", "fragment",
        // What is extended is compared itself.
        "extends",
        // Whether the start is refused when the host has no such file.
        "files.show.optional",
    ];

    const string Shown = "files: {show: [{path: /d, ";
    const string Deny = "deny: openat, ";

    /// <summary>By key: a narrower policy and a wider one.</summary>
    static readonly Dictionary<string, (string Narrow, string Wide)> s_wider = new()
    {
        ["guest.platforms"] = ("guest: {platforms: kvm}", "guest: {platforms: [kvm, lite]}"),
        ["guest.cpus"] = ("guest: {cpus: 2}", "guest: {cpus: host}"),
        ["guest.memory"] = ("guest: {memory: 1G}", "guest: {memory: 2G}"),
        ["guest.time"] = ("guest: {time: 1s}", "guest: {time: none}"),
        ["guest.cpu-time"] = ("guest: {cpu-time: 1s}", "guest: {cpu-time: 2s}"),
        ["guest.processes"] = ("guest: {processes: 1}", "guest: {processes: 2}"),
        ["guest.open-files"] = ("guest: {open-files: 16}", "guest: {open-files: 17}"),
        ["guest.output"] = ("guest: {output: 1K}", "guest: {output: none}"),
        ["guest.tmp-size"] = ("guest: {tmp-size: 1M}", "guest: {tmp-size: half}"),
        ["guest.environment"] = ("", "guest: {environment: {A: b}}"),
        ["guest.pass-environment"] = ("", "guest: {pass-environment: A}"),
        ["guest.deny-environment"] = ("command-line: [environment]\nguest: {deny-environment: A}", "command-line: [environment]"),
        ["files.show.path"] = (Shown + "memory: true}]}", Shown + "memory: true}, {path: /e, memory: true}]}"),
        ["files.show.deny"] = (Shown + "memory: true}, {deny: /d/x}]}", Shown + "memory: true}]}"),
        ["files.show.access"] = (Shown + "from: /d, access: read}]}", Shown + "from: /d, access: [read, write]}]}"),
        ["files.show.size"] = (Shown + "memory: true, size: 1M}]}", Shown + "memory: true}]}"),
        ["files.show.quota"] = (Shown + "access: [read, write], quota: 1M}]}", Shown + "access: [read, write], quota: 2M}]}"),
        ["files.show.rate"] = (Shown + "from: /d, rate: 1M}]}", Shown + "from: /d}]}"),
        ["files.show.operations"] = (Shown + "from: /d, operations: 10}]}", Shown + "from: /d}]}"),
        ["files.rules.allow"] = (Rule("allow: read"), Rule("allow: [read, write]")),
        ["files.rules.deny"] = (Denying("deny: [read, write]"), Denying("deny: read")),
        ["files.rules.path"] = (Rule("allow: read", "/d/a"), Rule("allow: read", "/d/**")),
        ["network.allow"] = ("", "network: [{allow: connect, to: 192.0.2.1}]"),
        ["network.deny"] = (Network(", {deny: connect, to: 192.0.2.1}"), Network("")),
        ["network.to"] = ("network: [{allow: connect, to: a.example}]", "network: [{allow: connect, to: [a.example, b.example]}]"),
        ["network.protocol"] = ("network: [{allow: listen, to: 192.0.2.1, protocol: udp}]", "network: [{allow: listen, to: 192.0.2.1}]"),
        ["network.port"] = (Network(", {deny: connect, to: 192.0.2.0/24, port: 1-9}"), Network(", {deny: connect, to: 192.0.2.0/24, port: 1-8}")),
        ["syscalls.allow"] = ("", "syscalls: [{allow: openat}]"),
        ["syscalls.deny"] = (Calls("deny: [openat, ptrace]"), Calls("deny: ptrace")),
        ["syscalls.answer"] = (Calls(Deny + "answer: kill"), Calls(Deny + "answer: ENOSYS")),
        ["syscalls.when.argument"] = (When("0", "long", "", "==", "1"), When("0", "long", "", "==", "1", "1")),
        ["syscalls.when.as"] = (When("0", "long", "", ">=", "1"), When("0", "int", "", ">=", "1")),
        ["syscalls.when.mask"] = (
            Calls(Deny + "when: {argument: 0, as: int, mask: 1, is: ==, value: 0}}, {" + Deny + "when: {argument: 0, as: int, mask: 1, is: ==, value: 1}"),
            When("0", "int", "mask: 2, ", "==", "0")),
        ["syscalls.when.is"] = (When("0", "int", "", ">=", "5"), When("0", "int", "", ">", "5")),
        ["syscalls.when.value"] = (When("0", "int", "", ">=", "5"), When("0", "int", "", ">=", "6")),
        ["devices.device"] = ("", "devices: [{device: random}]"),
        ["devices.deny"] = ("devices: [{deny: random}]", "devices: [{device: random}]"),
        ["devices.from"] = ("devices: [{device: block, from: /a}]", "devices: [{device: block, from: /a}, {device: block, from: /b}]"),
        ["devices.writable"] = ("devices: [{device: block, from: /a}]", "devices: [{device: block, from: /a, writable: true}]"),
        ["devices.rate"] = ("devices: [{device: block, from: /a, rate: 1M}]", "devices: [{device: block, from: /a}]"),
        ["devices.operations"] = ("devices: [{device: block, from: /a, operations: 5}]", "devices: [{device: block, from: /a, operations: 6}]"),
        ["isolation"] = ("isolation: [seccomp, landlock]", "isolation: [landlock]"),
        ["audit.record"] = (Audit("decisions"), Audit("denials")),
        ["audit.when-full"] = (Audit("denials", "block"), Audit("denials", "drop")),
        ["command-line"] = ("command-line: [mount]", "command-line: [mount, identity]"),
    };

    /// <summary>Keys with values of which none is wider than the other.</summary>
    static readonly Dictionary<string, (string One, string Other)> s_different = new()
    {
        ["guest.kind"] = ("guest: {kind: process}", "guest: {kind: machine}"),
        ["guest.user"] = ("guest: {user: alice}", "guest: {user: bob}"),
        ["guest.hostname"] = ("guest: {hostname: a}", "guest: {hostname: b}"),
        ["files.show.from"] = (Shown + "from: /a}]}", Shown + "from: /b}]}"),
        ["files.show.memory"] = (Shown + "memory: true, access: read}]}", Shown + "from: /d, access: read}]}"),
        ["files.show.text"] = (Shown + "text: a}]}", Shown + "text: b}]}"),
        ["files.show.link"] = (Shown + "link: a}]}", Shown + "link: b}]}"),
        ["files.show.generated"] = (Shown + "generated: hosts}]}", Shown + "generated: passwd}]}"),
        ["files.show.mode"] = (Shown + "memory: true, mode: 700}]}", Shown + "memory: true, mode: 1777}]}"),
        ["audit.to"] = (Audit("denials"), Audit("denials").Replace("/log", "/other", StringComparison.Ordinal)),
        // It can stand in one place only, which is shown or not.
        ["files.show.own"] = ("files: {show: [{path: /proc, own: true}]}", "files: {show: [{path: /dev, own: true}]}"),
    };

    static string Rule(string rule, string path = "/d/a") => $"files: {{show: [{{path: /d, access: none}}], rules: [{{allow: read, path: /d/x}}, {{{rule}, path: {path}}}]}}";

    static string Denying(string rule) => $"files: {{show: [{{path: /d, memory: true}}], rules: [{{{rule}, path: /d/a}}]}}";

    static string Network(string more) => $"network: [{{allow: connect, to: 192.0.2.0/24}}{more}]";

    static string Calls(string rule) => $"syscalls: [{{allow: '@all'}}, {{{rule}}}]";

    /// <summary>What is denied when a condition, or each of two, holds.</summary>
    static string When(string argument, string @as, string mask, string @is, string value, string? second = null)
    {
        string One(string which) => $"{{argument: {which}, as: {@as}, {mask}is: '{@is}', value: {value}}}";
        return Calls($"{Deny}when: [{One(argument)}{(second is null ? "" : ", " + One(second))}]");
    }

    static string Audit(string record, string whenFull = "block") => $"audit: {{record: {record}, to: /log, when-full: {whenFull}}}";

    static IEnumerable<string> Keys(Schema schema, string path)
    {
        switch (schema)
        {
            case ObjectSchema map:
                return map.Fields.Where(field => field.Name != "because")
                    .SelectMany(field => Keys(field.Schema, path.Length == 0 ? field.Name : $"{path}.{field.Name}"));
            case ListSchema list:
                return Keys(list.Item, path);
            case OneOrMoreSchema several:
                return Keys(several.Item, path);
            case ReasonedSchema reasoned:
                return Keys(reasoned.Value, path);
            default:
                return [path];
        }
    }

    [Fact]
    public void NoKeyOfTheSchemaIsLeftOut()
    {
        string[] covered = [.. s_saysNothing, .. s_wider.Keys, .. s_different.Keys];
        Assert.Equal(Keys(PolicySchema.Root, "").Order(StringComparer.Ordinal), covered.Order(StringComparer.Ordinal));
    }

    public static TheoryData<string> Wider => [.. s_wider.Keys];

    public static TheoryData<string> Different => [.. s_different.Keys];

    [Theory]
    [MemberData(nameof(Wider))]
    public void TheWiderPolicyExceedsTheNarrowerOneAndNotTheOtherWayRound(string key)
    {
        CompiledPolicy narrow = MemoryFiles.Fragment(s_wider[key].Narrow), wide = MemoryFiles.Fragment(s_wider[key].Wide);
        PolicyComparison widened = PolicyComparer.Compare(narrow, wide), narrowed = PolicyComparer.Compare(wide, narrow);
        Assert.True(widened.IsExact && narrowed.IsExact);
        Assert.False(widened.IsNoWider);
        Assert.Contains(widened.Differences, difference => difference.Change == Change.Allowed);
        Assert.True(narrowed.IsNoWider, string.Join('\n', narrowed.Differences));
        Assert.False(narrowed.IsEqual);
    }

    [Theory]
    [MemberData(nameof(Different))]
    public void WhatIsAnotherThingIsNotWithinACeiling(string key)
    {
        CompiledPolicy one = MemoryFiles.Fragment(s_different[key].One), other = MemoryFiles.Fragment(s_different[key].Other);
        Assert.False(PolicyComparer.Compare(one, other).IsNoWider);
        Assert.False(PolicyComparer.Compare(other, one).IsNoWider);
        Assert.True(PolicyComparer.Compare(one, one).IsEqual);
    }

    [Theory]
    [InlineData("", "audit: {record: lifecycle, to: /log, when-full: drop}")]
    [InlineData("audit: {record: lifecycle, to: /log, when-full: drop}", "audit: {record: [lifecycle, decisions], to: /log, when-full: stop}")]
    [InlineData("isolation: [seccomp]", "isolation: [seccomp, cgroup]")]
    public void ACeilingMayBeKeptToMoreStrictly(string ceiling, string policy) =>
        Assert.True(PolicyComparer.Compare(MemoryFiles.Fragment(ceiling), MemoryFiles.Fragment(policy)).IsNoWider);

    [Fact]
    public void WhoLeavesThePlatformOutMeansKvm() =>
        Assert.True(PolicyComparer.Compare(MemoryFiles.Fragment(""), MemoryFiles.Fragment("guest: {platforms: kvm}")).IsEqual);
}
