using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail.Cgroups;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.Jail.Cgroups;

public sealed class GuestGroupTests
{
    const string Root = "/sys/fs/cgroup";
    static readonly string s_me = $"{Environment.ProcessId}\n";
    static readonly GroupLimits s_limits = new(1000, Cpus: 2, Weight: 200, Processes: 30);

    static FakeCgroups VersionOne() => new FakeCgroups()
        .One(Root + "/memory/jobs/a", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.swappiness",
            "memory.oom_control", "memory.max_usage_in_bytes")
        .One(Root + "/memory").One(Root + "/cpu", "cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us")
        .One(Root + "/pids", "pids.max", "pids.events").One(Root + "/freezer", "freezer.state")
        .One(Root + "/blkio", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device", "blkio.throttle.read_iops_device",
            "blkio.throttle.write_iops_device")
        .Memberships("8:pids:/\n7:blkio:/\n6:freezer:/\n5:devices:/\n4:memory:/jobs/a\n2:cpuacct:/\n1:cpu,cpuset:/\n9:name=systemd:/\n0::/\n");

    static FakeCgroups VersionTwo(string own, string memberships = "0::/a/b\n") =>
        new FakeCgroups().Two(Root, "cpu memory pids io", "memory pids cpu", root: true).Memberships(memberships)
            .Two(Root + "/a", "cpu memory pids", "cpu memory pids").Two(Root + "/a/b", "cpu memory pids", "", own);

    static string Single(GuestGroup group) => Assert.Single(group.Folders);

    [Fact]
    public void VersionOneHasAFolderInEachHierarchyThatServesAndNoOther()
    {
        FakeCgroups host = VersionOne();
        using (GuestGroup group = GuestGroup.Create(host))
        {
            Assert.Null(group.Lacks);
            Assert.Null(group.Into);
            Assert.Equal(4, group.Entries.Count);
            Assert.Equal([Root + "/cpu", Root + "/freezer", Root + "/memory/jobs/a", Root + "/pids"],
                group.Folders.Select(folder => Path.GetDirectoryName(folder)!).Order(StringComparer.Ordinal));
            Assert.Null(group.Limit(s_limits));
            string name = Path.GetFileName(group.Folders.First());
            Assert.Equal("1000", host[$"{Root}/memory/jobs/a/{name}/memory.limit_in_bytes"]);
            Assert.Equal("1000", host[$"{Root}/memory/jobs/a/{name}/memory.memsw.limit_in_bytes"]);
            Assert.Equal("2048", host[$"{Root}/cpu/{name}/cpu.shares"]);
            Assert.Equal("200000", host[$"{Root}/cpu/{name}/cpu.cfs_quota_us"]);
            Assert.Equal("30", host[$"{Root}/pids/{name}/pids.max"]);
        }

        Assert.Equal(4, host.Log.Count(line => line.StartsWith("rmdir", StringComparison.Ordinal)));
    }

    [Fact]
    public void WithoutSwapAccountingItDoesNotSwap()
    {
        FakeCgroups host = VersionOne();
        using GuestGroup group = GuestGroup.Create(host);
        string folder = group.Folders.First(folder => folder.Contains("/memory/"));
        host.Refuse(folder + "/memory.memsw.limit_in_bytes", ENOENT);
        Assert.Null(group.Limit(s_limits));
        Assert.Equal("0", host[folder + "/memory.swappiness"]);
    }

    [Fact]
    public void AHierarchyThatIsReadOnlyIsNamed()
    {
        FakeCgroups host = VersionOne();
        host.Refuse(Root + "/cpu", EROFS);
        using GuestGroup group = GuestGroup.Create(host);
        Assert.StartsWith(Root + "/cpu/sandbox-", group.Lacks, StringComparison.Ordinal);
        Assert.Contains("EROFS", group.Lacks, StringComparison.Ordinal);
        // What can be limited is.
        Assert.NotNull(group.Limit(s_limits));
        Assert.Equal("1000", host[group.Folders.First(folder => folder.Contains("/memory/")) + "/memory.limit_in_bytes"]);
    }

