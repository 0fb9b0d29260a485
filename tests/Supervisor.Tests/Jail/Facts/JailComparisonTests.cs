using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Facts;
using Xunit;

namespace Sandbox.Supervisor.Tests.Jail.Facts;

/// <summary>One wall after the other is taken away, or made less of, behind the jail's back.</summary>
public class JailComparisonTests
{
    /// <summary>Instead of a line's name: that of the status nothing is known.</summary>
    const string Unknown = "";

    static FactLine Only(IReadOnlyList<FactLine> lines, string name)
    {
        FactLine[] faults = [.. lines.Where(line => line.Verdict != FactVerdict.Holds)];
        FactLine fault = Assert.Single(faults);
        Assert.Equal(name, fault.Name);
        return fault;
    }

    [Fact]
    public void AWholeJailHolds()
    {
        IReadOnlyList<FactLine> lines = new FakeProcess().Compare();
        Assert.All(lines, line => Assert.True(line.Verdict == FactVerdict.Holds, line.ToString()));
        // Each wall that there is has a line.
        Assert.Equal(JailWalls.All, lines.Aggregate(JailWalls.None, (all, line) => all | line.Wall));
        Assert.Equal(["Landlock", "memory deny-write-execute", "death signal", "session keyring"],
            lines.Where(line => line.Source != FactSource.Read).Select(line => line.Name));
    }

    public static TheoryData<string, string> StatusChanges => new()
    {
        { "CapInh:\t0000000000000000 => CapInh:\t0000000000000001", "capabilities" },
        { "CapPrm:\t0000000000000000 => CapPrm:\t0000000000000001", "capabilities" },
        { "CapEff:\t0000000000000000 => CapEff:\t0000000000000001", "capabilities" },
        { "CapBnd:\t0000000000000000 => CapBnd:\t000001ffffffffff", "capabilities" },
        { "CapAmb:\t0000000000000000 => CapAmb:\t0000000000000001", "capabilities" },
        { "NoNewPrivs:\t1 => NoNewPrivs:\t0", "no new privileges" },
        { "Seccomp:\t2 => Seccomp:\t0", "seccomp filter" },
        { "Seccomp_filters:\t2 => Seccomp_filters:\t1", "seccomp filter" },
        { "Uid:\t1879053077 => Uid:\t0", "a user of its own" },
        { "Gid:\t1879053077\t1879053077 => Gid:\t1879053077\t0", "a user of its own" },
        { "Groups:\t  => Groups:\t27 ", "a user of its own" },
        { "NSpid:\t4888\t1 => NSpid:\t4888", "its process number" },
        { "NoNewPrivs:\t1 => NoNewPrivs:\tx", Unknown },
        { "CapBnd: => CapBnd2:", Unknown },
        { "Seccomp:\t2 => NoNewPrivs:\t1\nSeccomp:\t2", Unknown },
    };

    /// <summary>On one thread: the walls of the others are worth nothing.</summary>
    [Theory]
    [MemberData(nameof(StatusChanges))]
    public void OneThreadIsEnough(string change, string name)
    {
        string[] parts = change.Split(" => ");
        FakeProcess process = new();
        process.ChangeStatus(FakeProcess.Guest, parts[0], parts[1]);
        IReadOnlyList<FactLine> lines = process.Compare();
        if (name == Unknown)
        {
            Assert.All(lines.Where(line => line.Wall is JailWalls.Capabilities or JailWalls.NoNewPrivileges or JailWalls.Seccomp),
                line => Assert.Equal(FactVerdict.CannotBeRead, line.Verdict));
            return;
        }

        FactLine fault = Only(lines, name);
        Assert.Equal(FactVerdict.Weaker, fault.Verdict);
        Assert.Contains($"thread {FakeProcess.Guest} 'guest'", fault.Found, StringComparison.Ordinal);
    }

    [Fact]
    public void AWallThatNoThreadHasIsMissing()
    {
        FakeProcess process = new();
        foreach (int tid in (int[])[FakeProcess.Main, FakeProcess.Guest, FakeProcess.Worker])
            process.ChangeStatus(tid, "NoNewPrivs:\t1", "NoNewPrivs:\t0");
        Assert.Equal(FactVerdict.Missing, Only(process.Compare(), "no new privileges").Verdict);
    }

