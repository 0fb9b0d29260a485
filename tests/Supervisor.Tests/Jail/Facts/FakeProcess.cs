using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Jail.Facts;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.Jail.Facts;

/// <summary>A VMM's files in /proc, as a kernel shows them of one in its whole jail; a test changes what it likes.</summary>
sealed class FakeProcess : IProcessFiles
{
    public const int Pid = 4888;
    public const int Main = Pid, Guest = 4890, Worker = 4891;
    const uint User = 0x7000_1315;

    readonly Dictionary<string, string> _texts = [], _links = [];
    readonly Dictionary<string, int> _refused = [];

    public FakeProcess()
    {
        foreach (int tid in (int[])[Main, Guest, Worker])
            AddThread(tid, tid == Worker ? "kvm-nx-lpage-re" : "guest", tid == Worker ? 0x404040u : 0x400040u);
        this["stat"] = Stat("sandbox-vmm", 0x400040);
        this["uid_map"] = this["gid_map"] = "         0          0 4294967295\n";
        this["limits"] = """
            Limit                     Soft Limit           Hard Limit           Units     
            Max cpu time              unlimited            unlimited            seconds   
            Max core file size        0                    0                    bytes     
            Max locked memory         0                    0                    bytes     
            Max msgqueue size         0                    0                    bytes     
            Max nice priority         0                    0                    
            Max realtime priority     0                    0                    

            """;
        this["oom_score_adj"] = "0\n";
        this["mountinfo"] = "64 42 0:40 / / ro,nosuid,nodev,noexec,relatime - tmpfs tmpfs ro,size=4k,nr_inodes=2,mode=555\n";
        this["net/dev"] = "Inter-|   Receive |  Transmit\n face |bytes  |bytes\n    lo:       0       0\n";
        this["environ"] = "";
        _links["root"] = _links["cwd"] = "/";
        AddDescriptor(0, "/dev/null", 2, 24, 3);
        AddDescriptor(3, "socket:[77]", 2, 10, 77);
        AddDescriptor(4, "/dev/kvm", 2, 24, 82);
        AddDescriptor(5, "anon_inode:kvm-vm", 2, 17, 1038);
        AddDescriptor(6, "anon_inode:kvm-vcpu:0", 2, 17, 1038);
        AddDescriptor(7, "/", 0x280000, 44, 795);
        AddDescriptor(8, "/sub/file", 0, 44, 800);
    }

    public string this[string path]
    {
        get => _texts[path];
        set => _texts[path] = value;
    }

    public uint FilesOwner { get; set; }

    public void SetLink(string path, string target) => _links[path] = target;

    /// <summary>Answers this error number to whatever is asked about a path that begins so.</summary>
    public void Refuse(string prefix, int errno) => _refused[prefix] = errno;

    public void AddThread(int tid, string name, uint flags)
    {
        this[$"task/{tid}/status"] = Status;
        this[$"task/{tid}/stat"] = Stat(name, flags);
        this[$"task/{tid}/children"] = "";
        foreach (string kind in Namespaces.Names)
            _links[$"task/{tid}/ns/{kind}"] = $"{kind}:[2]";
    }

    public void AddDescriptor(int number, string target, int flags, long mount, ulong inode)
    {
        _links[$"fd/{number}"] = target;
        this[$"fdinfo/{number}"] = $"pos:\t0\nflags:\t{Convert.ToString(flags, 8).PadLeft(7, '0')}\nmnt_id:\t{mount}\nino:\t{inode}\n";
    }

    /// <summary>Of one thread.</summary>
    public void ChangeStatus(int tid, string line, string instead)
    {
        string path = $"task/{tid}/status";
        Assert.Contains(line, this[path], StringComparison.Ordinal);
        this[path] = this[path].Replace(line, instead, StringComparison.Ordinal);
    }

    static string Stat(string name, uint flags) =>
        $"{Pid} ({name}) S 4885 {Pid} {Pid} 0 -1 {flags} 590 0 0 0 2 1 0 0 39 19 8 0 2321604 69348782080 4397\n";