    [Fact]
    public void ALimitThatIsRefusedIsNamed()
    {
        FakeCgroups host = VersionOne();
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Null(group.Lacks);
        host.Refuse(group.Folders.First(folder => folder.Contains("/pids/")) + "/pids.max", EINVAL);
        Assert.Contains("/pids.max: ", group.Limit(s_limits), StringComparison.Ordinal);
        // The others hold all the same.
        Assert.Equal("1000", host[group.Folders.First(folder => folder.Contains("/memory/")) + "/memory.limit_in_bytes"]);
        Assert.Equal("200000", host[group.Folders.First(folder => folder.Contains("/cpu/")) + "/cpu.cfs_quota_us"]);
    }

    [Fact]
    public void WithoutAnyTreeThereIsNoGroup()
    {
        using GuestGroup group = GuestGroup.Create(new FakeCgroups());
        Assert.Empty(group.Folders);
        Assert.Equal("no controller for memory, cpu, pids", group.Lacks);
        Assert.Equal(-ENODEV, group.Pause(() => throw new InvalidOperationException("nothing is frozen")));
        Assert.Equal(-ENODEV, group.Resume());
        Assert.Equal("no controller for io", group.LimitDisks([s_rate], 4000));
        Assert.Equal(default, group.Usage);
    }

    [Fact]
    public void VersionTwosRootGivesItsControllersAway()
    {
        FakeCgroups host = new FakeCgroups().Two(Root, "cpu memory pids io", "", s_me + "1\n", root: true).Memberships("0::/\n");
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Null(group.Lacks);
        Assert.NotNull(group.Into);
        Assert.Empty(group.Entries);
        Assert.Equal(Root, Path.GetDirectoryName(Single(group)));
        Assert.Null(group.Limit(s_limits));
        Assert.Equal("1000", host[Single(group) + "/memory.max"]);
        Assert.Equal("0", host[Single(group) + "/memory.swap.max"]);
        Assert.Equal("200000 100000", host[Single(group) + "/cpu.max"]);
        Assert.Equal("200", host[Single(group) + "/cpu.weight"]);
        Assert.Equal("30", host[Single(group) + "/pids.max"]);
    }

    [Fact]
    public void AloneInItsGroupTheSupervisorMovesBelow()
    {
        FakeCgroups host = VersionTwo(s_me);
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Null(group.Lacks);
        Assert.Equal(Root + "/a/b", Path.GetDirectoryName(Single(group)));
        Assert.Equal(s_me, host[$"{Root}/a/b/sandbox-{Environment.ProcessId}-77-0/cgroup.procs"]);
        Assert.Equal("", host[Root + "/a/b/cgroup.procs"]);
    }

    [Fact]
    public void WithOthersInItsGroupTheGuestsIsBesideIt()
    {
        FakeCgroups host = VersionTwo(s_me + "99999\n");
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Null(group.Lacks);
        Assert.Equal(Root + "/a", Path.GetDirectoryName(Single(group)));
        Assert.Equal(s_me + "99999\n", host[Root + "/a/b/cgroup.procs"]);
    }

    [Theory]
    [InlineData(EACCES)]
    [InlineData(EROFS)]
    public void WithoutDelegationThereIsNoGroup(int errno)
    {
        FakeCgroups host = VersionTwo(s_me);
        foreach (string path in (string[])["/a/b", "/a/b/cgroup.subtree_control", "/a", "/a/cgroup.subtree_control"])
            host.Refuse(Root + path, errno);
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Empty(group.Folders);
        Assert.Contains(Sandbox.Host.Errno.Describe(errno), group.Lacks, StringComparison.Ordinal);
        Assert.Empty(host.Log);
    }

