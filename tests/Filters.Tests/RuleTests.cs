using Sandbox.Host;
using Sandbox.Vmm;
using Xunit;

namespace Sandbox.Filters.Tests;

/// <summary>Every rule both ways, by the kernel: what it allows passes, and what differs in one bit that counts does not.</summary>
public class RuleTests
{
    private static readonly Dictionary<string, byte[]> s_programs =
        Filter.All.ToDictionary(filter => filter.Name, filter => FilterCompiler.Compile(filter.Rules));

    public static TheoryData<string> Filters => [.. Filter.All.Select(filter => filter.Name)];

    private static Filter Named(string name) => Filter.All.Single(filter => filter.Name == name);

    /// <summary>Arguments that a combination of conditions is content with, all other bits set.</summary>
    private static ulong[] Arguments((Condition Condition, ulong Value)[] combination)
    {
        ulong[] arguments = Enumerable.Repeat(ulong.MaxValue, 6).ToArray();
        foreach ((Condition condition, ulong value) in combination)
            arguments[condition.Argument] = value | ~condition.Mask;
        return arguments;
    }

    /// <summary>The rules as they are meant, without libseccomp.</summary>
    private static CallEnd Expected(IEnumerable<Rule> rules, int number, ulong[] arguments)
    {
        Rule? allowing = rules.FirstOrDefault(rule => rule.Number == number && rule.Conditions.All(condition =>
            condition.Values.Any(value => (arguments[condition.Argument] & condition.Mask) == value)));
        return allowing is null ? CallEnd.Stopped : allowing.Errno is null ? CallEnd.Allowed : CallEnd.Refused;
    }

    /// <summary>The lowest, the highest and a middle bit of a mask.</summary>
    private static IEnumerable<ulong> BitsOf(ulong mask)
    {
        ulong[] bits = [.. Enumerable.Range(0, 64).Select(bit => 1UL << bit).Where(bit => (mask & bit) != 0)];
        return bits.Length == 0 ? [] : ((ulong[])[bits[0], bits[bits.Length / 2], bits[^1]]).Distinct();
    }

    [Theory]
    [MemberData(nameof(Filters))]
    public void WhatARuleAllowsPasses(string name)
    {
        foreach (Rule rule in Named(name).Rules)
            foreach (var combination in rule.Combinations())
            {
                ulong[] arguments = Arguments(combination);
                Assert.True(
                    FilteredChild.Try(s_programs[name], rule.Number, arguments)
                        == (rule.Errno is null ? CallEnd.Allowed : CallEnd.Refused),
                    $"{rule.Name}, {rule.Reason}: {string.Join(' ', arguments.Select(a => $"{a:x}"))}");
            }
    }

    [Theory]
    [MemberData(nameof(Filters))]
    public void OneOtherBitThatCountsIsStopped(string name)
    {
        Filter filter = Named(name);
        byte[] program = s_programs[name];
        foreach (Rule rule in filter.Rules)
        {
            int stopped = 0;
            foreach (var combination in rule.Combinations())
                foreach ((Condition condition, _) in combination)
                    foreach (ulong bit in BitsOf(condition.Mask).Concat(BitsOf(~condition.Mask)))
                    {
                        ulong[] arguments = Arguments(combination);
                        arguments[condition.Argument] ^= bit;
                        CallEnd expected = Expected(filter.Rules, rule.Number, arguments);
                        Assert.True(FilteredChild.Try(program, rule.Number, arguments) == expected,
                            $"{rule.Name}, {rule.Reason}: not {expected}: {string.Join(' ', arguments.Select(a => $"{a:x}"))}");
                        stopped += expected == CallEnd.Stopped ? 1 : 0;
                    }
            // What a wider row of the same call allows anyway, no perturbation can stop.
            bool counts = rule.Conditions.Length > 0
                && !filter.Rules.Any(other => other.Number == rule.Number && other.Conditions.Length == 0);
            Assert.True(stopped > 0 || !counts, $"{rule.Name}, {rule.Reason}: no perturbation mattered");
        }
    }

