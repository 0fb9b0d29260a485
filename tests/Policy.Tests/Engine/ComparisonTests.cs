using System.Net;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>
/// The exact comparison against enumeration: whatever two random policies answer differently is among the differences,
/// and every witness is one.
/// </summary>
public class ComparisonTests
{
    [Fact]
    public void WhatIsFoundByAskingIsFoundByComparing()
    {
        int differing = 0, equal = 0;
        for (int seed = 1; seed <= 300; seed++)
        {
            CompiledPolicy old = MemoryFiles.Fragment(new RandomPolicy(seed).Text());
            // Every third is compared with itself.
            CompiledPolicy changed = MemoryFiles.Fragment(new RandomPolicy(seed % 3 == 0 ? seed : seed + 1).Text());
            PolicyComparison comparison = PolicyComparer.Compare(old, changed);
            Assert.True(comparison.IsExact, $"seed {seed}");
            CheckWitnesses(old, changed, comparison, seed);
            var random = new RandomPolicy(seed + 10_000);
            for (int i = 0; i < 2_000; i++)
            {
                Request request = AnyRequest(random, i);
                Decision before = Ask.About(old, request), after = Ask.About(changed, request);
                if (before.Allowed == after.Allowed)
                    continue;
                Change change = after.Allowed ? Change.Allowed : Change.Denied;
                Assert.True(
                    comparison.Differences.Any(found => found.Change == change && found.OldRule == before.Rule?.Span && found.NewRule == after.Rule?.Span),
                    $"seed {seed}: {request} became {change} and was not found");
                differing++;
            }

            equal += comparison.IsEqual ? 1 : 0;
        }

        Assert.Equal(100, equal);
        Assert.InRange(differing, 10_000, 600_000);
    }

    static void CheckWitnesses(CompiledPolicy old, CompiledPolicy changed, PolicyComparison comparison, int seed)
    {
        foreach (Difference difference in comparison.Differences)
        {
            if (Request.TryParse(difference.Witness, "/home/sandbox", out _) is not Request request)
                continue;
            Decision before = Ask.About(old, request), after = Ask.About(changed, request);
            Assert.True(before.Allowed != after.Allowed && after.Allowed == (difference.Change == Change.Allowed), $"seed {seed}: {difference}");
            Assert.Equal((difference.OldRule, difference.NewRule), (before.Rule?.Span, after.Rule?.Span));
        }
    }

    static Request AnyRequest(RandomPolicy random, int i)
    {
        IPAddress address = random.AnyAddress();
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        return (i % 5) switch
        {
            0 => new Request.Open(random.Path(7), (PathAccess)(1 << (i / 5 % 5))),
            1 => new Request.Connect((NetworkProtocol)(i / 5 % 2), $"{address}", address, random.AnyPort()),
            2 => new Request.Listen((NetworkProtocol)(i / 5 % 2), address, random.AnyPort()),
            3 => new Request.Resolve(random.AnyHost()),
            _ => new Request.SystemCall((int)Math.Min(random.Number(), 511), random.Arguments()),
        };
    }

    const string Files = "files:\n  show:\n    - {path: /d, memory: true}\n";

