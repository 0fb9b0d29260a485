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
    [InlineData("guest: {memory: 1G}", "guest: {memory: 2G}", "memory: 1 GiB -> 2 GiB", Change.Allowed)]
    [InlineData("    - {path: /m, memory: true, size: 8K}", "    - {path: /m, memory: true, size: 4K}", "/m holds: 8 KiB -> 4 KiB", Change.Denied)]
    [InlineData("    - {path: /m, memory: true, size: 8K}", "    - {path: /m, memory: true}", "/m holds: 8 KiB -> no bound of its own", Change.Allowed)]
    [InlineData("    - {path: /m, access: [read, write], quota: 8K}", "    - {path: /m, access: [read, write], quota: 4K}", "/m may grow by: 8 KiB -> 4 KiB", Change.Denied)]
    [InlineData("    - {path: /m, rate: 8K}", "    - {path: /m, rate: 1M}", "/m, bytes a second of its disk: 8 KiB -> 1 MiB", Change.Allowed)]
    [InlineData("    - {path: /m, access: [read, write], quota: 8K}", "    - {path: /m, access: [read, write]}", "/m may grow by: 8 KiB -> what the host has room for", Change.Allowed)]
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

    [Fact]
    public void TwoWaysToSayTheSameAreEqual()
    {
        PolicyComparison comparison = PolicyComparer.Compare(
            MemoryFiles.Fragment(Files + "  rules:\n    - {deny: read, path: [/d/**/x, /d/x]}\nnetwork: [{allow: connect, to: [8.8.8.0/25, 8.8.8.128/25], protocol: tcp}]"),
            MemoryFiles.Fragment(Files + "  rules:\n    - {deny: read, path: /d/**/x}\nnetwork: [{allow: connect, to: 8.8.8.0/24, protocol: tcp, port: [0-99, 100-65535]}]"));
        Assert.True(comparison.IsEqual, string.Join('\n', comparison.Differences));
    }

    [Fact]
    public void OverlappingMasksAreNotCalledExact()
    {
        const string rule = "syscalls: [{allow: open, when: [{argument: 1, as: int, mask: 3, is: ==, value: 1}, {argument: 1, as: int, mask: 6, is: ==, value: 4}]}]";
        PolicyComparison comparison = PolicyComparer.Compare(MemoryFiles.Fragment(Files + rule), MemoryFiles.Fragment(Files + rule));
        Assert.False(comparison.IsExact);
        Assert.False(comparison.IsNoWider);
    }
}
