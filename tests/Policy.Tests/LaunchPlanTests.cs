using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>The rules on what a plan may hold; how it is written is for <see cref="PlanFormatTests"/>.</summary>
public class LaunchPlanTests
{
    static CompiledPolicy Rules { get; } = MemoryFiles.Fragment(
        "files: {show: [{path: /d}], rules: [{deny: read, path: /d/*.x}]}\nsyscalls: [{allow: open, when: {argument: 1, as: int, is: ==, value: 1}}]\n");

    internal static LaunchPlan Plan { get; } = new()
    {
        Version = LaunchPlan.CurrentVersion,
        Arguments = ["sh", "-c", "echo \"ä\u0001\ud83d\ude00\""],
        Environment = ["PATH=/bin", "EMPTY="],
        WorkingDirectory = "/home/sandbox",
        Hostname = "sandbox",
        User = new GuestUser { Name = "sandbox", Uid = 1000, Gid = uint.MaxValue - 1, Home = "/home/sandbox" },
        Limits = new GuestLimits
        {
            MemoryBytes = 252UL << 30,
            Cpus = 2,
            WallMilliseconds = long.MaxValue,
            CpuMilliseconds = 0,
            Processes = 256,
            OutputBytes = 0,
            TmpBytes = 1 << 20,
            OpenFiles = 1024,
        },
        Files =
        [
            new GuestFile { Kind = GuestFileKind.Host, Path = "/usr", Descriptor = 0 },
            new GuestFile { Kind = GuestFileKind.Text, Path = "/etc/passwd", Content = "root:x:0:0\n", Mode = 0x1a4 },
            new GuestFile { Kind = GuestFileKind.Temporary, Path = "/tmp", Writable = true, Mode = 0x3ff },
        ],
        PathRules = Rules.Paths.Tables,
        SystemCallRules = Rules.SystemCallTables,
        Streams = new GuestStreams { Stdin = 1, Stdout = 2, Stderr = 3, Terminal = false, Result = -1, Trace = -1 },
        Network = new GuestNetwork { Broker = 4, NameServer = true },
        Audit = new AuditPlan { Descriptor = 4, All = true, WhenFull = WhenFull.Drop },
        Handoff = true,
        StartedAtNanoseconds = 123,
    };

    static LaunchPlan Read(LaunchPlan plan) => LaunchPlan.Deserialize(plan.Serialize());