    [Theory]
    [InlineData("", "  rules: [{deny: read, path: /d/x}]", "open /d/x for read", Change.Denied)]
    [InlineData("  rules: [{deny: read, path: /d/*.a}]", "  rules: [{deny: read, path: /d/*.b}]", "open /d/.a for read", Change.Allowed)]
    [InlineData("  rules: [{deny: read, path: /d/**/x}]", "  rules: [{deny: read, path: /d/*/x}]", "open /d/x for read", Change.Allowed)]
    [InlineData("syscalls: [{allow: open}]", "syscalls: [{allow: open, when: {argument: 1, as: int, is: <, value: 5}}]", "syscall open 0x0 0x5", Change.Denied)]
    [InlineData("syscalls: [{allow: open}]", "syscalls: [{allow: open}, {deny: open, when: {argument: 1, as: int, mask: 0x40, is: ==, value: 0x40}}]", "syscall open 0x0 0x40", Change.Denied)]
    [InlineData("network: [{allow: connect, to: 8.8.8.0/24, port: 53}]", "network: [{allow: connect, to: 8.8.8.0/25, port: 53}]", "connect tcp 8.8.8.128:53", Change.Denied)]
    [InlineData("network: [{allow: connect, to: 0.0.0.0/0}]", "network: [{allow: connect, to: [0.0.0.0/0, 169.254.169.254]}]", "connect tcp 169.254.169.254:0", Change.Allowed)]
    [InlineData("network: [{allow: resolve, to: '*.a.org'}]", "network: [{allow: resolve, to: a.org}]", "resolve other.a.org", Change.Denied)]
    [InlineData("network: [{allow: resolve, to: a.org}]", "network: [{allow: resolve, to: a.org}, {deny: resolve, to: '*'}]", "resolve a.org", Change.Denied)]
    [InlineData("network: [{allow: connect, to: 8.8.8.0/24}, {deny: connect, to: b.org}]", "network: [{allow: connect, to: 8.8.8.0/24}]", "connect tcp 8.8.8.0:0 when b.org is there", Change.Allowed)]
    [InlineData("network: [{allow: connect, to: a.org}, {deny: connect, to: 8.8.8.0/24, port: 53}]", "network: [{allow: connect, to: a.org}]", "connect tcp 8.8.8.0:53 when a.org is there", Change.Allowed)]
    [InlineData("network: [{allow: connect, to: a.org, port: 9}, {deny: connect, to: b.org}]", "network: [{allow: connect, to: a.org, port: 9}]", "connect tcp a.org:9 when b.org is there too", Change.Allowed)]
    [InlineData("guest: {memory: 1G}", "guest: {memory: 2G}", "memory: 1 GiB -> 2 GiB", Change.Allowed)]
    [InlineData("    - {path: /m, memory: true, size: 8K}", "    - {path: /m, memory: true, size: 4K}", "/m holds: 8 KiB -> 4 KiB", Change.Denied)]
    [InlineData("    - {path: /m, memory: true, size: 8K}", "    - {path: /m, memory: true}", "/m holds: 8 KiB -> no bound of its own", Change.Allowed)]
    [InlineData("    - {path: /m, access: [read, write], quota: 8K}", "    - {path: /m, access: [read, write], quota: 4K}", "/m may grow by: 8 KiB -> 4 KiB", Change.Denied)]
    [InlineData("    - {path: /m, operations: 8}", "    - {path: /m, operations: 9}", "/m, operations a second of its disk: 8 -> 9", Change.Allowed)]
    [InlineData("    - {path: /m, rate: 8K}", "    - {path: /m, rate: 1M}", "/m, bytes a second of its disk: 8 KiB -> 1 MiB", Change.Allowed)]
    [InlineData("    - {path: /m, access: [read, write], quota: 8K}", "    - {path: /m, access: [read, write]}", "/m may grow by: 8 KiB -> what the host has room for", Change.Allowed)]
    [InlineData("devices: [{device: network, operations: 500}]", "devices: [{device: network, operations: 1000}]", "device network, operations a second: 500 -> 1000", Change.Allowed)]
    [InlineData("devices: [{device: network, rate: 1M}]", "devices: [{device: network, rate: 1M, operations: 9}]", "device network, operations a second: no limit -> 9", Change.Denied)]
    [InlineData("syscalls: [{deny: open, answer: kill}]", "syscalls: [{deny: open}]", "syscall open no longer ends the guest", Change.Allowed)]
    [InlineData("audit: {record: decisions, to: /l, when-full: stop}", "audit: {record: lifecycle, to: /l, when-full: stop}", "without a record of denials", Change.Allowed)]
    [InlineData("command-line: [mount]", "", "command line: mount", Change.Denied)]
    [InlineData("isolation: [seccomp]", "", "without the wall seccomp", Change.Allowed)]
    public void ADifferenceComesWithAWitness(string old, string changed, string witness, Change change)
    {
        PolicyComparison comparison = PolicyComparer.Compare(MemoryFiles.Fragment(Files + old), MemoryFiles.Fragment(Files + changed));
        Assert.Contains((witness, change), comparison.Differences.Select(found => (found.Witness, found.Change)));
        Assert.Equal(comparison.Differences.All(found => found.Change == Change.Denied), comparison.IsNoWider);
    }

    const string Work = "files:\n  show:\n    - {path: /work, from: /srv/work}\n";

