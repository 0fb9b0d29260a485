using System.Net;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The launch plan, as the VMM reads it. What is no plan is refused with <see cref="PlanException"/> and nothing else;
/// a plan that is accepted keeps to the rules, is written again as the bytes that it was, and builds a file tree.
/// </summary>
sealed class PlanTarget : FuzzTarget
{
    private const int MaximumPath = 4095, MaximumName = 255;

    /// <summary>The tree's content is small.</summary>
    private const ulong GuestMemoryBytes = 16 << 20;

    private readonly GuestMemory _memory = new(GuestMemoryBytes, new NoSlots());

    public override string Name => "plan";

    public override string Summary => "the launch plan's bytes, its rules, and the file tree that it describes";

    public override int MaximumLength => 16 * 1024;

    public override long AllocationLimit => 16 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        .. new[] { "", "/", "/a/b", "/..", "/proc/self", "/dev/null", "/tmp", "A=b", "\0", "\ud83d\ude00" }.Select(Text),
        .. new[] { 0, 1, -1, 2, 252, 4095, 4096, int.MaxValue, int.MinValue }.Select(BitConverter.GetBytes),
        .. new[] { 0, 1, -1, long.MaxValue, 1L << 20, 252L << 30 }.Select(BitConverter.GetBytes),
        .. Enum.GetValues<GuestFileKind>().Select(File),
        // Halves of surrogate pairs, and a slash in two bytes.
        [0xed, 0xa0, 0x80], [0xed, 0xb0, 0x80], [0xc0, 0xaf],
    ];

    private static byte[] Text(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        return [.. BitConverter.GetBytes(utf8.Length), .. utf8];
    }

    /// <summary>A whole entry: what makes two plans differ whose last files differ.</summary>
    private static byte[] File(GuestFileKind kind)
    {
        string? content = kind is GuestFileKind.Text or GuestFileKind.Symlink ? "x" : null;
        int descriptor = kind == GuestFileKind.Host ? 0 : -1;
        GuestFile file = new() { Kind = kind, Path = "/x/y", Descriptor = descriptor, Content = content };
        byte[] without = Example().Serialize(), with = Example(file).Serialize();
        int start = without.AsSpan().CommonPrefixLength(with) + sizeof(int);
        return with.AsSpan(start, with.Length - without.Length).ToArray();
    }

    public override bool Run(ReadOnlySpan<byte> input)
    {
        LaunchPlan plan;
        try
        {
            plan = LaunchPlan.Deserialize(input);
        }
        catch (PlanException)
        {
            return false;
        }
        CheckRules(plan);
        OracleException.Check(plan.Serialize().AsSpan().SequenceEqual(input), "a plan has two forms");
        BuildTree(plan);
        return true;
    }

    /// <summary>Asked in other words than the rules are written in.</summary>
    private static void CheckRules(LaunchPlan plan)
    {
        OracleException.Check(plan.Version == LaunchPlan.CurrentVersion && plan.Arguments.Length > 0,
            "a plan without a program");
        foreach (string text in plan.Arguments.Concat(plan.Environment).Append(plan.Hostname).Append(plan.User.Name))
            OracleException.Check(!text.Contains('\0'), "a NUL in a string");
        foreach (string path in plan.Files.Select(f => f.Path).Append(plan.WorkingDirectory).Append(plan.User.Home))
        {
            bool isPlain = path == "/" || (path.StartsWith('/') && path[1..].Split('/').All(name =>
                name is not ("" or "." or "..") && Encoding.UTF8.GetByteCount(name) <= MaximumName));
            OracleException.Check(isPlain && Encoding.UTF8.GetByteCount(path) <= MaximumPath && !path.Contains('\0'),
                "a path that is not plain");
        }
        OracleException.Check(plan.Files.Select(f =>
            f.Path).Distinct(StringComparer.Ordinal).Count() == plan.Files.Length, "two files at one path");
        foreach (GuestFile file in plan.Files.Where(f => f.Bytes != 0))
            OracleException.Check(
                file is { Writable: true, Kind: GuestFileKind.Host, Bytes: <= long.MaxValue } or { Kind: GuestFileKind.Temporary },
                "a bound on what the guest does not fill");
        OracleException.Check(plan.Limits.TmpBytes <= plan.Limits.MemoryBytes, "more files than memory");
        if (plan.Machine is { } machine)
            OracleException.Check(machine.Kernel >= 0 && machine.Disks.All(disk => disk.Descriptor >= 0)
                && machine.CommandLine.All(letter => letter is >= ' ' and <= '~') && plan.Files.Length == 0,
                "a machine guest of another kind");
        foreach (GuestTap tap in plan.Machine?.Taps ?? [])
            OracleException.Check(tap.Descriptors.Length is > 0 and <= 8 && tap.Descriptors.All(one => one >= 0)
                && tap.Mac.Length == 6 && (tap.Mac[0] & 1) == 0
                && tap.Mac.Any(part => part != 0) && (tap.Address.Length == 0 || new IPAddress(tap.Address) is not null),
                "an interface with addresses that are none");
        using GuestMemory memory = new(plan.Limits.MemoryBytes, new NoSlots());
        OracleException.Check(memory.CreateAddressSpace() is not null, "a guest's memory has no room for a process");
    }

    /// <summary>Without what is the host's: that is checked where it is opened.</summary>
    private void BuildTree(LaunchPlan plan)
    {
        GuestFile[] files = [.. plan.Files.Where(f => f.Kind != GuestFileKind.Host)];
        try
        {
            _ = new VirtualFileSystem(null, plan.User, files, [], _memory, Math.Min(plan.Limits.TmpBytes,
                GuestMemoryBytes));
        }
        catch (HostException refusal)
        {
            // A file below a link that leads nowhere, or the like: the operator is told which.
            OracleException.Check(refusal.Message.Length > 0, "a refusal without a reason");
        }
    }

    private static LaunchPlan Example(params GuestFile[] files) => new()
    {
        Version = LaunchPlan.CurrentVersion,
        Arguments = ["sh", "-c", "echo \"\u00e4\ud83d\ude00\""],
        Environment = ["PATH=/bin", "EMPTY="],
        WorkingDirectory = "/home/user",
        Hostname = "guest",
        User = new() { Name = "user", Uid = 1000, Gid = 1000, Home = "/home/user" },
        Limits = new()
        {
            MemoryBytes = 64 << 20, Cpus = 2, WallMilliseconds = 60_000, CpuMilliseconds = 0, Processes = 16,
                OutputBytes = 0,
            TmpBytes = 1 << 20, OpenFiles = 64,
        },
        Files = files,
        Streams = new() { Stdin = 0, Stdout = 1, Stderr = 2, Terminal = true, Rows = 24, Columns = 80, Result = -1,
            Trace = -1 },
        Handoff = true,
        StartedAtNanoseconds = 1,
    };

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("no-files", Example().Serialize());
        yield return ("tree", Example(
            new() { Kind = GuestFileKind.Directory, Path = "/opt" },
            new() { Kind = GuestFileKind.Text, Path = "/etc/hosts", Content = "127.0.0.1 localhost\n", Mode = 0x1a4 },
            new() { Kind = GuestFileKind.Symlink, Path = "/bin", Content = "usr/bin" },
            new() { Kind = GuestFileKind.Temporary, Path = "/tmp", Writable = true },
            new() { Kind = GuestFileKind.Temporary, Path = "/home/user", Writable = true, Mode = 0x1c0 },
            new() { Kind = GuestFileKind.Host, Path = "/usr", Descriptor = 3 },
            new() { Kind = GuestFileKind.Host, Path = "/out", Descriptor = 4, Writable = true, Bytes = 1 << 20 },
            new() { Kind = GuestFileKind.Text, Path = "/tmp/a/b", Content = "below a mount" },
            new() { Kind = GuestFileKind.Symlink, Path = "/opt/link", Content = "/tmp/a" },
            new() { Kind = GuestFileKind.Text, Path = "/opt/link/c", Content = "below a link" }).Serialize());
        LaunchPlan example = Example();
        yield return ("machine", (example with
        {
            Streams = example.Streams with { Terminal = false, Rows = 0, Columns = 0 },
            Machine = new()
            {
                Kernel = 3, Initrd = 4, CommandLine = "console=ttyS0", Agent = true,
                Disks = [new() { Descriptor = 5, Writable = false, BytesPerSecond = 1 << 20 }], Random = new() { BytesPerSecond = 1000 },
                Balloon = true, Vsock = 6, VirtioConsole = false,
                Taps =
                [
                    new() { Descriptors = [6], Mac = [2, 0, 0, 0, 0, 1], Address = [10, 0, 0, 2], BytesPerSecond = 1 << 20 },
                    new() { Descriptors = [7, 8], Mac = [2, 0, 0, 0, 0, 2], Address = [], BytesPerSecond = 0 },
                ],
            },
        }).Serialize());
        yield return ("machine-console", (example with
        {
            Machine = new()
            {
                Kernel = 3, Initrd = -1, CommandLine = "console=hvc0", Agent = false, Disks = [], Taps = [], Random = null,
                Balloon = false, Vsock = -1, VirtioConsole = true,
            },
        }).Serialize());
        // The least that tables hold.
        yield return ("rules", (Example() with
        {
            PathRules = PathCompiler.Compile([]), SystemCallRules = SystemCallCompiler.Compile([]),
        }).Serialize());
    }
}