    /// <summary>The kernel says which threads are its own; a name says nothing.</summary>
    [Fact]
    public void AThreadWithAWorkersNameIsNoWorker()
    {
        FakeProcess process = new();
        process.ChangeStatus(FakeProcess.Worker, "Seccomp:\t2", "Seccomp:\t0");
        Assert.All(process.Compare(), line => Assert.Equal(FactVerdict.Holds, line.Verdict));
        process.AddThread(4999, "kvm-nx-lpage-re", 0x400040);
        process.ChangeStatus(4999, "Seccomp:\t2", "Seccomp:\t0");
        Only(process.Compare(), "seccomp filter");
    }

    public static TheoryData<string, string> NamespaceLines => new()
    {
        { "user", "user namespace" }, { "pid", "PID namespace" }, { "mnt", "mount namespace" }, { "net", "network namespace" },
        { "ipc", "IPC namespace" }, { "uts", "UTS namespace" }, { "cgroup", "cgroup namespace" }, { "time", "time namespace" },
    };

    [Theory]
    [MemberData(nameof(NamespaceLines))]
    public void AThreadInTheSupervisorsNamespaceIsSeen(string kind, string name)
    {
        FakeProcess process = new();
        process.SetLink($"task/{FakeProcess.Guest}/ns/{kind}", $"{kind}:[1]");
        Assert.Equal(FactVerdict.Missing, Only(process.Compare(), name).Verdict);
        // Nor may it be in anybody else's.
        process.SetLink($"task/{FakeProcess.Guest}/ns/{kind}", $"{kind}:[3]");
        Assert.Equal(FactVerdict.Weaker, Only(process.Compare(), name).Verdict);
        process.SetLink($"task/{FakeProcess.Guest}/ns/{kind}", "nonsense");
        Assert.Equal(FactVerdict.CannotBeRead, Only(process.Compare(), name).Verdict);
    }

    public static TheoryData<string, string, string> FileChanges => new()
    {
        { "uid_map", "0 1000 1\n", "its users" },
        { "gid_map", "0 0 10\n", "its users" },
        { "net/dev", "a\nb\n lo: 0\n eth0: 5\n", "network interfaces" },
        { "environ", "SECRET=1\0", "environment" },
        { "oom_score_adj", "-1000\n", "OOM score" },
        { "mountinfo", "64 42 0:40 / / rw,nosuid,nodev,noexec - tmpfs tmpfs rw\n", "empty root" },
        { "mountinfo", "64 42 0:40 / / ro,nosuid,nodev,noexec - ext4 /dev/sda ro\n", "empty root" },
        { "mountinfo", "64 42 0:40 / / ro,nosuid,nodev,noexec - tmpfs t ro\n65 64 0:4 / /proc rw - proc proc rw\n", "empty root" },
        { "task/4890/children", "5000 ", "child processes" },
        { "task/4888/stat", "4888 (sandbox-vmm) S 4885 1 1 0 -1 4 590 0 0 0 2 1 0 0 39 19 8 0 2321604 6 4\n", "session" },
    };

    [Theory]
    [MemberData(nameof(FileChanges))]
    public void WhatIsOtherwiseIsSeen(string path, string text, string name)
    {
        FakeProcess process = new();
        process[path] = text;
        Assert.Equal(FactVerdict.Missing, Only(process.Compare(), name).Verdict);
    }

    [Theory]
    [InlineData("Max core file size        0 ", "Max core file size        9 ")]
    [InlineData("Max locked memory         0 ", "Max locked memory         unlimited ")]
    [InlineData("Max msgqueue size         0                    0", "Max msgqueue size         0                    5")]
    public void ALimitThatIsOpenIsSeen(string line, string instead)
    {
        FakeProcess process = new();
        Assert.Contains(line, process["limits"], StringComparison.Ordinal);
        process["limits"] = process["limits"].Replace(line, instead, StringComparison.Ordinal);
        Assert.Equal(FactVerdict.Weaker, Only(process.Compare(), "limits").Verdict);
    }

    [Fact]
    public void ADumpableProcessIsSeen() =>
        Assert.Equal(FactVerdict.Missing, Only(new FakeProcess { FilesOwner = 1879053077 }.Compare(), "not dumpable").Verdict);

    [Theory]
    [InlineData("root")]
    [InlineData("cwd")]
    public void AnotherRootOrFolderIsSeen(string link)
    {
        FakeProcess process = new();
        process.SetLink(link, "/home");
        Only(process.Compare(), "root and working directory");
    }