    /// <summary>An entry that is taken away hides no longer what lies above it.</summary>
    [Theory]
    [InlineData("memory: true, access: [read, execute]")]
    [InlineData("text: x")]
    [InlineData("from: /srv/empty")]
    public void WhatAnEntryHidAppearsWithoutIt(string entry)
    {
        CompiledPolicy hiding = MemoryFiles.Fragment(Work + $"    - {{path: /work/keys, {entry}}}\n"), open = MemoryFiles.Fragment(Work);
        PolicyComparison comparison = PolicyComparer.Compare(hiding, open);
        Assert.False(comparison.IsNoWider);
        Assert.Contains(comparison.Differences, found => found.Change == Change.Different
            && found.Witness.EndsWith(" -> what /work has there", StringComparison.Ordinal));
        Assert.False(PolicyComparer.Compare(open, hiding).IsNoWider);
        CompiledPolicy denying = MemoryFiles.Fragment(Work + "    - {deny: /work/keys}\n");
        Assert.True(PolicyComparer.Compare(hiding, denying).IsNoWider);
        // Nothing lies above, or something that holds nothing.
        Assert.True(PolicyComparer.Compare(hiding, MemoryFiles.Fragment("files: {show: [{path: /other, text: x}]}")).Differences
            .Where(found => found.Witness.StartsWith("/work", StringComparison.Ordinal)).All(found => found.Change == Change.Denied));
    }

    /// <summary>What only flags show is compared where both policies let flags show it.</summary>
    [Theory]
    [InlineData("[mount, mount-writable]", "deny: [write, create, delete], path: /work/release/**", "open /work/release for write when mounted")]
    [InlineData("[mount]", "deny: read, path: /work/*.key", "open /work/.key for read when mounted")]
    [InlineData("[mount]", "deny: read, path: /usr/secret", "open /usr/secret for read when mounted")]
    public void RulesOnWhatFlagsMountAreCompared(string freedoms, string deny, string witness)
    {
        string start = $"command-line: {freedoms}\nfiles:\n  show: [{{path: /usr/secret, text: x}}]\n";
        CompiledPolicy free = MemoryFiles.Fragment(start), denying = MemoryFiles.Fragment($"{start}  rules: [{{{deny}}}]\n");
        PolicyComparison widened = PolicyComparer.Compare(denying, free), narrowed = PolicyComparer.Compare(free, denying);
        Assert.False(widened.IsNoWider);
        Assert.True(narrowed.IsNoWider && !narrowed.IsEqual);
        // Once, where what is shown tells it already.
        Assert.Equal(
            deny.Contains("/usr", StringComparison.Ordinal) ? "open /usr/secret for read" : witness, widened.Differences[0].Witness);
        Assert.Equal(deny.Contains('[', StringComparison.Ordinal) ? 3 : 1, widened.Differences.Count);
        Assert.Equal(widened.Differences.Count, narrowed.Differences.Count);
    }

    [Fact]
    public void AMountThatCannotBeWrittenNeedsNoDenyOfWriting()
    {
        CompiledPolicy denying = MemoryFiles.Fragment("command-line: [mount]\nfiles: {rules: [{deny: write, path: /work/**}]}\n");
        Assert.True(PolicyComparer.Compare(denying, MemoryFiles.Fragment("command-line: [mount]\n")).IsEqual);
        CompiledPolicy none = MemoryFiles.Fragment("files: {rules: [{deny: read, path: /work/**}]}\n");
        Assert.True(PolicyComparer.Compare(none, MemoryFiles.Fragment("")).IsEqual);
    }

    /// <summary>A flag that names another user moves what ~ means.</summary>
    [Theory]
    [InlineData("~/x", "/home/sandbox/x", "--user another")]
    [InlineData("~/x", "/root/x", "")]
    public void RulesAreComparedForOtherUsersToo(string own, string other, string user)
    {
        const string start = "command-line: [identity]\nfiles:\n  show: [{path: /home, from: /srv/home}, {path: /root, from: /srv/root}]\n  rules: ";
        CompiledPolicy one = MemoryFiles.Fragment($"{start}[{{deny: read, path: {own}}}]\n"), two = MemoryFiles.Fragment($"{start}[{{deny: read, path: {other}}}]\n");
        foreach (PolicyComparison comparison in (PolicyComparison[])[PolicyComparer.Compare(one, two), PolicyComparer.Compare(two, one)])
        {
            Assert.False(comparison.IsNoWider);
            Assert.Contains(comparison.Differences, found => found.Witness.EndsWith(user, StringComparison.Ordinal));
        }

        Assert.True(PolicyComparer.Compare(one, one).IsEqual);
    }

