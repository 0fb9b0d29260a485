using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Jail.Facts;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// What the kernel says of a process and its control group, were it hostile. The input's parts, ended by a line "%", are a
/// thread's status and stat, limits, mountinfo, uid_map, fdinfo, where links lead (in lines: of namespaces, of
/// descriptors, of root), net/dev, children, environ, and what a file of the group holds.
/// </summary>
sealed class FactsTarget : FuzzTarget
{
    private const int Pid = 4888;

    /// <summary>Characters of a line's field: a few names of at most 200, each in quotes.</summary>
    private const int MaximumField = 8 << 10;

    private static readonly string[] s_good =
    [
        "Uid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\nGroups:\t \nNSpid:\t4888\t1\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
            + "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"
            + "Seccomp_filters:\t2",
        "4888 (sandbox-vmm) S 4885 4888 4888 0 -1 4194368 590 0 0 0 2 1 0 0 39 19 8 0 2321604 69348782080",
        "Limit                     Soft Limit           Hard Limit           Units     \n"
            + "Max core file size        0                    0                    bytes     \n"
            + "Max locked memory         0                    0                    bytes     \n"
            + "Max msgqueue size         0                    0                    bytes     \n"
            + "Max realtime priority     0                    0                    ",
        "64 42 0:40 / / ro,nosuid,nodev,noexec,relatime - tmpfs tmpfs ro,size=4k",
        "         0          0 4294967295",
        "pos:\t0\nflags:\t0100002\nmnt_id:\t24\nino:\t3",
        "net:[2]\n/dev/null\n/",
        "Inter-|\n face |\n    lo: 0",
        "",
        "",
        "1000",
    ];

    private static readonly string[] s_hostile =
    [
        s_good[0].Replace("CapBnd:\t0000000000000000", "CapBnd:\t000001ffffffffff").Replace("Seccomp:\t2", "Seccomp:\t0"),
        "4888 (a) b) S 1 1 1 0 -1 16384 0 0 0 0 0 0 0 0 0 0 0 0 9 0",
        "Limit\nMax core file size        unlimited            unlimited            bytes     ",
        "1 2 0:3 / /proc rw shared:1 - proc proc rw\n2 1 0:4 / /a\\040b rw - ext4 /dev/sda rw",
        "0 1000 1\n1 0 9",
        "flags:\t02\nmnt_id:\t27\nino:\t9\neventfd-count:\t1",
        "net:[1]\n/etc/shadow\n/home",
        "a\nb\neth0: 1",
        "5000 5001",
        "SECRET=1",
        "max",
    ];

    public override string Name => "facts";

    public override string Summary => "what /proc and control groups say of a VMM: status, limits, mounts, maps, descriptors";