    [Theory]
    [InlineData("/etc/shadow", 0, 27, 5, "9 is '/etc/shadow'")]
    [InlineData("socket:[99]", 2, 10, 99, "9 is 'socket:[99]'")]
    [InlineData("anon_inode:kvm-vm", 2, 17, 1038, "9 is 'anon_inode:kvm-vm'")]
    [InlineData("anon_inode:[userfaultfd]", 2, 17, 1038, "9 is 'anon_inode:[userfaultfd]'")]
    [InlineData("/sub/file", 1, 44, 801, "9 is '/sub/file' open for writing")]
    [InlineData("/x\u001b[31m", 0, 1, 1, "9 is '/x\\x1b[31m'")]
    public void ADescriptorThatNothingGrantsIsSeen(string target, int flags, long mount, ulong inode, string found)
    {
        FakeProcess process = new();
        process.AddDescriptor(9, target, flags, mount, inode);
        FactLine fault = Only(process.Compare(), "descriptors");
        Assert.Equal((FactVerdict.Weaker, found), (fault.Verdict, fault.Found));
    }

    [Fact]
    public void SocketsComeWithTheNetwork()
    {
        FakeProcess process = new();
        process.AddDescriptor(9, "socket:[99]", 2, 10, 99);
        Assert.All(process.Compare(FakeProcess.Expectation with { HasNetwork = true }),
            line => Assert.Equal(FactVerdict.Holds, line.Verdict));
    }

    /// <summary>Where a granted folder is no mount of its own, everything of the host's file system is in its mount.</summary>
    [Theory]
    [InlineData("/work/sub/file", true)]
    [InlineData("/work", true)]
    [InlineData("/workshop", false)]
    [InlineData("/etc/shadow", false)]
    public void InTheHostsOwnMountTheNameDecides(string target, bool holds)
    {
        JailExpectation expected = FakeProcess.Expectation with
        {
            Descriptors = [.. FakeProcess.Expectation.Descriptors, new("/work", 27, 1, "/work", true, true)],
        };
        FakeProcess process = new();
        process.AddDescriptor(9, target, 2, 27, 900);
        if (holds)
            Assert.All(process.Compare(expected), line => Assert.Equal(FactVerdict.Holds, line.Verdict));
        else
            Only(process.Compare(expected), "descriptors");
    }

    [Theory]
    [InlineData("memory.max", "1001", false)]
    [InlineData("memory.max", "max", false)]
    [InlineData("memory.max", "999", true)]
    [InlineData("memory.max", "", false)]
    [InlineData("memory.max", "-1", false)]
    [InlineData("memory.swap.max", "1", false)]
    [InlineData("memory.oom.group", "0", false)]
    [InlineData("cpu.max", "max 100000", false)]
    [InlineData("cpu.max", "200001 100000", false)]
    [InlineData("cpu.max", "400000 200000", true)]
    [InlineData("cpu.max", "100 0", false)]
    [InlineData("cpu.cfs_period_us", "50000", false)]
    [InlineData("pids.max", "max", false)]
    [InlineData("pids.max", "75", false)]
    [InlineData("io.max", "", false)]
    [InlineData("io.max", "8:0 rbps=5000 wbps=5000 riops=max wiops=max", true)]
    [InlineData("io.max", "8:16 rbps=1 wbps=1\n8:0 rbps=4999 wbps=5000 riops=max wiops=max", true)]
    [InlineData("io.max", "8:0 rbps=5000 wbps=5001", false)]
    [InlineData("io.max", "8:0 rbps=max wbps=5000", false)]
    [InlineData("io.max", "8:0 rbps=5000", false)]
    [InlineData("io.max", "8:16 rbps=5000 wbps=5000", false)]
    [InlineData("blkio.throttle.read_bps_device", "8:16 1\n8:0 5000", true)]
    [InlineData("blkio.throttle.read_bps_device", "8:0 5001", false)]
    [InlineData("blkio.throttle.read_bps_device", "8:00 1", false)]
    public void AGroupsValueThatWasChangedIsSeen(string file, string text, bool holds)
    {
        FakeProcess process = new();
        process.Group[$"/sys/fs/cgroup/g/{file}"] = text + "\n";
        if (holds)
            Assert.All(process.Compare(), line => Assert.Equal(FactVerdict.Holds, line.Verdict));
        else
            Assert.Equal(FactVerdict.Weaker, Only(process.Compare(), file).Verdict);
    }

