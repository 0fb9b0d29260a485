using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Metrics;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// A sandbox's folder, as the commands read it that any user of its may have written: its record, or after "ring\n" the
/// file that holds a stream's last bytes, or after "counts\n" what its VMM has counted.
/// </summary>
sealed class StateTarget : FuzzTarget, IDisposable
{
    static readonly byte[] s_ring = "ring\n"u8.ToArray();

    static readonly byte[] s_counts = "counts\n"u8.ToArray();

    /// <summary>One number of a record of counts: its place (2) and what is there (8).</summary>
    const int ChangeBytes = sizeof(ushort) + sizeof(ulong);

    readonly FileDescriptor _file = FileDescriptor.CreateMemory("ring", 0);

    public override string Name => "state";

    public override string Summary => "records of sandboxes, their counts and their kept output, as ps, inspect, logs and gc read them";

    public override int MaximumLength => 16 << 10;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        .. ("sandbox state 1\n|id 0123456789ab\n|name web\n|argument x\n|command-cut\n|walls 32767\n|missing 0\n|reason x\n|"
            + "required seccomp\n|group 1 3 /sys/fs/cgroup/memory/sandbox-1-2-3\n|group 2 8 /|/../|descriptor mount\n|socket 5 /run/vsock\n|kept\n|detached\n|"
            + "paused\n|ended 1 2 3\n|peak 9223372036854775807\n|because \\001b\n|end of record\n|\\005c|\\d800").Split('|')
            .Select(Encoding.UTF8.GetBytes),
    ];

    public override IEnumerable<(string, byte[])> Seeds()
    {
        yield return ("record", RecordText.Write(Record));
        yield return ("ended", RecordText.Write(Record with
        {
            Name = "web", IsCommandCut = true, IsKept = true, IsDetached = true, IsPaused = true,
            Socket = new RecordedSocket(5, "/run/vsock"),
            Command = ["sh", "-c", "echo \x1b[31m\n\\\ud83d\ude00"], Required = [Wall.Seccomp, Wall.Cgroup],
            Jail = new BuiltJail(JailWalls.Landlock, JailWalls.Seccomp, "no filters"),
            End = new RecordedEnd(137, "the guest was ended", 1_764_000_000_001, 4096, 5),
        }));
        yield return ("counts", Counts(Process));
        yield return ("counts-devices", Counts(Machine));
        yield return ("counts-balloon", Counts(Ballooned));
        yield return ("ring", Ring(5, 0, "hello"u8));
        yield return ("ring-lost", Ring(LogRing.Capacity + 3, 7, "hello"u8));
        yield return ("ring-endless", Ring(ulong.MaxValue, ulong.MaxValue, "hello"u8));
    }

    static SandboxRecord Record { get; } = new()
    {
        Id = new SandboxId(0x0123456789ab),
        StartedAt = 1_764_000_000_000,
        Command = ["true"],
        Policy = "builtin:default.yaml",
        Supervisor = 100,
        Vmm = 101,
        Jail = new BuiltJail(JailWalls.All, JailWalls.None, null),
        Required = [],
        VmmUser = 1000,
        Groups = [new RecordedGroup(true, Controllers.Limits, "/sys/fs/cgroup/sandbox-1-2-3")],
        GroupLimits = new GroupLimits(1 << 30, 1, 100, 320),
        Limits = new GuestLimits
        {
            MemoryBytes = 1 << 30, Cpus = 2, WallMilliseconds = 3_600_000, CpuMilliseconds = 0, Processes = 256,
            OutputBytes = 0, TmpBytes = 1 << 29, OpenFiles = 1024,
        },
        Descriptors = ["system-folder", "stream"],
    };

    static byte[] Ring(ulong written, ulong lost, ReadOnlySpan<byte> content)
    {
        byte[] head = new byte[LogRing.HeadBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(head, written);
        BinaryPrimitives.WriteUInt64LittleEndian(head.AsSpan(sizeof(ulong)), lost);
        return [.. s_ring, .. head, .. content];
    }

    public override bool Run(ReadOnlySpan<byte> input) =>
        input.StartsWith(s_ring) ? ReadRing(input[s_ring.Length..])
        : input.StartsWith(s_counts) ? ReadCounts(input[s_counts.Length..])
        : ReadRecord(input);

    static GuestRecord Process
    {
        get
        {
            GuestRecord record = new() { WallNanoseconds = 5, OutputBytes = 7 };
            record.Calls[0] = 2;
            record.Exits[0] = 2;
            record.ExitTimes[0] = new LatencyRecord
            {
                Count = 2, MinimumNanoseconds = 1, MaximumNanoseconds = 2, SumNanoseconds = 3,
            };
            return record;
        }
    }

    static GuestRecord Machine
    {
        get
        {
            GuestRecord record = new() { Vcpus = 1, DeviceCount = 1 };
            record.MachineExitTimes[6] = new LatencyRecord { Count = 1 };
            record.Devices[0].Kind = VirtioKind.Net;
            record.Devices[0].QueueCount = 3;
            record.Devices[0].Counters[4] = 1500;
            record.Devices[0].QueueFaults[0] = 1;
            return record;
        }
    }

    static GuestRecord Ballooned
    {
        get
        {
            GuestRecord record = new() { Vcpus = 1, DeviceCount = 1 };
            record.Devices[0].Kind = VirtioKind.Balloon;
            record.Balloon = new BalloonRecord { TargetBytes = 64 << 20, ActualBytes = 4096, Reports = 1 };
            record.Balloon.Statistics[4] = 1 << 20;
            return record;
        }
    }

    static byte[] Counts(GuestRecord record)
    {
        List<byte> input = [.. s_counts];
        ReadOnlySpan<ulong> numbers = MemoryMarshal.Cast<GuestRecord, ulong>(new ReadOnlySpan<GuestRecord>(in record));
        for (int i = 0; i < numbers.Length; i++)
        {
            if (numbers[i] == 0)
                continue;
            input.AddRange(BitConverter.GetBytes((ushort)i));
            input.AddRange(BitConverter.GetBytes(numbers[i]));
        }

        return [.. input];
    }

    /// <summary>The input changes an empty record; most of one is zeroes.</summary>
    static bool ReadCounts(ReadOnlySpan<byte> changes)
    {
        GuestRecord record = new() { Version = GuestRecord.CurrentVersion };
        Span<ulong> numbers = MemoryMarshal.Cast<GuestRecord, ulong>(new Span<GuestRecord>(ref record));
        for (; changes.Length >= ChangeBytes; changes = changes[ChangeBytes..])
            numbers[BinaryPrimitives.ReadUInt16LittleEndian(changes) % numbers.Length] =
                BinaryPrimitives.ReadUInt64LittleEndian(changes[sizeof(ushort)..]);
        byte[] bytes = GuestRecordFile.Bytes(record);
        if (GuestRecordFile.Parse(bytes) is not GuestRecord counted)
            return false;
        OracleException.Check(GuestRecordFile.Bytes(counted).AsSpan().SequenceEqual(bytes), "another record is read");
        foreach (bool isAlive in (bool[])[true, false])
        {
            string text = new SandboxMetrics(new ListedSandbox(Record.Id, isAlive, Record), default, default, counted, 0).Write();
            OracleException.Check(text.EndsWith("\n# EOF\n", StringComparison.Ordinal), "metrics without an end");
            OracleException.Check(text.Length < 1 << 20, "metrics without a bound");
            HashSet<string> seen = [];
            foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                OracleException.Check(seen.Add(line[..(line.StartsWith('#') ? line.Length : line.LastIndexOf(' '))]), "a metric twice");
                OracleException.Check(!line.Any(char.IsControl), "what is shown moves a terminal");
            }
        }

        new ResultRecord(0, null, new Outcome.Killed(), counted, 0, null, []).Write();
        string inspected = InspectTool.Text(
            new ListedSandbox(Record.Id, true, Record), Record, null, default, null, "", BalloonReport.Of(counted));
        OracleException.Check(!inspected.Any(c => char.IsControl(c) && c != '\n'), "what is shown moves a terminal");
        return true;
    }

    static bool ReadRecord(ReadOnlySpan<byte> input)
    {
        if (RecordText.Parse(input) is not SandboxRecord record)
            return false;
        OracleException.Check(input.SequenceEqual(RecordText.Write(record)), "a record has two forms");
        foreach (RecordedGroup group in record.Groups)
        {
            OracleException.Check(!group.Folder.Split('/').Contains(".."), "a group's folder leads upwards");
            OracleException.Check(group.Open(HostCgroupFiles.Instance).Folder == group.Folder, "another group is opened");
        }

        foreach (bool isAlive in (bool[])[true, false])
        {
            var listed = new ListedSandbox(record.Id, isAlive, record);
            foreach (string text in (string[])[PsTool.Table([listed], 0), InspectTool.Text(listed, record, null, default, null, "", null)])
                OracleException.Check(!text.Any(c => char.IsControl(c) && c != '\n'), "what is shown moves a terminal");
            PsTool.Json([listed]);
            InspectTool.Json(listed, record, null, default, null, null);
        }

        return true;
    }

    bool ReadRing(ReadOnlySpan<byte> content)
    {
        Libc.ftruncate(_file.Value, 0);
        _file.WriteAt(content, 0);
        using var reader = new LogReader(_file.Duplicate());
        Span<byte> buffer = stackalloc byte[4096];
        int all = 0, count;
        while ((count = reader.Read(buffer)) > 0)
            all += count;
        OracleException.Check(all <= Math.Max(content.Length - LogRing.HeadBytes, 0), "more is read than there is");
        reader.TakeLost();
        return content.Length >= LogRing.HeadBytes;
    }

    public void Dispose() => _file.Dispose();
}