    public override int MaximumLength => 16 * 1024;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        .. ("\n%\n|Uid:\t|Groups:\t|CapBnd:\t|NoNewPrivs:\t1\n|Seccomp:\t2\n|0000000000000000|unlimited|Max core file size        |"
            + " - tmpfs |ro,nosuid,nodev,noexec|4294967295|flags:\t|mnt_id:\t|ino:\t|net:[|anon_inode:kvm-vm|socket:[|lo:|max")
            .Split('|').Select(Encoding.UTF8.GetBytes),
    ];

    public override IEnumerable<(string, byte[])> Seeds()
    {
        yield return ("good", Text(s_good));
        yield return ("hostile", Text(s_hostile));
        for (int i = 0; i < s_good.Length; i++)
            yield return ($"one-{i}", Text([.. s_good[..i], s_hostile[i], .. s_good[(i + 1)..]]));
    }

    private static byte[] Text(string[] parts) => Encoding.UTF8.GetBytes(string.Join("\n%\n", parts));

    public override bool Run(ReadOnlySpan<byte> input)
    {
        string[] parts = Encoding.Latin1.GetString(input).Split("\n%\n");
        Array.Resize(ref parts, s_good.Length);
        var files = new HostileFiles(parts);
        if (FactReader.Read(files, files, Pid, isRoot: true, s_expectation.Groups) is not JailFacts facts)
            return false;
        IReadOnlyList<FactLine> lines = JailComparison.Of(facts, s_expectation);
        foreach (FactLine line in lines)
            Check(line, parts);
        string report = FactReport.Text(lines);
        OracleException.Check(!report.Any(c => char.IsControl(c) && c != '\n'), "the report moves a terminal");
        bool holds = lines.All(line => line.Verdict == FactVerdict.Holds);
        OracleException.Check(!parts.SequenceEqual(s_good) || holds, "a jail that stands does not hold");
        return facts.Threads.Is(out ThreadFacts[]? threads) && threads.Any(thread => thread.Status.Is(out _));
    }

    /// <summary>What holds has to be in the text, as another reader finds it.</summary>
    private static void Check(FactLine line, string?[] parts)
    {
        foreach (string field in (string[])[line.Expected, line.Found, line.Advice ?? ""])
            OracleException.Check(field.Length <= MaximumField && !field.Any(char.IsControl), "a field that is not one line");
        OracleException.Check(line.Verdict != FactVerdict.CannotBeRead || line.Advice is { Length: > 0 }, "an unknown without a reason");
        if (line.Verdict != FactVerdict.Holds)
            return;
        (int part, string needed) = line.Name switch
        {
            "capabilities" => (0, "CapBnd:"),
            "no new privileges" => (0, "NoNewPrivs:"),
            "seccomp filter" => (0, "Seccomp:"),
            "limits" => (2, "Max core file size"),
            "empty root" => (3, "tmpfs"),
            _ => (-1, ""),
        };
        OracleException.Check(part < 0 || parts[part]?.Contains(needed, StringComparison.Ordinal) == true, "what holds was not told");
        if (line.Name == "child processes")
            OracleException.Check(string.IsNullOrWhiteSpace(parts[8]), "a child that was not seen");
        if (line.Name == "environment")
            OracleException.Check(string.IsNullOrEmpty(parts[9]), "an environment that was not seen");
    }

    private static readonly JailExpectation s_expectation = new()
    {
        Supervisor = 4885,
        Wanted = JailWalls.All,
        HostNamespaces = [.. Namespaces.Names.Select(_ => "net:[1]")],
        User = 7,
        Group = 7,
        OomScore = 0,
        Groups =
        [
            new("/g", [new("memory.max", "1000", ValueRule.AtMost), new("cpu.max", "1", ValueRule.AtMost), new("pids.max", "1000", ValueRule.Exactly), new("io.max", "8:0 rbps=1000 wbps=1000", ValueRule.Disk)]),
        ],
        Descriptors = [new("nothing", 24, 3, null, false, true)],
        HasNetwork = false,
        HasKeyring = true,
        HasDenyWriteExecute = true,
        Reported = StartOrders.All,
        Filters = 2,
    };

    private sealed class HostileFiles(string?[] parts) : IProcessFiles, ICgroupFiles
    {
        private string? LinkLine(int line) => parts[6]?.Split('\n').ElementAtOrDefault(line);

        Reading<string> IProcessFiles.Read(string path) => Of(path switch
        {
            _ when path.EndsWith("/status", StringComparison.Ordinal) => parts[0],
            _ when path.EndsWith("stat", StringComparison.Ordinal) => parts[1],
            "limits" => parts[2],
            "mountinfo" => parts[3],
            "uid_map" or "gid_map" => parts[4],
            _ when path.StartsWith("fdinfo/", StringComparison.Ordinal) => parts[5],
            "net/dev" => parts[7],
            _ when path.EndsWith("/children", StringComparison.Ordinal) => parts[8],
            "environ" => parts[9] ?? "",
            _ => "0",
        });

        public Reading<string> Link(string path) => Of(path switch
        {
            "root" or "cwd" => LinkLine(2),
            _ when path.StartsWith("fd/", StringComparison.Ordinal) => LinkLine(1),
            _ => LinkLine(0),
        });

        public Reading<string[]> Names(string folder) => Reading<string[]>.Of(folder == "task" ? ["4888"] : ["0"]);

        public Reading<uint> Owner(string path) => Reading<uint>.Of(0);

        private static Reading<string> Of(string? text) =>
            text is null ? Reading<string>.Refused(ENOENT) : Reading<string>.Of(text);

        string? ICgroupFiles.Read(string path) => Path.GetFileName(path) switch
        {
            "cgroup.procs" => "4888\n",
            "cpu.max" => "1",
            "io.max" => $"8:0 rbps={parts[10]} wbps={parts[10]}",
            _ => parts[10],
        };

        public int Write(string path, string text) => -EACCES;

        public int Open(string path, int flags, out Host.FileDescriptor? file)
        {
            file = null;
            return -EACCES;
        }

        public int MakeFolder(string path) => -EACCES;

        public int RemoveFolder(string path) => -EACCES;

        public IEnumerable<string> Folders(string path) => [];

        public long FileSystem(string path) => 0;

        public bool IsProcess(int pid) => false;

        public void Signal(int pid, string group, int signal)
        {
        }
    }
}