    [Theory]
    [InlineData("half", "100G", Change.Allowed)]
    [InlineData("half", "256M", Change.Denied)]
    [InlineData("100G", "half", Change.Denied)]
    [InlineData("1M", "half", Change.Allowed)]
    public void HalfIsHalfOfTheMemory(string old, string changed, Change change)
    {
        static CompiledPolicy Of(string size) => MemoryFiles.Fragment($"guest: {{memory: 1G, tmp-size: {size}}}\n");
        Assert.Equal(change, Assert.Single(PolicyComparer.Compare(Of(old), Of(changed)).Differences).Change);
    }

    /// <summary>
    /// A policy and the same without one of its network rules, with names that stand for addresses: whatever changes for
    /// an address is a difference in that direction.
    /// </summary>
    [Fact]
    public void WhatNamesMayStandForIsCompared()
    {
        int allowed = 0, denied = 0;
        for (int seed = 1; seed <= 400; seed++)
        {
            var random = new RandomPolicy(seed);
            CompiledPolicy whole = MemoryFiles.Fragment(WithAllAddresses(seed));
            for (int left = 0; left < whole.Model.NetworkRules.Count; left++)
            {
                PolicyModel model = whole.Model with { NetworkRules = [.. whole.Model.NetworkRules.Where((_, i) => i != left)] };
                CompiledPolicy less = CompiledPolicy.Compile(model, "/home/sandbox", new Diagnostics())!;
                HashSet<Change> found = [.. PolicyComparer.Compare(whole, less).Differences.Select(difference => difference.Change)];
                for (int i = 0; i < 20; i++)
                {
                    Dictionary<string, IReadOnlyList<IPAddress>> pins = random.Pins();
                    NetworkRules before = CompiledPolicy.Pin(whole.Model, pins), after = CompiledPolicy.Pin(model, pins);
                    IPAddress address = random.AnyAddress();
                    ushort port = random.AnyPort();
                    bool was = before.Decide(NetworkAction.Connect, NetworkProtocol.Tcp, address, port).Allowed;
                    bool becomes = after.Decide(NetworkAction.Connect, NetworkProtocol.Tcp, address, port).Allowed;
                    if (was == becomes)
                        continue;
                    (allowed, denied) = becomes ? (allowed + 1, denied) : (allowed, denied + 1);
                    Assert.True(
                        found.Contains(becomes ? Change.Allowed : Change.Denied),
                        $"seed {seed} without {whole.Model.NetworkRules[left].Text}: {address} {port}");
                }
            }
        }

        Assert.InRange(allowed, 100, int.MaxValue);
        Assert.InRange(denied, 100, int.MaxValue);
    }

    /// <summary>A region that begins with IPv4 addresses in IPv6 dress, which are asked about as such, and goes on behind.</summary>
    [Fact]
    public void WhatLiesBehindMappedAddressesIsCompared()
    {
        // All below ::ffff:0:0: 81 bits and more.
        string below = string.Join(", ", Enumerable.Range(81, 16).Select(bits => $"'::{0x10000 - (1 << (97 - bits)):x}:0:0/{bits}'"));
        PolicyComparison comparison = PolicyComparer.Compare(
            MemoryFiles.Fragment(Files), MemoryFiles.Fragment(Files + $"network: [{{allow: connect, to: '::/79'}}, {{deny: connect, to: [{below}]}}]"));
        Assert.Equal(
            ["connect tcp [::1:0:0:0]:0", "connect udp [::1:0:0:0]:0"], comparison.Differences.Select(found => found.Witness));
    }