    [Theory]
    [MemberData(nameof(Filters))]
    public void CallsWithoutARuleAreStopped(string name)
    {
        // uretprobe and uprobe, which newer kernels never show a filter: they serve only code that the kernel has placed.
        HashSet<int> ruled = [335, 336, .. Named(name).Rules.Select(rule => rule.Number)];
        for (int number = 0; number < 470; number++)
            if (!ruled.Contains(number))
                Assert.True(
                    FilteredChild.Try(s_programs[name], number, new ulong[6]) == CallEnd.Stopped, $"system call {number}");
    }

    [Theory]
    [MemberData(nameof(Filters))]
    public void TheX32NumberOfAnAllowedCallIsStopped(string name)
    {
        const int x32 = 0x4000_0000;
        foreach (int number in new[] { Libc.SYS_futex, Libc.SYS_getpid, 0, 600 })
            Assert.Equal(CallEnd.Stopped, FilteredChild.Try(s_programs[name], number | x32, new ulong[6]));
    }

    [Fact]
    public void EveryRowHasAReasonAndAUse()
    {
        Assert.All(RuleTable.All, rule => Assert.InRange(rule.Reason.Length, 5, 100));
        Assert.All(RuleTable.All, rule => Assert.StartsWith("SYS_", rule.Name, StringComparison.Ordinal));
        // Of two rows for one call, neither says all that the other does: both would stand for nothing.
        foreach (var rows in RuleTable.All.GroupBy(rule => (rule.Number, rule.Roles)))
            Assert.True(rows.Count() == 1 || rows.All(rule => rule.Conditions.Length > 0), rows.First().Name);
    }

    /// <summary>
    /// Nothing may be executed, opened by a path of its own, given away by its descriptor, or started, whatever the
    /// arguments.
    /// </summary>
    [Theory]
    [InlineData(Libc.SYS_execve)]
    [InlineData(Libc.SYS_execveat)]
    [InlineData(Libc.SYS_fork)]
    [InlineData(Libc.SYS_vfork)]
    [InlineData(Libc.SYS_ptrace)]
    [InlineData(Libc.SYS_socket)]
    [InlineData(Libc.SYS_connect)]
    [InlineData(Libc.SYS_sendmsg)]
    [InlineData(Libc.SYS_sendmmsg)]
    [InlineData(Libc.SYS_open)]
    [InlineData(Libc.SYS_kill)]
    [InlineData(Libc.SYS_bpf)]
    [InlineData(Libc.SYS_io_uring_setup)]
    [InlineData(Libc.SYS_io_uring_register)]
    [InlineData(Libc.SYS_userfaultfd)]
    [InlineData(Libc.SYS_memfd_create)]
    [InlineData(Libc.SYS_mremap)]
    [InlineData(Libc.SYS_pidfd_open)]
    [InlineData(Libc.SYS_landlock_restrict_self)]
    public void NoRowNames(int number) => Assert.DoesNotContain(RuleTable.All, rule => rule.Number == number);

    [Fact]
    public void AReadingVmmChangesNoName()
    {
        HashSet<int> reading = [.. Filter.Of(GuestNeeds.Network).Rules.Select(rule => rule.Number)];
        foreach (int number in new[] { Libc.SYS_unlinkat, Libc.SYS_renameat2, Libc.SYS_mkdirat, Libc.SYS_linkat, Libc.SYS_fchmod })
            Assert.DoesNotContain(number, reading);
    }

