using Sandbox.Supervisor.Launch;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public class ControlGroupsTests
{
    static ulong Limit(string memberships, params (string Path, string Content)[] files) => ControlGroups.MemoryLimit(
        memberships, path => files.FirstOrDefault(file => "/sys/fs/cgroup" + file.Path == path).Content);

    [Fact]
    public void NoGroupIsNoLimit()
    {
        Assert.Equal(ulong.MaxValue, Limit(""));
        Assert.Equal(ulong.MaxValue, Limit("0::/\n"));
        Assert.Equal(ulong.MaxValue, Limit("0::/a\n", ("/a/memory.max", "max\n")));
    }

    [Fact]
    public void TheLeastLimitOnTheWayUpCounts()
    {
        Assert.Equal(1000UL, Limit("0::/a/b\n", ("/a/b/memory.max", "max\n"), ("/a/memory.max", "1000\n")));
        Assert.Equal(1000UL, Limit("0::/a/b\n", ("/a/b/memory.max", "1000\n"), ("/a/memory.max", "2000\n")));
    }

    [Fact]
    public void VersionOneHasItsOwnTree()
    {
        const string memberships = "9:name=systemd:/\n4:memory,hugetlb:/a\n1:cpu:/c\n0::/\n";
        Assert.Equal(500UL, Limit(memberships, ("/memory/a/memory.limit_in_bytes", "500\n"), ("/c/memory.max", "1")));
    }

    [Fact]
    public void InAContainerItsGroupIsAtTheTop()
    {
        Assert.Equal(700UL, Limit("4:memory:/docker/abc\n", ("/memory/memory.limit_in_bytes", "700\n")));
        Assert.Equal(700UL, Limit("0::/\n", ("/memory.max", "700\n")));
    }

    [Fact]
    public void NonsenseIsNoLimit() =>
        Assert.Equal(ulong.MaxValue, Limit(":::\nx\n0::relative\n5:memory:\n0::/a\n", ("/a/memory.max", "-5\n")));
}