    [Theory]
    [InlineData("", "missing")]
    [InlineData("1\n", "missing")]
    [InlineData("4888\n4889\n", "weaker")]
    public void AVmmThatIsNotAloneInItsGroupIsSeen(string processes, string verdict)
    {
        FakeProcess process = new();
        process.Group["/sys/fs/cgroup/g/cgroup.procs"] = processes;
        Assert.Equal(verdict, FactReport.WordOf(Only(process.Compare(), "control group").Verdict));
    }

    [Theory]
    [InlineData("2129984", "holds")] // PF_KTHREAD and more
    [InlineData("4194368", "weaker")]
    public void AThreadOfTheKernelInTheGroupIsNobodys(string flags, string verdict)
    {
        FakeProcess process = new();
        process.Group["/sys/fs/cgroup/g/cgroup.procs"] += "125\n";
        process.Group["/proc/125/stat"] = $"125 (kvm-nx-lpage-re) S 2 0 0 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 400 0 0";
        Assert.Equal(verdict, FactReport.WordOf(process.Compare().Single(line => line.Name == "control group").Verdict));
    }

    [Fact]
    public void WithoutAGroupEachLimitIsMissing()
    {
        IReadOnlyList<FactLine> lines = new FakeProcess().Compare(FakeProcess.Expectation with { Groups = [], Told = "no group" });
        FactLine[] faults = [.. lines.Where(line => line.Verdict != FactVerdict.Holds)];
        Assert.Equal(["limits of memory", "limits of cpu", "limits of pids", "what the policy gives"], faults.Select(line => line.Expected));
        Assert.All(faults, line => Assert.Equal("told at the start: 'no group'", line.Advice));
    }

    [Theory]
    [InlineData("Landlock", StartOrders.DenyWriteExecute)]
    [InlineData("memory deny-write-execute", StartOrders.Landlock)]
    public void TheVmmSaysWhatTheKernelShowsToNobody(string name, StartOrders reported)
    {
        FactLine line = Only(new FakeProcess().Compare(FakeProcess.Expectation with { Reported = reported }), name);
        Assert.Equal((FactVerdict.Missing, FactSource.Reported), (line.Verdict, line.Source));
    }

    [Fact]
    public void NobodyMissesWhatTheKernelDoesNotHave() => Assert.All(
        new FakeProcess().Compare(FakeProcess.Expectation with { HasDenyWriteExecute = false, Reported = StartOrders.Landlock }),
        line => Assert.Equal(FactVerdict.Holds, line.Verdict));

    [Fact]
    public void WhatTheVmmHasNotSaidYetIsNotTakenForGood() => Assert.Equal(["Landlock", "memory deny-write-execute"],
        new FakeProcess().Compare(FakeProcess.Expectation with { Reported = null })
            .Where(line => line.Verdict == FactVerdict.CannotBeRead).Select(line => line.Name));

    /// <summary>As an ordinary user finds a process that cannot be dumped.</summary>
    [Fact]
    public void WhatCannotBeReadIsNeverTakenForGood()
    {
        FakeProcess process = new();
        foreach (string prefix in (string[])["task/4888/ns", "task/4890/ns", "task/4891/ns", "fd/", "environ", "root", "cwd"])
            process.Refuse(prefix, Libc.EACCES);
        string[] known = ["channel"];
        IReadOnlyList<FactLine> lines = process.Compare();
        FactLine[] faults = [.. lines.Where(line => line.Verdict != FactVerdict.Holds)];
        Assert.All(faults, line => Assert.Equal(FactVerdict.CannotBeRead, line.Verdict));
        Assert.All(faults, line => Assert.Contains("run it as root", line.Advice, StringComparison.Ordinal));
        Assert.Equal(8 + 1 + 1 + 1 + 1, faults.Length);
        Assert.DoesNotContain(faults, line => known.Contains(line.Name));
    }

    [Fact]
    public void MoreThanAnyVmmHasIsWrongAndNotUnknown()
    {
        FakeProcess process = new();
        process.Refuse("task", Libc.EOVERFLOW);
        process.Refuse("fd", Libc.EOVERFLOW);
        Assert.Equal(FactVerdict.Weaker, process.Compare().First(line => line.Name == "capabilities").Verdict);
        Assert.Equal(FactVerdict.Weaker, process.Compare().First(line => line.Name == "descriptors").Verdict);
    }

    [Fact]
    public void AProcessThatHasEndedHasNoFacts()
    {
        FakeProcess process = new();
        process.Refuse("", Libc.ESRCH);
        Assert.Null(process.Facts());
    }
}