    /// <summary>"a" is all that a* and *a match and a*a does not; it is spelt out elsewhere only.</summary>
    [Fact]
    public void ANameThatIsAloneInItsClassIsCompared()
    {
        const string start = Files + "    - {path: /w, memory: true, access: none}\n  rules:\n    - {allow: read, path: [/d/a, /w/a*]}\n";
        CompiledPolicy old = MemoryFiles.Fragment(start + "    - {deny: read, path: /w/*a}\n");
        CompiledPolicy changed = MemoryFiles.Fragment(start + "    - {deny: read, path: /w/a*a}\n");
        Assert.Equal(("open /w/a for read", Change.Allowed), WitnessOf(PolicyComparer.Compare(old, changed)));
        Assert.Equal(("open /w/a for read", Change.Denied), WitnessOf(PolicyComparer.Compare(changed, old)));

        static (string, Change) WitnessOf(PolicyComparison comparison)
        {
            Difference difference = Assert.Single(comparison.Differences);
            return (difference.Witness, difference.Change);
        }
    }

    [Fact]
    public void NamesThatAreTooLongForAnyFileMakeNoDifference()
    {
        string begins = new('a', 200), ends = new('b', 200);
        string start = Files + $"    - {{path: /w, memory: true, access: none}}\n  rules:\n    - {{allow: read, path: /w/{begins}*}}\n";
        CompiledPolicy old = MemoryFiles.Fragment(start + $"    - {{deny: read, path: /w/*{ends}}}\n");
        CompiledPolicy changed = MemoryFiles.Fragment(start);
        Assert.True(PolicyComparer.Compare(old, changed).IsEqual);
    }

    [Fact]
    public void TwoWaysToSayTheSameAreEqual()
    {
        PolicyComparison comparison = PolicyComparer.Compare(
            MemoryFiles.Fragment(Files + "  rules:\n    - {deny: read, path: [/d/**/x, /d/x]}\nnetwork: [{allow: connect, to: [8.8.8.0/25, 8.8.8.128/25], protocol: tcp}]"),
            MemoryFiles.Fragment(Files + "  rules:\n    - {deny: read, path: /d/**/x}\nnetwork: [{allow: connect, to: 8.8.8.0/24, protocol: tcp, port: [0-99, 100-65535]}]"));
        Assert.True(comparison.IsEqual, string.Join('\n', comparison.Differences));
    }

    /// <summary>
    /// A host that a policy allows, where its rules on addresses leave none that the name could have, or where the other
    /// policy allows all of these too: nothing differs, whatever the name turns out to stand for.
    /// </summary>
    [Theory]
    [InlineData("{allow: connect, to: a.org}, {deny: connect, to: [0.0.0.0/0, '::/0']}", "{deny: connect, to: [0.0.0.0/0, '::/0']}")]
    [InlineData("{allow: connect, to: a.org, port: 9}, {deny: connect, to: [0.0.0.0/0, '::/0'], port: 5-10}", "{deny: connect, to: [0.0.0.0/0, '::/0'], port: 5-10}")]
    [InlineData("{allow: connect, to: a.org}, {allow: connect, to: [0.0.0.0/0, '::/0']}", "{allow: connect, to: [0.0.0.0/0, '::/0']}")]
    [InlineData("{allow: connect, to: a.org}, {deny: connect, to: b.org}, {deny: connect, to: [0.0.0.0/0, '::/0']}", "{allow: connect, to: a.org}, {deny: connect, to: [0.0.0.0/0, '::/0']}")]
    public void WhereNoAddressIsLeftToANameNothingDiffers(string one, string other)
    {
        CompiledPolicy a = MemoryFiles.Fragment($"network: [{one}]"), b = MemoryFiles.Fragment($"network: [{other}]");
        PolicyComparison comparison = PolicyComparer.Compare(a, b);
        Assert.True(comparison.IsEqual, string.Join('\n', comparison.Differences));
        Assert.True(PolicyComparer.Compare(b, a).IsEqual);
    }

    /// <summary>Every witness about a name is one: there are addresses for the names with which the policies answer differently.</summary>
    [Fact]
    public void AWitnessAboutANameIsReal()
    {
        int named = 0, together = 0;
        for (int seed = 1; seed <= 400; seed++)
        {
            CompiledPolicy old = MemoryFiles.Fragment(WithAllAddresses(seed));
            CompiledPolicy changed = MemoryFiles.Fragment(WithAllAddresses(seed + 1));
            foreach (Difference difference in PolicyComparer.Compare(old, changed).Differences)
            {
                if (NamedWitness.Of(difference) is not NamedWitness witness)
                    continue;
                named++;
                together += witness.Names.Count - 1;
                Assert.True(witness.IsReal(old, changed), $"seed {seed}: {difference.Witness} is no {difference.Change}");
            }
        }

        Assert.InRange(named, 1_000, int.MaxValue);
        Assert.InRange(together, 10, int.MaxValue);
    }