    const string Status = """
        Name:	sandbox-vmm
        Tgid:	4888
        Uid:	1879053077	1879053077	1879053077	1879053077
        Gid:	1879053077	1879053077	1879053077	1879053077
        Groups:	 
        NSpid:	4888	1
        CapInh:	0000000000000000
        CapPrm:	0000000000000000
        CapEff:	0000000000000000
        CapBnd:	0000000000000000
        CapAmb:	0000000000000000
        NoNewPrivs:	1
        Seccomp:	2
        Seccomp_filters:	2

        """;

    public Reading<string> Read(string path) => Find(path, _texts);

    public Reading<string> Link(string path) => Find(path, _links);

    public Reading<string[]> Names(string folder)
    {
        if (Refusal(folder) is int errno)
            return Reading<string[]>.Refused(errno);
        return Reading<string[]>.Of([.. _texts.Keys.Concat(_links.Keys)
            .Where(path => path.StartsWith(folder + '/', StringComparison.Ordinal))
            .Select(path => path[(folder.Length + 1)..].Split('/')[0]).Distinct()]);
    }

    public Reading<uint> Owner(string path) =>
        Refusal(path) is int errno ? Reading<uint>.Refused(errno) : Reading<uint>.Of(FilesOwner);

    Reading<string> Find(string path, Dictionary<string, string> all)
    {
        if (Refusal(path) is int errno)
            return Reading<string>.Refused(errno);
        return all.TryGetValue(path, out string? text) ? Reading<string>.Of(text) : Reading<string>.Refused(ENOENT);
    }

    int? Refusal(string path)
    {
        foreach ((string prefix, int errno) in _refused)
            if (path.StartsWith(prefix, StringComparison.Ordinal))
                return errno;
        return null;
    }

    /// <summary>What fits it.</summary>
    public static JailExpectation Expectation { get; } = new()
    {
        Supervisor = 4885,
        Wanted = JailWalls.All,
        HostNamespaces = [.. Namespaces.Names.Select(kind => $"{kind}:[1]")],
        User = User,
        Group = User,
        OomScore = 0,
        Groups =
        [
            new("/sys/fs/cgroup/g",
            [
                new("memory.max", "1000", ValueRule.AtMost), new("memory.swap.max", "0", ValueRule.AtMost),
                new("memory.oom.group", "1", ValueRule.Exactly), new("cpu.max", "200000 100000", ValueRule.Share),
                new("cpu.cfs_period_us", "100000", ValueRule.AtLeast), new("pids.max", "74", ValueRule.AtMost),
                new("io.max", "8:0 rbps=5000 wbps=5000", ValueRule.Disk),
                new("blkio.throttle.read_bps_device", "8:0 5000", ValueRule.Disk),
            ]),
        ],
        Descriptors =
        [
            new("nothing", 24, 3, null, false, true), new("channel", 10, 77, null, false, true), new("KVM", 24, 82, null, false, true),
            new("/usr", 44, 795, null, true, false),
        ],
        HasNetwork = false,
        HasKeyring = true,
        HasDenyWriteExecute = true,
        Reported = StartOrders.All,
        Filters = 2,
    };

    /// <summary>The group's files, as they were written.</summary>
    public Cgroups.FakeCgroups Group { get; } = NewGroup();

    static Cgroups.FakeCgroups NewGroup()
    {
        var group = new Cgroups.FakeCgroups();
        foreach (GroupValue value in Expectation.Groups[0].Values)
            group[$"{Expectation.Groups[0].Folder}/{value.File}"] = value.Text + "\n";
        group[$"{Expectation.Groups[0].Folder}/cgroup.procs"] = $"{Pid}\n";
        return group;
    }

    public JailFacts? Facts(JailExpectation? expected = null) =>
        FactReader.Read(this, Group, Pid, isRoot: false, (expected ?? Expectation).Groups);

    public IReadOnlyList<FactLine> Compare(JailExpectation? expected = null) =>
        JailComparison.Of(Facts(expected)!, expected ?? Expectation);
}