    /// <summary>A program that runs as its owner, in a folder that is root's, say.</summary>
    [Theory]
    [InlineData(Libc.S_ISUID, false, false)]
    [InlineData(Libc.S_ISUID | 0x1ff, false, false)]
    [InlineData(Libc.S_ISGID, true, false)]
    [InlineData(Libc.S_ISVTX | 0x1ff, true, true)]
    public void NoFileIsMadeOneThatRunsAsAnother(int mode, bool byDescriptor, bool byName)
    {
        byte[] program = FilterCompiler.Compile(Filter.Of(GuestNeeds.All).Rules);
        ulong[] named = [3, 0, (ulong)mode, Libc.AT_SYMLINK_NOFOLLOW, 0, 0];
        Assert.Equal(byDescriptor ? CallEnd.Allowed : CallEnd.Stopped,
            FilteredChild.Try(program, Libc.SYS_fchmod, [3, (ulong)mode, 0, 0, 0, 0]));
        Assert.Equal(byName ? CallEnd.Allowed : CallEnd.Stopped, FilteredChild.Try(program, Libc.SYS_fchmodat2, named));
    }

    [Fact]
    public void AVmmWithoutNetworkKnowsNoSockets()
    {
        HashSet<int> alone = [.. Filter.Of(GuestNeeds.Writing).Rules.Select(rule => rule.Number)];
        foreach (int number in new[] { Libc.SYS_accept4, Libc.SYS_shutdown, Libc.SYS_getsockopt, Libc.SYS_setsockopt, Libc.SYS_getsockname })
            Assert.DoesNotContain(number, alone);
    }

    /// <summary>
    /// Raise none of these without a reason: 22 are the runtime's own, which every thread needs. Fewer than 27 for a
    /// thread that does nothing but run a vCPU, and than 50 for every other.
    /// </summary>
    [Theory]
    [InlineData(nameof(ThreadRole.Main), 25)]
    [InlineData(nameof(ThreadRole.Channel), 26)]
    [InlineData(nameof(ThreadRole.Timers), 25)]
    [InlineData(nameof(ThreadRole.Streams), 29)]
    [InlineData(nameof(ThreadRole.Finalizers), 22)]
    [InlineData(nameof(ThreadRole.Vcpu), 25)]
    [InlineData(nameof(ThreadRole.Device), 39)]
    [InlineData(nameof(ThreadRole.Errands), 32)]
    public void FewCallsAreAllowed(string role, int most) =>
        Assert.InRange(CallsOf(Named(role)), 10, most);

    [Theory]
    [InlineData(nameof(GuestNeeds.None), 41)]
    [InlineData(nameof(GuestNeeds.Writing), 47)]
    [InlineData(nameof(GuestNeeds.Network), 42)]
    [InlineData(nameof(GuestNeeds.All), 48)]
    public void AGuestThreadHasItsGuestsCallsOnTop(string needs, int most) =>
        Assert.InRange(CallsOf(Filter.Of(Enum.Parse<GuestNeeds>(needs)), Filter.Of(ThreadRole.Guest)), 10, most);

    [Theory]
    [InlineData(nameof(GuestNeeds.None), 24)]
    [InlineData(nameof(GuestNeeds.Writing), 28)]
    [InlineData(nameof(GuestNeeds.Network), 28)]
    public void ErrandsGoByWhatTheGuestNeeds(string needs, int most) =>
        Assert.InRange(CallsOf(Filter.Of(Enum.Parse<GuestNeeds>(needs)), Filter.Of(ThreadRole.Errands)), 10, most);

    [Fact]
    public void WhatIsAnErrandNoOtherThreadOfAProcessGuestMakes()
    {
        HashSet<int> errands =
            [.. RuleTable.All.Where(rule => rule.Roles == ThreadRole.Errands).Select(rule => rule.Number)];
        Assert.NotEmpty(errands);
        Assert.All(RuleTable.All.Where(rule => errands.Contains(rule.Number) && rule.Needs != GuestNeeds.Machine),
            rule => Assert.Equal(ThreadRole.Errands, rule.Roles));
    }

    /// <summary>What all of these let through, without what is answered with an error.</summary>
    private static int CallsOf(params Filter[] filters) =>
        filters.Select(filter => filter.Rules.Where(rule => rule.Errno is null).Select(rule => rule.Number))
            .Aggregate(Enumerable.Intersect).Distinct().Count();
}