    /// <summary>Some leave names no address, or only few; and some allow all addresses.</summary>
    static string WithAllAddresses(int seed)
    {
        string action = (seed % 7) switch { 0 or 1 => "deny", 2 or 3 => "allow", _ => "" };
        string ports = seed % 2 == 0 ? "" : ", port: 1-100";
        string six = seed % 5 == 0 ? "2001:db8::/32" : "::/0";
        string text = new RandomPolicy(seed).Text();
        return action.Length == 0
            ? text
            : text.Replace("network:\n", $"network:\n  - {{{action}: connect, to: [0.0.0.0/0, '{six}']{ports}}}\n", StringComparison.Ordinal);
    }

    /// <summary>Conditions whose masks overlap, over so few bits that every call can be asked about.</summary>
    [Fact]
    public void ConditionsWithMasksAreComparedAsEnumerated()
    {
        int differences = 0, idle = 0;
        for (int seed = 1; seed <= 300; seed++)
        {
            CompiledPolicy old = MemoryFiles.Fragment(MaskedRules(seed)), changed = MemoryFiles.Fragment(MaskedRules(seed % 4 == 0 ? seed : seed + 1000));
            HashSet<(Change, SourceSpan?, SourceSpan?)> expected = [];
            HashSet<int> deciding = [];
            foreach (ulong[] arguments in AllArguments())
            {
                SystemCallVerdict before = ReferenceEvaluator.SystemCall(old.Model, 2, arguments), after = ReferenceEvaluator.SystemCall(changed.Model, 2, arguments);
                deciding.Add(before.Rule);
                if (before.Allowed != after.Allowed)
                    expected.Add((after.Allowed ? Change.Allowed : Change.Denied, Span(old, before), Span(changed, after)));
            }

            deciding.Remove(-1);
            PolicyComparison comparison = PolicyComparer.Compare(old, changed);
            Assert.True(comparison.IsExact);
            Assert.Equal(expected, comparison.Differences.Select(found => (found.Change, found.OldRule, found.NewRule)).ToHashSet());
            CheckWitnesses(old, changed, comparison, seed);
            Assert.Equal(deciding.Order(), SystemCallComparison.RulesThatDecide(old, out IReadOnlyList<int> undecided).Order());
            Assert.Empty(undecided);
            differences += expected.Count;
            idle += old.Model.SystemCallRules.Count - deciding.Count;
        }

        Assert.InRange(differences, 500, int.MaxValue);
        Assert.InRange(idle, 100, int.MaxValue);
    }

    static SourceSpan? Span(CompiledPolicy policy, SystemCallVerdict verdict) =>
        verdict.Rule < 0 ? null : policy.Model.SystemCallRules[verdict.Rule].Span;

    static IEnumerable<ulong[]> AllArguments() =>
        Enumerable.Range(0, 256).Select(bits => (ulong[])[(ulong)bits % 16, (ulong)bits / 16, 0, 0, 0, 0]);

    /// <summary>Rules on one call, whose conditions look at the low four bits of two arguments.</summary>
    static string MaskedRules(int seed)
    {
        var random = new Random(seed);
        string Condition()
        {
            int mask = random.Next(16);
            string comparison = ((string[])["==", "!=", "<", "<=", ">", ">="])[random.Next(6)];
            // What an equality compares with must be within the mask.
            int value = comparison is "==" or "!=" ? random.Next(16) & mask : random.Next(16);
            return $"{{argument: {random.Next(2)}, as: {(random.Next(2) == 0 ? "int" : "long")}, mask: {mask}, is: '{comparison}', value: {value}}}";
        }

        return "syscalls:\n" + string.Concat(Enumerable.Range(0, random.Next(2, 9)).Select(_ =>
            $"  - {{{(random.Next(2) == 0 ? "allow" : "deny")}: open, when: [{string.Join(", ", Enumerable.Range(0, random.Next(1, 4)).Select(_ => Condition()))}]}}\n"));
    }
}