    static void Refuses(LaunchPlan plan, string reason)
    {
        var refusal = Assert.Throws<PlanException>(() => Read(plan));
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ReadsPlansWithoutRules()
    {
        LaunchPlan plan = Read(Plan with { PathRules = null, SystemCallRules = null });
        Assert.Null(plan.PathRules);
        Assert.Null(plan.SystemCallRules);
    }

    public static TheoryData<string, PathTables> BadPathTables
    {
        get
        {
            PathTables good = Rules.Paths.Tables;
            return new()
            {
                { "start", good with { Start = Far } },
                { "start", good with { Start = -1 } },
                { "states", good with { Rows = [] } },
                { "states", good with { Tails = [] } },
                { "states", good with { Shown = [] } },
                { "states", good with { ShownExactly = [] } },
                { "states", good with { Decisions = good.Decisions[1..] } },
                { "wildcards", good with { ColumnCount = Far } },
                { "columns", good with { ColumnCount = 0 } },
                { "columns", good with { Columns = good.Columns[1..] } },
                { "column", good with { Columns = [byte.MaxValue, .. good.Columns[1..]] } },
                { "base", good with { Bases = Outside(good.Bases, 0) } },
                { "row", good with { Rows = Outside(good.Rows, 0) } },
                { "row", good with { Tails = Outside(good.Tails, 0) } },
                { "shown", good with { Shown = Outside(good.Shown, 0) } },
                { "shown", good with { ShownExactly = Outside(good.ShownExactly, 0) } },
                { "rule", good with { Decisions = [-2, .. good.Decisions[1..]] } },
                { "edges", good with { Edges = Outside(good.Edges, 0) } },
                { "edges", good with { Edges = Outside(good.Edges, 2) } },
                { "edges", good with { Edges = [] } },
                { "names", good with { Names = [.. good.Names.Select(_ => Far)] } },
                { "names", good with { NameBytes = [] } },
                { "class", good with { Classes = Outside(good.Classes, 0) } },
                { "wildcard step", good with { WildcardSteps = Outside(good.WildcardSteps, 0) } },
                { "wildcards", good with { WildcardSteps = good.WildcardSteps[1..] } },
                { "wildcard symbol", good with { WildcardSymbols = Outside(good.WildcardSymbols, 0) } },
            };
        }
    }

    const int Far = 1_000_000;

    static int[] Outside(int[] table, int index)
    {
        int[] changed = [.. table];
        changed[index] = Far;
        return changed;
    }

    [Theory, MemberData(nameof(BadPathTables), DisableDiscoveryEnumeration = true)]
    public void RefusesPathTablesThatLeadOutside(string reason, PathTables tables) =>
        Refuses(Plan with { PathRules = tables }, "path rules: " + reason);

    public static TheoryData<string, SystemCallTables> BadSystemCallTables
    {
        get
        {
            SystemCallTables good = Rules.SystemCallTables;
            return new()
            {
                { "numbers", good with { Offsets = Outside(good.Offsets, 1) } },
                { "numbers", good with { Offsets = good.Offsets[1..] } },
                { "answers", good with { Answers = Outside(good.Answers, 0) } },
                { "answers", good with { Answers = [] } },
                { "condition offsets", good with { ConditionOffsets = Outside(good.ConditionOffsets, 0) } },
                { "condition", good with { Conditions = [Far, .. good.Conditions[1..]] } },
                { "condition", good with { Conditions = [.. good.Conditions[..2], Far, .. good.Conditions[3..]] } },
                { "conditions", good with { Conditions = good.Conditions[1..] } },
            };
        }
    }

    [Theory, MemberData(nameof(BadSystemCallTables), DisableDiscoveryEnumeration = true)]
    public void RefusesCallTablesThatLeadOutside(string reason, SystemCallTables tables) =>
        Refuses(Plan with { SystemCallRules = tables }, "system call rules: " + reason);

    static GuestFile Host { get; } = new() { Kind = GuestFileKind.Host, Path = "/x", Descriptor = 0 };
    static GuestFile Text { get; } = new() { Kind = GuestFileKind.Text, Path = "/x", Content = "c" };
    static GuestFile Symlink { get; } = new() { Kind = GuestFileKind.Symlink, Path = "/x", Content = "y" };
    static GuestFile Directory { get; } = new() { Kind = GuestFileKind.Directory, Path = "/x" };
    static GuestFile Temporary { get; } = new() { Kind = GuestFileKind.Temporary, Path = "/x" };

    public static TheoryData<GuestFile> GoodFiles => new()
    {
        Host,
        Host with { Writable = true, Descriptor = 251 },
        Host with { Writable = true, Bytes = 4096 },
        Text with { Content = "", Mode = 0xfff },
        Text with { Content = "a\0b" },
        Symlink with { Content = new string('y', 4095) },
        Directory with { Path = "/" + new string('n', 255) },
        Temporary with { Writable = true, Bytes = 4096 },
    };

    [Theory, MemberData(nameof(GoodFiles), DisableDiscoveryEnumeration = true)]
    public void ReadsFilesThatAre(GuestFile file) => Assert.Equal(file, Read(Plan with { Files = [file] }).Files[0]);

    public static TheoryData<string, GuestFile> BadFiles => new()
    {
        { "file descriptor", Host with { Descriptor = 252 } },
        { "file descriptor", Host with { Descriptor = -1 } },
        { "file descriptor", Host with { Descriptor = -2 } },
        { "file descriptor", Text with { Descriptor = 0 } },
        { "file descriptor", Directory with { Descriptor = -2 } },
        { "path", Host with { Path = "x" } },
        { "the root", Host with { Path = "/" } },
        { "path", Host with { Path = "/x/" } },
        { "path", Host with { Path = "/x//y" } },
        { "path", Host with { Path = "/x/../y" } },
        { "path", Host with { Path = "/x/." } },
        { "NUL", Host with { Path = "/x\0" } },
        { "path", Host with { Path = "" } },
        { "file content", Host with { Content = "c" } },
        { "file content", Temporary with { Content = "" } },
        { "file content", Text with { Content = null } },
        { "file content", Symlink with { Content = null } },
        { "symlink length", Symlink with { Content = "" } },
        { "symlink length", Symlink with { Content = new string('y', 4096) } },
        { "NUL", Symlink with { Content = "a\0b" } },
        { "file mode", Text with { Mode = 0x1000 } },
        { "file mode", Directory with { Mode = uint.MaxValue } },
        { "size of a folder", Text with { Bytes = 4096 } },
        { "size of a folder", Temporary with { Bytes = 4095 } },
        { "size of a folder", Host with { Bytes = 4096 } },
        { "size of a folder", Host with { Writable = true, Bytes = 4095 } },
        { "size of a folder", Host with { Writable = true, Bytes = ulong.MaxValue } },
        { "writable", Text with { Writable = true } },
        { "writable", Symlink with { Writable = true } },
        { "writable", Directory with { Writable = true } },
    };

    [Theory, MemberData(nameof(BadFiles), DisableDiscoveryEnumeration = true)]
    public void RefusesFilesThatAreNot(string reason, GuestFile file) => Refuses(Plan with { Files = [file] }, reason);

    [Fact]
    public void RefusesFoldersAfterWhatTheyHoldAndPathsTwice()
    {
        GuestFile inner = new() { Kind = GuestFileKind.Directory, Path = "/a/b/c" };
        GuestFile outer = new() { Kind = GuestFileKind.Directory, Path = "/a" };
        Read(Plan with { Files = [outer, inner] });
        Refuses(Plan with { Files = [inner, outer] }, "a folder after");
        Refuses(Plan with { Files = [outer, inner, outer] }, "two files");
        Refuses(Plan with { Files = [outer, outer] }, "two files");
    }

    public static TheoryData<string, GuestLimits> BadLimits => new()
    {
        { "memory limit", Plan.Limits with { MemoryBytes = 0, TmpBytes = 0 } },
        { "memory limit", Plan.Limits with { MemoryBytes = (1UL << 20) - 1, TmpBytes = 0 } },
        { "memory limit", Plan.Limits with { MemoryBytes = (252UL << 30) + 1 } },
        { "cpus", Plan.Limits with { Cpus = 0 } },
        { "cpus", Plan.Limits with { Cpus = 257 } },
        { "wall-clock limit", Plan.Limits with { WallMilliseconds = -1 } },
        { "cpu-time limit", Plan.Limits with { CpuMilliseconds = -1 } },
        { "processes", Plan.Limits with { Processes = 0 } },
        { "processes", Plan.Limits with { Processes = 4097 } },
        { "output limit", Plan.Limits with { OutputBytes = -1 } },
        { "more in-memory files", Plan.Limits with { MemoryBytes = 1 << 20, TmpBytes = (1 << 20) + 4096 } },
        { "open files", Plan.Limits with { OpenFiles = 2 } },
        { "open files", Plan.Limits with { OpenFiles = (1 << 20) + 1 } },
    };

    [Theory, MemberData(nameof(BadLimits), DisableDiscoveryEnumeration = true)]
    public void RefusesLimitsOutOfRange(string reason, GuestLimits limits) =>
        Refuses(Plan with { Limits = limits }, reason);

    public static TheoryData<string, LaunchPlan> BadTexts => new()
    {
        { "no program", Plan with { Arguments = [] } },
        { "name is empty", Plan with { Arguments = [""] } },
        { "argument holds a NUL", Plan with { Arguments = ["a", "b\0c"] } },
        { "NAME=value", Plan with { Environment = ["=x"] } },
        { "NAME=value", Plan with { Environment = ["x"] } },
        { "variable holds a NUL", Plan with { Environment = ["A=\0"] } },
        { "working directory", Plan with { WorkingDirectory = "tmp" } },
        { "working directory", Plan with { WorkingDirectory = "/" + new string('n', 256) } },
        { "working directory", Plan with { WorkingDirectory = "/" + new string('\u00e4', 128) } },
        { "working directory", Plan with { WorkingDirectory = string.Concat(Enumerable.Repeat("/\u00e4\u00e4", 900)) } },
        { "host name", Plan with { Hostname = "" } },
        { "host name", Plan with { Hostname = new string('h', 65) } },
        { "host name", Plan with { Hostname = "h\u00f4te" } },
        { "host name", Plan with { Hostname = "h\0" } },
        { "name is empty", Plan with { User = Plan.User with { Name = "" } } },
        { "user name holds a NUL", Plan with { User = Plan.User with { Name = "u\0" } } },
        { "home", Plan with { User = Plan.User with { Home = "home" } } },
        { "number -1", Plan with { User = Plan.User with { Uid = uint.MaxValue } } },
        { "number -1", Plan with { User = Plan.User with { Gid = uint.MaxValue } } },
    };

    [Theory, MemberData(nameof(BadTexts), DisableDiscoveryEnumeration = true)]
    public void RefusesTextThatNoProgramCouldReceive(string reason, LaunchPlan plan) => Refuses(plan, reason);

    [Theory]
    [InlineData(-1)]
    [InlineData(252)]
    public void RefusesABrokerThatIsNoDescriptor(int broker) =>
        Refuses(Plan with { Network = Plan.Network! with { Broker = broker } }, "network descriptor");

    [Theory]
    [InlineData(-1)]
    [InlineData(252)]
    public void RefusesToRecordWhereNobodyReads(int descriptor) =>
        Refuses(Plan with { Audit = Plan.Audit! with { Descriptor = descriptor } }, "audit");

    public static TheoryData<string, GuestStreams> BadStreams => new()
    {
        { "stream descriptor", Plan.Streams with { Stdin = -2 } },
        { "stream descriptor", Plan.Streams with { Stdout = 252 } },
        { "stream descriptor", Plan.Streams with { Stderr = int.MaxValue } },
        { "stream descriptor", Plan.Streams with { Result = int.MinValue } },
        { "stream descriptor", Plan.Streams with { Trace = 252 } },
        { "a terminal without", Plan.Streams with { Stdin = -1, Terminal = true } },
        { "a terminal without", Plan.Streams with { Stdout = -1, Terminal = true } },
    };

    [Theory, MemberData(nameof(BadStreams), DisableDiscoveryEnumeration = true)]
    public void RefusesStreamsThatAreNoDescriptors(string reason, GuestStreams streams) =>
        Refuses(Plan with { Streams = streams }, reason);

    static GuestTap Tap { get; } = new()
    {
        Descriptors = [8], Mac = [2, 0, 0, 0, 0, 1], Address = [10, 0, 0, 2], BytesPerSecond = 1000, OperationsPerSecond = 2000,
    };

    static LaunchPlan Machine { get; } = Plan with
    {
        Files = [], Network = null, Audit = null,
        Machine = new GuestMachine
        {
            Kernel = 4, Initrd = 5, CommandLine = "console=ttyS0 ~", Agent = true, 
            Random = new GuestRandom { BytesPerSecond = 1000 }, Balloon = true, Vsock = 8, VirtioConsole = false,
            Disks =
            [
                new GuestDisk { Descriptor = 6, Writable = true, BytesPerSecond = 5, OperationsPerSecond = 6 },
                new GuestDisk { Descriptor = 7, Writable = false, BytesPerSecond = 0 },
            ],
            Taps = [Tap, Tap with { Descriptors = [9, 10], Mac = [2, 0, 0, 0, 0, 2], Address = new byte[16] }],
        },
    };

    [Fact]
    public void ReadsPlansOfMachineGuests()
    {
        GuestMachine machine = Read(Machine).Machine!;
        Assert.Equal((4, 5, "console=ttyS0 ~", true), (machine.Kernel, machine.Initrd, machine.CommandLine, machine.Agent));
        Assert.Equal(
            [(6, true, 5), (7, false, 0)], machine.Disks.Select(disk => (disk.Descriptor, disk.Writable, disk.BytesPerSecond)));
        Assert.Equal((new GuestRandom { BytesPerSecond = 1000 }, true), (machine.Random, machine.Balloon));
        Assert.Equal(8, machine.Vsock);
        Assert.Null(Read(Machine with { Machine = machine with { Random = null } }).Machine!.Random);
        Assert.Equal((2, 8, 1000ul), (machine.Taps.Length, machine.Taps[0].Descriptors[0], machine.Taps[0].BytesPerSecond));
        Assert.Equal([9, 10], machine.Taps[1].Descriptors);
        Assert.Equal((2000ul, 6ul), (machine.Taps[0].OperationsPerSecond, machine.Disks[0].OperationsPerSecond));
        Assert.Equal(Tap.Mac, machine.Taps[0].Mac);
        Assert.Equal(Tap.Address, machine.Taps[0].Address);
    }

    public static TheoryData<string, LaunchPlan> BadMachines
    {
        get
        {
            GuestMachine good = Machine.Machine!;
            return new()
            {
                { "kernel descriptor", Machine with { Machine = good with { Kernel = -1 } } },
                { "kernel descriptor", Machine with { Machine = good with { Kernel = 252 } } },
                { "kernel descriptor", Machine with { Machine = good with { Initrd = -2 } } },
                { "kernel command line", Machine with { Machine = good with { CommandLine = "a\nb" } } },
                { "kernel command line", Machine with { Machine = good with { CommandLine = "\u00e4" } } },
                { "kernel command line", Machine with { Machine = good with { CommandLine = new string('x', 2048) } } },
                { "disk descriptor", Machine with { Machine = good with { Disks = [good.Disks[0] with { Descriptor = -1 }] } } },
                { "vsock descriptor", Machine with { Machine = good with { Vsock = -2 } } },
                { "disks", Machine with { Machine = good with { Disks = [.. Enumerable.Repeat(good.Disks[0], 9)] } } },
                { "a virtio console beside an agent", Machine with { Machine = good with { VirtioConsole = true } } },
                { "tap descriptor", Machine with { Machine = good with { Taps = [Tap with { Descriptors = [252] }] } } },
                { "tap descriptor", Machine with { Machine = good with { Taps = [Tap with { Descriptors = [8, -1] }] } } },
                { "queues of a tap", Machine with { Machine = good with { Taps = [Tap with { Descriptors = [] }] } } },
                { "queues of a tap", Machine with { Machine = good with { Taps = [Tap with { Descriptors = new int[9] }] } } },
                { "taps", Machine with { Machine = good with { Taps = [.. Enumerable.Repeat(Tap, 5)] } } },
                { "MAC address of two", Machine with { Machine = good with { Taps = [Tap, Tap] } } },
                { "MAC address", Machine with { Machine = good with { Taps = [Tap with { Mac = [2, 0, 0, 0, 0] }] } } },
                { "MAC address", Machine with { Machine = good with { Taps = [Tap with { Mac = [3, 0, 0, 0, 0, 1] }] } } },
                { "MAC address", Machine with { Machine = good with { Taps = [Tap with { Mac = new byte[6] }] } } },
                { "address of a tap", Machine with { Machine = good with { Taps = [Tap with { Address = [10, 0, 0] }] } } },
                { "without an initrd", Machine with { Machine = good with { Initrd = -1 } } },
                { "cpus of a machine", Machine with { Limits = Machine.Limits with { Cpus = 17 } } },
                { "memory of a machine", Machine with { Limits = Machine.Limits with { MemoryBytes = 15 << 20 } } },
                { "memory of a machine", Machine with { Limits = Machine.Limits with { MemoryBytes = (64 << 20) + 1 } } },
                { "only process guests", Machine with { Files = Plan.Files } },
                { "only process guests", Machine with { Network = Plan.Network } },
                { "only process guests", Machine with { Audit = Plan.Audit } },
                { "without an agent", Machine with
                    { Machine = good with { Agent = false }, Streams = Plan.Streams with { Terminal = true } } },
                { "only process guests", Machine with { Streams = Plan.Streams with { Trace = 3 } } },
            };
        }
    }

    [Theory, MemberData(nameof(BadMachines), DisableDiscoveryEnumeration = true)]
    public void RefusesMachinesThatCannotBe(string reason, LaunchPlan plan) => Refuses(plan, reason);
}
