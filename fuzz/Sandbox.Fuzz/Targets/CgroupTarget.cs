using System.Numerics;
using System.Text;
using Sandbox.Host;
using Sandbox.Supervisor.Jail.Cgroups;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// What the kernel says of control groups, were it hostile: the input's first part is /proc/self/cgroup, the second
/// mountinfo, the third what every other file holds, the fourth names of folders; a line "%" ends a part. A group is
/// made, limited, asked and removed with that.
/// </summary>
sealed class CgroupTarget : FuzzTarget
{
    public override string Name => "cgroup";

    public override string Summary => "control group files: memberships, mounts, controllers, events, names of groups";

    public override int MaximumLength => 8 * 1024;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        .. ("0::/|4:memory:/|1:cpu,cpuacct:/|8:pids:/|\n%\n| - cgroup2 x rw|memory pids cpu|\\040|/../|oom_kill 1|max 3|"
            + "sandbox-1-2-3|/sys/fs/cgroup").Split('|').Select(Encoding.UTF8.GetBytes),
    ];

    public override IEnumerable<(string, byte[])> Seeds()
    {
        yield return ("two", "0::/a/b\n%\n\n%\nmemory pids cpu\noom_kill 3\n%\nsandbox-1-2-3\nsandbox-0-0-0\nx\n"u8.ToArray());
        yield return ("one", "9:name=systemd:/\n8:pids:/p\n4:memory,hugetlb:/\n1:cpu,cpuacct:/\n6:freezer:/\n0::/\n%\n"u8.ToArray());
        yield return ("odd", "0::/docker/x/y\n%\n30 23 0:29 /docker/x /mnt/my\\040groups rw - cgroup2 c rw\n%\nmemory\nmax 1\n"u8.ToArray());
    }

    public override bool Run(ReadOnlySpan<byte> input)
    {
        string[] parts = Encoding.Latin1.GetString(input).Split("\n%\n");
        var files = new HostileFiles(parts);
        using (GuestGroup group = GuestGroup.Create(files))
        {
            group.Limit(new GroupLimits(1 << 20, 1, 100, 10));
            GroupUsage usage = group.Usage;
            CheckNumber(files.Content, usage);
            group.Resume();
            group.LimitDisks([new DiskRate(new HostDisk(8, 0), 1 << 20)], Environment.ProcessId);
            group.RemoveAbandoned();
            foreach (string folder in group.Folders)
            {
                OracleException.Check(files.Made.Contains(folder), "a folder that was not made is used");
                OracleException.Check(!folder.Split('/').Contains(".."), "a folder leads upwards");
                OracleException.Check(
                    GroupName.Parse(folder[(folder.LastIndexOf('/') + 1)..])?.Pid == Environment.ProcessId,
                    "a group does not bear its maker's name");
            }

            foreach (int pid in CgroupText.Processes(files.Content))
                OracleException.Check(pid > 0, "a process without a number");
        }

        OracleException.Check(files.Made.Count == 0, "a folder is left");
        return Hierarchy.Find(files).Count > 0;
    }

    private static void CheckNumber(string content, GroupUsage usage)
    {
        if (usage.MemoryPeakBytes is ulong peak)
            OracleException.Check(
                BigInteger.TryParse(content.Trim(), out BigInteger value) && value == peak, "a number is read otherwise");
        if (usage.OomKills > 0)
            OracleException.Check(content.Contains("oom_kill ", StringComparison.Ordinal), "a kill that was not told");
    }

    private sealed class HostileFiles(string[] parts) : ICgroupFiles
    {
        public HashSet<string> Made { get; } = [];

        public string Content => parts.Length > 2 ? parts[2] : "";

        public string? Read(string path) => path switch
        {
            "/proc/self/cgroup" => parts[0],
            "/proc/self/mountinfo" => parts.Length > 1 ? parts[1] : null,
            _ => Content,
        };

        public int Write(string path, string text) => 0;

        public int Open(string path, int flags, out FileDescriptor? file)
        {
            file = null;
            return -ENOENT;
        }

        public int MakeFolder(string path) => Made.Add(path) ? 0 : -EEXIST;

        public int RemoveFolder(string path) => Made.Remove(path) ? 0 : -ENOENT;

        public IEnumerable<string> Folders(string path) => parts.Length > 3 ? parts[3].Split('\n') : [];

        // Either version, or neither, wherever it looks.
        public long FileSystem(string path) =>
            path.Contains("unified", StringComparison.Ordinal) ? 0
            : CgroupText.NamesOf(Controllers.Limits | Controllers.Freezer).Any(path.Contains) ? CGROUP_SUPER_MAGIC
            : CGROUP2_SUPER_MAGIC;

        public bool IsProcess(int pid) => pid == 1;

        public void Signal(int pid, string group, int signal) => OracleException.Check(pid > 0, "a process without a number");
    }
}
