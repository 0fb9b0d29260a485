using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Planning;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public class PlanBuilderTests
{
    static readonly RunOptions s_plain = new() { Arguments = ["true"] };

    static PlannedLaunch Build(RunOptions? options = null, FakeHost? host = null, params MountSource[] mounts) =>
        PlanBuilder.Build(options ?? s_plain, FakeHost.DefaultPolicy, (host ?? new FakeHost()).Facts, mounts, null, 42);

    static MountSource Folder(string real, string? guest = null, bool writable = false) =>
        new(real, real, guest ?? real, IsDirectory: true, writable);

    static GuestFile File(PlannedLaunch launch, string path) => Assert.Single(launch.Plan.Files, file => file.Path == path);

    static void Lacks(PlannedLaunch launch, string path) => Assert.DoesNotContain(launch.Plan.Files, file => file.Path == path);

    [Fact]
    public void TheRootIsTheHostsUsrAndLittleElse()
    {
        PlannedLaunch launch = Build();
        Assert.Equal(
            [
                "/bin", "/dev/shm", "/etc", "/etc/alternatives", "/etc/group", "/etc/hostname", "/etc/hosts",
                "/etc/ld.so.cache", "/etc/localtime", "/etc/mtab", "/etc/nsswitch.conf", "/etc/passwd", "/etc/ssl",
                "/etc/ssl/certs", "/home", "/home/sandbox", "/lib", "/lib64", "/sbin", "/tmp", "/usr",
            ],
            launch.Plan.Files.Select(file => file.Path));
        Assert.Equal(
            ["/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/certs", "/usr"],
            launch.Grants.OfType<Grant.SystemPath>().Select(grant => grant.Path));
        Assert.All(launch.Plan.Files, file => Assert.Equal(file.Kind == GuestFileKind.Temporary, file.Writable));
        Assert.Equal("usr/bin", File(launch, "/bin").Content);
        Assert.Equal("/usr/share/zoneinfo/Etc/UTC", File(launch, "/etc/localtime").Content);
        Assert.Equal(0x3ffu, File(launch, "/tmp").Mode);
        Assert.Equal(0x3ffu, File(launch, "/dev/shm").Mode);
        Assert.Equal(0x1c0u, File(launch, "/home/sandbox").Mode);
    }

    [Fact]
    public void EveryDescriptorIsGrantedOnceAndInOrder()
    {
        RunOptions options = s_plain with { TraceFile = "-" };
        PlannedLaunch launch = Build(options, null, Folder("/work/project"), Folder("/data", "/d"));
        GuestStreams streams = launch.Plan.Streams;
        IEnumerable<int> used = launch.Plan.Files.Where(file => file.Kind == GuestFileKind.Host).Select(file => file.Descriptor)
            .Concat([streams.Stdin, streams.Stdout, streams.Stderr, streams.Result, streams.Trace]);
        Assert.Equal(Enumerable.Range(0, launch.Grants.Count), used.Order());
        Assert.All(launch.Plan.Files, file => Assert.Equal(file.Kind == GuestFileKind.Host, file.Descriptor >= 0));
        Assert.Equal(new Grant.Mount(0), launch.Grants[File(launch, "/work/project").Descriptor]);
        Assert.Equal(new Grant.Mount(1), launch.Grants[File(launch, "/d").Descriptor]);
        Assert.Equal(new Grant.StandardStream(2), launch.Grants[streams.Stderr]);
        Assert.IsType<Grant.Result>(launch.Grants[streams.Result]);
        Assert.IsType<Grant.Trace>(launch.Grants[streams.Trace]);
    }

    [Fact]
    public void StreamsThatNobodyAskedForHaveNoDescriptor()
    {
        GuestStreams streams = Build().Plan.Streams;
        Assert.Equal(-1, streams.Trace);
        Assert.False(streams.Terminal);
        Assert.Equal(0, streams.Rows);
    }

    [Fact]
    public void FoldersOfAHostWithoutMergedUsrAreMounted()
    {
        var host = new FakeHost { ["/bin"] = new(HostEntryKind.Directory), ["/lib32"] = new(HostEntryKind.Directory) };
        PlannedLaunch launch = Build(host: host);
        Assert.Equal(GuestFileKind.Host, File(launch, "/bin").Kind);
        Assert.Equal(GuestFileKind.Host, File(launch, "/lib32").Kind);
        Assert.Equal(new Grant.SystemPath("/bin", true), launch.Grants[File(launch, "/bin").Descriptor]);
    }

    [Fact]
    public void AHostWithoutUsrIsRefused()
    {
        var host = new FakeHost();
        host.Remove("/usr");
        OneLine.Refuses("no folder /usr", () => Build(host: host));
    }

    [Fact]
    public void AConfigurationFileThatIsADeviceOrLeadsNowhereIsLeftOut()
    {
        var host = new FakeHost
        {
            ["/etc/services"] = new(HostEntryKind.Special),
            ["/etc/protocols"] = new(HostEntryKind.Symlink, "/nowhere"),
            ["/etc/mime.types"] = new(HostEntryKind.Symlink, "/etc/passwd"),
        };
        PlannedLaunch launch = Build(host: host);
        Lacks(launch, "/etc/services");
        Lacks(launch, "/etc/protocols");
        Assert.Equal(GuestFileKind.Host, File(launch, "/etc/mime.types").Kind);
    }

    [Fact]
    public void TheEnvironmentIsSmallAndTheCallersIsNotInIt()
    {
        System.Environment.SetEnvironmentVariable("SANDBOX_TEST_SECRET", "secret");
        Assert.Equal(
            [
                "HOME=/home/sandbox", "USER=sandbox", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8",
            ],
            Build().Plan.Environment);
    }

    [Fact]
    public void VariablesOverrideInOrderAndNeverTwice()
    {
        RunOptions options = s_plain with
        {
            Environment = [new("A", "1"), new("HOME", "/tmp"), new("A", "2"), new("EMPTY", "")],
            Terminal = true,
        };
        Assert.Equal(
            [
                "HOME=/tmp", "USER=sandbox", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8", "TERM=xterm-256color", "A=2", "EMPTY=",
            ],
            Build(options).Plan.Environment);
    }

    [Fact]
    public void ATerminalHasTheCallersSize()
    {
        GuestStreams streams = Build(s_plain with { Terminal = true }).Plan.Streams;
        Assert.Equal((true, 24, 80), (streams.Terminal, streams.Rows, streams.Columns));
    }

    [Fact]
    public void LimitsHaveDefaultsAndBounds()
    {
        GuestLimits limits = Build().Plan.Limits;
        Assert.Equal(1UL << 30, limits.MemoryBytes);
        Assert.Equal(512UL << 20, limits.TmpBytes);
        Assert.Equal(2, limits.Cpus);
        Assert.Equal(3_600_000, limits.WallMilliseconds);
        Assert.Equal(0, limits.CpuMilliseconds);
        Assert.Equal(256, limits.Processes);
        Assert.Equal(0, limits.OutputBytes);
        OneLine.Refuses(
            "more than this host or control group has (4096 MiB)", () => Build(s_plain with { Memory = 5UL << 30 }));
        OneLine.Refuses("more than this host offers (2)", () => Build(s_plain with { Cpus = 3 }));
        OneLine.Refuses("raise --memory", () => Build(s_plain with { Memory = 64 << 20, TmpSize = 65 << 20 }));
    }

    [Fact]
    public void ALargeHostGivesWhatAPlanTakes()
    {
        HostFacts facts = new FakeHost().Facts with { Memory = 1UL << 40 };
        GuestLimits limits = PlanBuilder.Build(s_plain with { Memory = 252UL << 30 }, FakeHost.DefaultPolicy, facts, [], null, 0).Plan.Limits;
        Assert.Equal(252UL << 30, limits.MemoryBytes);
        OneLine.Refuses("give at most 252 GiB",
            () => PlanBuilder.Build(s_plain with { Memory = 253UL << 30 }, FakeHost.DefaultPolicy, facts, [], null, 0));
    }

    [Fact]
    public void ASmallHostGivesHalfOfItself()
    {
        HostFacts facts = new FakeHost().Facts with { Memory = 600UL << 20 };
        GuestLimits limits = PlanBuilder.Build(s_plain, FakeHost.DefaultPolicy, facts, [], null, 0).Plan.Limits;
        Assert.Equal(300UL << 20, limits.MemoryBytes);
        Assert.Equal(150UL << 20, limits.TmpBytes);
    }

    [Fact]
    public void LimitsAreWholePages()
    {
        GuestLimits limits = Build(s_plain with { Memory = (64UL << 20) + 5000, TmpSize = 5000 }).Plan.Limits;
        Assert.Equal((64UL << 20) + 4096, limits.MemoryBytes);
        Assert.Equal(4096UL, limits.TmpBytes);
    }

    [Fact]
    public void TheWorkingDirectoryFollowsTheCallerIntoAMount()
    {
        Assert.Equal("/home/sandbox", Build().Plan.WorkingDirectory);
        Assert.Equal("/work/project/deep", Build(mounts: Folder("/work/project")).Plan.WorkingDirectory);
        Assert.Equal("/p/deep", Build(mounts: Folder("/work/project", "/p")).Plan.WorkingDirectory);
        Assert.Equal("/all/work/project/deep", Build(mounts: Folder("/", "/all")).Plan.WorkingDirectory);
        Assert.Equal("/d", Build(mounts: [Folder("/work", "/w"), Folder("/work/project/deep", "/d")]).Plan.WorkingDirectory);
        Assert.Equal("/home/sandbox", Build(mounts: Folder("/work/proj")).Plan.WorkingDirectory);
        Assert.Equal("/tmp", Build(s_plain with { WorkingDirectory = "/tmp" }, null, Folder("/work/project")).Plan.WorkingDirectory);
    }

    [Fact]
    public void TheWorkingDirectoryFollowsTheCallerToWhereSomethingIsMountedBelowIt()
    {
        const string path = "/work/project/deep/s.py";
        var script = new MountSource("s.py", path, path, IsDirectory: false, Writable: false);
        Assert.Equal("/work/project/deep", Build(mounts: script).Plan.WorkingDirectory);
        Assert.Equal("/work/project/deep", Build(mounts: Folder("/work/project/deep/src")).Plan.WorkingDirectory);
        Assert.Equal("/home/sandbox", Build(mounts: Folder("/work/project/deep/src", "/src")).Plan.WorkingDirectory);
        Assert.Equal("/home/sandbox", Build(mounts: Folder("/work/project/deeper")).Plan.WorkingDirectory);
        var atRoot = new FakeHost { WorkingDirectory = "/" };
        Assert.Equal("/home/sandbox", Build(host: atRoot, mounts: Folder("/data")).Plan.WorkingDirectory);
    }

    [Fact]
    public void TheWorkingDirectoryFollowsTheCallerIntoUsr()
    {
        var host = new FakeHost { WorkingDirectory = "/usr/share/doc" };
        Assert.Equal("/usr/share/doc", Build(host: host).Plan.WorkingDirectory);
        Assert.Equal("/home/sandbox", Build(host: host, mounts: Folder("/other", "/usr")).Plan.WorkingDirectory);
        Assert.Equal("/home/sandbox", Build(host: new FakeHost { WorkingDirectory = "/tmp" }).Plan.WorkingDirectory);
        Assert.Equal("/home/sandbox", Build(host: new FakeHost { WorkingDirectory = null }).Plan.WorkingDirectory);
    }

    [Theory]
    [InlineData("/", "cannot become the guest's root")]
    [InlineData("/proc", "is its own")]
    [InlineData("/proc/sys", "is its own")]
    [InlineData("/dev", "is its own")]
    [InlineData("/dev/shm", "is its own")]
    [InlineData("/bin/tool", "symlink to usr/bin")]
    [InlineData("/etc/passwd/x", "is a file in the guest")]
    [InlineData("/etc/ld.so.cache/x/y", "is a file in the guest")]
    public void SomePlacesCannotBeMountedOver(string guest, string reason) =>
        OneLine.Refuses(reason, () => Build(mounts: Folder("/data", guest)));

    [Fact]
    public void ProcAndDevAreOnlyTheWholeNames()
    {
        File(Build(mounts: Folder("/data", "/process")), "/process");
        File(Build(mounts: Folder("/data", "/develop")), "/develop");
    }

    [Fact]
    public void TwoMountsAtOnePathAreRefused() =>
        OneLine.Refuses("two mounts at the guest path '/d'", () => Build(mounts: [Folder("/a", "/d"), Folder("/b", "/d")]));

    [Fact]
    public void AMountHidesWhatItCovers()
    {
        PlannedLaunch launch = Build(mounts: [Folder("/a", "/etc"), Folder("/b", "/tmp", writable: true), Folder("/c", "/bin")]);
        Lacks(launch, "/etc/passwd");
        Lacks(launch, "/etc/ld.so.cache");
        Assert.DoesNotContain(new Grant.SystemPath("/etc/ld.so.cache", false), launch.Grants);
        Assert.Equal(GuestFileKind.Host, File(launch, "/bin").Kind);
        Assert.True(File(launch, "/tmp").Writable);
        Assert.False(File(launch, "/etc").Writable);
    }

    [Fact]
    public void AMountInsideAMountDoesNotDependOnTheirOrder()
    {
        MountSource outer = Folder("/a", "/x"), inner = Folder("/b", "/x/y", writable: true);
        foreach (MountSource[] mounts in new[] { new[] { outer, inner }, [inner, outer] })
        {
            PlannedLaunch launch = Build(mounts: mounts);
            Assert.False(File(launch, "/x").Writable);
            Assert.True(File(launch, "/x/y").Writable);
            Assert.Equal(new Grant.Mount(Array.IndexOf(mounts, inner)), launch.Grants[File(launch, "/x/y").Descriptor]);
        }
    }

    [Fact]
    public void AMountBelowAMountedFileIsRefused()
    {
        var file = new MountSource("/f", "/f", "/x", IsDirectory: false, Writable: false);
        OneLine.Refuses("is a file in the guest", () => Build(mounts: [file, Folder("/b", "/x/y")]));
    }

    [Fact]
    public void MountsGetTheFoldersAboveThem()
    {
        PlannedLaunch launch = Build(mounts: [Folder("/data", "/one/two/three"), Folder("/b", "/tmp/four/five"), Folder("/c", "/usr/six/seven")]);
        Assert.Equal(GuestFileKind.Directory, File(launch, "/one").Kind);
        Assert.Equal(GuestFileKind.Directory, File(launch, "/one/two").Kind);
        Assert.Equal(GuestFileKind.Directory, File(launch, "/tmp/four").Kind);
        Lacks(launch, "/usr/six");
        Lacks(launch, "/dev");
        Lacks(launch, "/");
    }

    [Fact]
    public void EveryEntryComesAfterTheFoldersThatHoldIt()
    {
        PlannedLaunch launch = Build(mounts: [Folder("/a", "/x/y/z"), Folder("/b", "/x-1/y"), Folder("/c", "/x")]);
        string[] paths = [.. launch.Plan.Files.Select(file => file.Path)];
        Assert.Equal(paths.Length, paths.Distinct().Count());
        for (int i = 0; i < paths.Length; i++)
            Assert.DoesNotContain(paths[..i], earlier => GuestPath.IsWithin(earlier, paths[i]));
    }

    [Fact]
    public void TheGuestsUserIsInItsOwnEtc()
    {
        PlannedLaunch launch = Build(s_plain with { User = UserArgument.Parse("alice:44"), Hostname = "box" });
        Assert.Equal(
            "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:44:alice:/home/alice:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
            File(launch, "/etc/passwd").Content);
        Assert.Equal("root:x:0:\ntty:x:5:\nalice:x:44:\nnogroup:x:65534:\n", File(launch, "/etc/group").Content);
        Assert.Equal("box\n", File(launch, "/etc/hostname").Content);
        Assert.Contains("localhost box\n", File(launch, "/etc/hosts").Content, StringComparison.Ordinal);
        Assert.Equal("/home/alice", launch.Plan.WorkingDirectory);
    }

    [Theory]
    [InlineData("root")]
    [InlineData("nobody")]
    [InlineData("7:5")]
    [InlineData("tty:9")]
    public void NoNumberOrNameIsInTheUserTablesTwice(string user)
    {
        PlannedLaunch launch = Build(s_plain with { User = UserArgument.Parse(user) });
        foreach (string table in new[] { "/etc/passwd", "/etc/group" })
        {
            string[][] rows = [.. File(launch, table).Content!.TrimEnd('\n').Split('\n').Select(row => row.Split(':'))];
            Assert.Equal(rows.Length, rows.Select(row => row[0]).Distinct().Count());
            Assert.Equal(rows.Length, rows.Select(row => row[2]).Distinct().Count());
        }
    }

    [Fact]
    public void RootLivesInItsOwnHome()
    {
        PlannedLaunch launch = Build(s_plain with { User = UserArgument.Parse("root") });
        Assert.Equal(GuestFileKind.Temporary, File(launch, "/root").Kind);
        Lacks(launch, "/home");
        Assert.Contains("HOME=/root", launch.Plan.Environment);
    }

    [Fact]
    public void ThePlanSurvivesTheChannel()
    {
        LaunchPlan plan = Build(mounts: Folder("/data", "/d")).Plan;
        Assert.Equivalent(plan, LaunchPlan.Deserialize(plan.Serialize()), strict: true);
    }
}