    [Fact]
    public void AContainersOwnRootIsNoRoot()
    {
        FakeCgroups host = new FakeCgroups().Two(Root, "cpu memory pids", "", s_me + "5\n").Memberships("0::/\n");
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Empty(group.Folders);
        Assert.Contains("EBUSY", group.Lacks, StringComparison.Ordinal);
    }

    [Fact]
    public void AControllerThatWasNotGivenIsNamed()
    {
        FakeCgroups host = new FakeCgroups().Two(Root, "memory pids", "", s_me, root: true).Memberships("0::/\n");
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Equal("no controller for cpu", group.Lacks);
        Assert.Equal("no controller for cpu", group.Limit(s_limits));
        Assert.Equal("1000", host[Single(group) + "/memory.max"]);
    }

    [Fact]
    public void WhatVersionOneLacksVersionTwoGives()
    {
        FakeCgroups host = new FakeCgroups().One(Root + "/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
            .Two(Root + "/unified", "cpu pids hugetlb", "", s_me, root: true).Memberships("0::/\n4:memory:/\n");
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Null(group.Lacks);
        Assert.Single(group.Entries);
        Assert.NotNull(group.Into);
        Assert.Null(group.Limit(s_limits));
        Assert.Equal("30", host[group.Folders.First(folder => folder.Contains("/unified/")) + "/pids.max"]);
    }

    [Fact]
    public void AnOddPlaceIsFoundByItsMount()
    {
        FakeCgroups host = new FakeCgroups().Two("/mnt/my groups/c", "cpu memory pids", "", s_me, root: true)
            .Memberships("0::/docker/abc/c\n");
        host["/proc/self/mountinfo"] = """
            20 1 0:5 / /proc rw - proc proc rw
            broken line
            31 23 0:30 /other /mnt/other rw - cgroup2 cgroup2 rw
            30 23 0:29 /docker/abc /mnt/my\040groups rw,relatime shared:9 - cgroup2 cgroup2 rw
            """;
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Null(group.Lacks);
        Assert.Equal("/mnt/my groups/c", Path.GetDirectoryName(Single(group)));
    }

    [Theory]
    [InlineData("0::/../x\n")]
    [InlineData("0::relative\n")]
    [InlineData("0:memory:/\n")]
    [InlineData("x::/\n")]
    public void AGroupWithoutAPlaceIsNone(string memberships)
    {
        FakeCgroups host = VersionTwo(s_me, memberships);
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Empty(group.Folders);
    }

    [Fact]
    public void UsageIsReadWhateverTheFilesHold()
    {
        FakeCgroups host = VersionTwo(s_me);
        using GuestGroup group = GuestGroup.Create(host);
        string folder = Single(group);
        host[folder + "/memory.events"] = "low 0\noom 7\noom_kill 3\noom_group_kill 9";
        host[folder + "/memory.peak"] = "123456";
        host[folder + "/pids.events"] = "max 4\n";
        Assert.Equal(new GroupUsage(123456, 3, 4), group.Usage);
        host[folder + "/memory.events"] = "oom_kill -1\noom_killer 5\noom_kill";
        host[folder + "/memory.peak"] = "99999999999999999999999";
        host[folder + "/pids.events"] = new string('x', 100_000);
        Assert.Equal(new GroupUsage(null, 0, 0), group.Usage);
        host[folder + "/cpu.stat"] = "usage_usec 500\nuser_usec 400\nnr_periods 9\nnr_throttled 2\nthrottled_usec 77\n";
        host[folder + "/pids.peak"] = "12\n";
        Assert.Equal(new GroupUsage(null, 0, 0)
        {
            CpuMicroseconds = 500, Throttled = 2, ThrottledMicroseconds = 77, PeakProcesses = 12,
        }, group.Usage);
    }

    [Fact]
    public void VersionOneCountsInItsOwnUnits()
    {
        FakeCgroups host = VersionOne();
        using GuestGroup group = GuestGroup.Create(host);
        string Folder(string controller) => group.Folders.First(folder => folder.Contains($"/{controller}/", StringComparison.Ordinal));
        host[Folder("cpu") + "/cpuacct.usage"] = "500999\n";
        host[Folder("cpu") + "/cpu.stat"] = "nr_periods 9\nnr_throttled 2\nthrottled_time 77000\n";
        host[Folder("pids") + "/pids.peak"] = "12\n";
        Assert.Equal(new GroupUsage(null, 0, 0)
        {
            CpuMicroseconds = 500, Throttled = 2, ThrottledMicroseconds = 77, PeakProcesses = 12,
        }, group.Usage);
    }

    /// <summary>What is expected later is what was written, and not what there would be elsewhere.</summary>
    [Fact]
    public void WhatTheKernelLacksWasNotWritten()
    {
        FakeCgroups host = VersionTwo(s_me);
        using GuestGroup group = GuestGroup.Create(host);
        string folder = Single(group);
        host.Refuse(folder + "/memory.swap.max", ENOENT);
        Assert.Null(group.Limit(s_limits));
        string[] written = [.. group.Parts.Single().Written.Select(value => value.File)];
        Assert.Equal(["memory.max", "memory.oom.group", "cpu.weight", "cpu.max", "pids.max"], written);
        host.Refuse(folder + "/cpu.weight", EACCES);
        Assert.Contains("cpu.weight", group.Limit(s_limits), StringComparison.Ordinal);
        Assert.Equal(2, group.Parts.Single().Written.Count);
    }

    [Fact]
    public void VersionTwoStaysFrozenDuringAPause()
    {
        FakeCgroups host = VersionTwo(s_me);
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Equal(0, group.Pause(() => host.Log.Add("stop")));
        Assert.Equal("1", host[Single(group) + "/cgroup.freeze"]);
        Assert.Equal(0, group.Resume());
        Assert.Equal("0", host[Single(group) + "/cgroup.freeze"]);
        Assert.DoesNotContain(host.Log, line => line.StartsWith("signal", StringComparison.Ordinal));
    }

    /// <summary>Before Linux 6.14 KVM has a thread of the kernel's there, with which a group is never said to be frozen.</summary>
    [Fact]
    public void VersionTwoWithAThreadOfTheKernelsStopsEach()
    {
        FakeCgroups host = VersionTwo(s_me);
        using GuestGroup group = GuestGroup.Create(host);
        host[Single(group) + "/cgroup.procs"] = "4000\n4001\n";
        host["/proc/4000/stat"] = "4000 (sandbox-vmm) S 1 1 1 0 -1 4194560 0";
        host["/proc/4001/stat"] = "4001 (kvm-nx-lpage-re) S 2 0 0 0 -1 2129984 0";
        host.IsStuck = true;
        host.Log.Clear();
        Assert.Equal(0, group.Pause(() => host.Log.Add("stop")));
        Assert.Equal(["freezer 1", "stop", $"signal {SIGSTOP} 4000", $"signal {SIGSTOP} 4001", "freezer 0"], host.Log);
        host[Single(group) + "/cgroup.procs"] = "";
    }

    /// <summary>In a PID namespace of one's own the kernel's threads have no number, and with hidepid nobody has a file.</summary>
    [Theory]
    [InlineData("0\n4000\n", "4000 (sandbox-vmm) S 1 1 1 0 -1 4194560 0")]
    [InlineData("4000\n", null)]
    public void VersionTwoWithAProcessThatCannotBeLookedAtStopsEach(string processes, string? stat)
    {
        FakeCgroups host = VersionTwo(s_me);
        using GuestGroup group = GuestGroup.Create(host);
        host[Single(group) + "/cgroup.procs"] = processes;
        if (stat is not null)
            host["/proc/4000/stat"] = stat;
        host.IsStuck = true;
        host.Log.Clear();
        Assert.Equal(0, group.Pause(() => host.Log.Add("stop")));
        Assert.Equal(["freezer 1", "stop", $"signal {SIGSTOP} 4000", "freezer 0"], host.Log);
        host[Single(group) + "/cgroup.procs"] = "";
    }

    /// <summary>It would not die frozen: each is stopped while all are frozen.</summary>
    [Fact]
    public void VersionOneStopsEachWhileAllAreFrozen()
    {
        FakeCgroups host = VersionOne();
        using GuestGroup group = GuestGroup.Create(host);
        string freezer = group.Folders.First(folder => folder.Contains("/freezer/", StringComparison.Ordinal));
        host[freezer + "/cgroup.procs"] = "4000\n4001\n";
        host.Log.Clear();
        Assert.Equal(0, group.Pause(() => host.Log.Add("stop")));
        Assert.Equal(["freezer FROZEN", "stop", $"signal {SIGSTOP} 4000", $"signal {SIGSTOP} 4001", "freezer THAWED"], host.Log);
        host.Log.Clear();
        Assert.Equal(0, group.Resume());
        Assert.Equal(["freezer THAWED", $"signal {SIGCONT} 4000", $"signal {SIGCONT} 4001"], host.Log);
        host[freezer + "/cgroup.procs"] = "";
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WhatDoesNotFreezeIsWaitedForAndGoesOn(bool isTwo)
    {
        FakeCgroups host = isTwo ? VersionTwo(s_me) : VersionOne();
        using GuestGroup group = GuestGroup.Create(host);
        host.IsStuck = true;
        Assert.Equal(-ETIMEDOUT, group.Pause(() => host.Log.Add("stop")));
        Assert.Equal(isTwo ? "freezer 0" : "freezer THAWED", host.Log[^1]);
    }

    /// <summary>A supervisor that was killed within a pause leaves it frozen, and what is frozen does not die.</summary>
    [Fact]
    public void WhatVersionOneHasFrozenIsThawedToDie()
    {
        FakeCgroups host = VersionOne();
        using (GuestGroup group = GuestGroup.Create(host))
            host[group.Folders.First(folder => folder.Contains("/freezer/", StringComparison.Ordinal)) + "/cgroup.procs"] = "4000\n";
        Assert.True(host.Log.IndexOf("freezer THAWED") > host.Log.IndexOf($"signal {SIGKILL} 4000"), string.Join("; ", host.Log));
        Assert.Contains("freezer THAWED", host.Log);
    }

    static readonly DiskRate s_rate = new(new HostDisk(8, 16), 5000);

    [Fact]
    public void VersionOneGetsAFolderForDisksOnlyForAGuestThatHasRates()
    {
        FakeCgroups host = VersionOne();
        using (GuestGroup group = GuestGroup.Create(host))
        {
            string folder = $"{Root}/blkio/{Path.GetFileName(group.Folders.First())}";
            Assert.False(host.Has(folder));
            Assert.Null(group.Limit(s_limits));
            Assert.Null(group.LimitDisks([s_rate], 4000));
            Assert.Equal("4000\n", host[folder + "/cgroup.procs"]);
            Assert.Equal("8:16 5000", host[folder + "/blkio.throttle.read_bps_device"]);
            Assert.Equal("8:16 5000", host[folder + "/blkio.throttle.write_bps_device"]);
            Assert.Equal(2, group.Parts[^1].Written.Count);
            Assert.Equal(Controllers.Io, group.Parts[^1].Controllers);
        }

        Assert.Empty(host.Folders(Root + "/blkio"));
    }

    [Theory]
    [InlineData(0, 40, "8:16 riops=40 wiops=40", "iops", "8:16 40")]
    [InlineData(5000, 40, "8:16 rbps=5000 wbps=5000 riops=40 wiops=40", "iops", "8:16 40")]
    [InlineData(5000, 0, "8:16 rbps=5000 wbps=5000", "bps", "8:16 5000")]
    public void ADiskIsHeldToBytesToOperationsOrToBoth(ulong bytes, ulong operations, string two, string unit, string one)
    {
        DiskRate rate = new(new HostDisk(8, 16), bytes, operations);
        FakeCgroups unified = new FakeCgroups().Two(Root, "cpu memory pids io", "", s_me + "1\n", root: true).Memberships("0::/\n");
        using GuestGroup group = GuestGroup.Create(unified);
        Assert.Null(group.LimitDisks([rate], 4000));
        Assert.Equal(two, unified[Single(group) + "/io.max"]);

        FakeCgroups host = VersionOne();
        using GuestGroup other = GuestGroup.Create(host);
        string folder = $"{Root}/blkio/{Path.GetFileName(other.Folders.First())}";
        Assert.Null(other.LimitDisks([rate], 4000));
        Assert.Equal((one, one), (host[$"{folder}/blkio.throttle.read_{unit}_device"], host[$"{folder}/blkio.throttle.write_{unit}_device"]));
        Assert.Equal(bytes * operations == 0 ? 2 : 4, other.Parts[^1].Written.Count);
    }

    [Fact]
    public void DisksThatShareAHierarchyShareAFolder()
    {
        FakeCgroups host = VersionOne().One(Root + "/cpu", "cpu.shares", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device")
            .Memberships("4:memory:/jobs/a\n1:cpu,blkio:/\n");
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Null(group.LimitDisks([s_rate], 4000));
        Assert.Equal("8:16 5000", host[group.Folders.First(folder => folder.Contains("/cpu/")) + "/blkio.throttle.write_bps_device"]);
        Assert.Equal(2, group.Folders.Count());
    }

    [Fact]
    public void VersionTwoGivesTheControllerOfDisksOnlyToAGuestThatHasRates()
    {
        FakeCgroups host = new FakeCgroups().Two(Root, "cpu memory pids io", "", s_me + "1\n", root: true).Memberships("0::/\n");
        using GuestGroup group = GuestGroup.Create(host);
        Assert.Null(group.Limit(s_limits));
        Assert.DoesNotContain("io", host[Root + "/cgroup.subtree_control"], StringComparison.Ordinal);
        Assert.Null(group.LimitDisks([s_rate], 4000));
        Assert.Contains("io", host[Root + "/cgroup.subtree_control"], StringComparison.Ordinal);
        Assert.Equal("8:16 rbps=5000 wbps=5000", host[Single(group) + "/io.max"]);
        // What else was written is still to be found.
        Assert.Equal(["memory.max", "memory.swap.max", "memory.oom.group", "cpu.weight", "cpu.max", "pids.max", "io.max"],
            group.Parts.Single().Written.Select(value => value.File));
    }

    [Fact]
    public void DisksThatAreNotDelegatedAreNamed()
    {
        using GuestGroup group = GuestGroup.Create(VersionTwo(s_me));
        Assert.Equal("no controller for io", group.LimitDisks([s_rate], 4000));
    }

    [Theory]
    [InlineData("/blkio.throttle.write_bps_device", ENODEV)]
    [InlineData("/cgroup.procs", EACCES)]
    public void ARateThatIsRefusedIsNamed(string file, int errno)
    {
        FakeCgroups host = VersionOne();
        using GuestGroup group = GuestGroup.Create(host);
        host.Refuse($"{Root}/blkio/{Path.GetFileName(group.Folders.First())}{file}", errno);
        string told = group.LimitDisks([s_rate], 4000)!;
        Assert.Contains($"{file}: ", told, StringComparison.Ordinal);
        Assert.Contains(Host.Errno.Name(errno)!, told, StringComparison.Ordinal);
    }

    [Fact]
    public void ADiskIsKnownByItsPartitions()
    {
        var host = new FakeCgroups
        {
            ["/sys/dev/block/8:17/partition"] = "1\n", ["/sys/dev/block/8:17/dev"] = "8:17\n", ["/sys/dev/block/8:17/../dev"] = "8:16\n",
            ["/sys/dev/block/8:16/dev"] = "8:16\n", ["/sys/dev/block/8:16/../dev"] = "1:1\n",
        };
        Assert.Equal(new HostDisk(8, 16), HostDisk.Of(host, makedev(8, 17)));
        Assert.Equal(new HostDisk(8, 16), HostDisk.Of(host, makedev(8, 16)));
        // Overlay, tmpfs and the like have numbers of no device.
        Assert.Null(HostDisk.Of(host, makedev(0, 27)));
    }

    [Fact]
    public void WhatIsLeftInAGroupIsKilled()
    {
        FakeCgroups host = VersionTwo(s_me + "9\n");
        string folder;
        using (GuestGroup group = GuestGroup.Create(host))
        {
            folder = Single(group);
            host[folder + "/cgroup.procs"] = "4000\n";
        }

        Assert.Contains($"signal {SIGKILL} 4000", host.Log);
        Assert.False(host.Has(folder));
    }

    [Fact]
    public void AGroupThatStaysBusyIsLeftAfterABoundedWait()
    {
        FakeCgroups host = VersionTwo(s_me + "9\n");
        GuestGroup group = GuestGroup.Create(host);
        string folder = Single(group);
        host[folder + "/cgroup.procs"] = "unkillable";
        group.Dispose();
        Assert.True(host.Has(folder));
    }

    [Fact]
    public void GroupsOfTheDeadAreRemovedAndNoOthers()
    {
        FakeCgroups host = VersionTwo(s_me + "9\n");
        using GuestGroup group = GuestGroup.Create(host);
        host["/proc/50/stat"] = FakeCgroups.Stat(1000);
        // Ended, and nobody has waited for it.
        host["/proc/70/stat"] = FakeCgroups.Stat(1000).Replace(" S ", " Z ", StringComparison.Ordinal);
        host.Alive.UnionWith([60, 70]);
        host[$"/proc/{Environment.ProcessId}/stat"] = FakeCgroups.Stat(77);
        string[] gone = ["sandbox-40-1000-1", "sandbox-50-999-0", "sandbox-70-1000-1"];
        string[] kept =
        [
            "sandbox-50-1000-3", "sandbox-60-5-1", "sandbox-0-0-0", "sandbox-40-1000", "sandbox-040-1000-1",
            "Sandbox-40-1000-1", "other",
        ];
        foreach (string name in gone.Concat(kept))
            host.Two($"{Root}/a/{name}", "", "");
        host.Two(Root + "/a/sandbox-41-1-1", "", "", "77\n");
        group.RemoveAbandoned();
        Assert.All(gone, name => Assert.False(host.Has($"{Root}/a/{name}"), name));
        Assert.All(kept, name => Assert.True(host.Has($"{Root}/a/{name}"), name));
        Assert.True(host.Has(Root + "/a/sandbox-41-1-1"), "not empty");
        Assert.True(host.Has(Single(group)));
    }

    [Fact]
    public void LimitsComeFromTheGuests()
    {
        GuestLimits guest = new()
        {
            MemoryBytes = 1 << 30, Cpus = 2, WallMilliseconds = 0, CpuMilliseconds = 0, Processes = 10, OutputBytes = 0,
            TmpBytes = 0, OpenFiles = 64,
        };
        GroupLimits limits = GroupLimits.For(guest, hostCpus: 8);
        Assert.Equal(2, limits.Cpus);
        Assert.Equal(200, limits.Weight);
        Assert.Equal(74, limits.Processes);
        Assert.Equal(154, GroupLimits.For(guest, hostCpus: 8, isMachine: true).Processes);
        Assert.Equal((1UL << 30) + (64UL << 20) + (128UL << 20) + 10 * (768UL << 10), limits.MemoryBytes);
        // All that there are need no quota.
        Assert.Equal(0, GroupLimits.For(guest, hostCpus: 2).Cpus);
    }
}
