using System.Buffers.Binary;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.LifeCycle;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// A sandbox's folder, as the commands read it that any user of its may have written: its record, or after "ring\n" the
/// file that holds a stream's last bytes.
/// </summary>
sealed class StateTarget : FuzzTarget, IDisposable
{
    static readonly byte[] s_ring = "ring\n"u8.ToArray();

    readonly FileDescriptor _file = FileDescriptor.CreateMemory("ring", 0);

    public override string Name => "state";

    public override string Summary => "records of sandboxes and their kept output, as ps, inspect, logs and gc read them";

    public override int MaximumLength => 16 << 10;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        .. ("sandbox state 1\n|id 0123456789ab\n|name web\n|argument x\n|command-cut\n|walls 32767\n|missing 0\n|reason x\n|"
            + "required seccomp\n|group 1 3 /sys/fs/cgroup/memory/sandbox-1-2-3\n|group 2 8 /|/../|descriptor mount\n|kept\n|detached\n|"
            + "paused\n|ended 1 2 3\n|peak 9223372036854775807\n|because \\001b\n|end of record\n|\\005c|\\d800").Split('|')
            .Select(Encoding.UTF8.GetBytes),
    ];

    public override IEnumerable<(string, byte[])> Seeds()
    {
        yield return ("record", RecordText.Write(Record));
        yield return ("ended", RecordText.Write(Record with
        {
            Name = "web", IsCommandCut = true, IsKept = true, IsDetached = true, IsPaused = true,
            Command = ["sh", "-c", "echo \x1b[31m\n\\\ud83d\ude00"], Required = [Wall.Seccomp, Wall.Cgroup],
            Jail = new BuiltJail(JailWalls.Landlock, JailWalls.Seccomp, "no filters"),
            End = new RecordedEnd(137, "the guest was ended", 1_764_000_000_001, 4096, 5),
        }));
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
        input.StartsWith(s_ring) ? ReadRing(input[s_ring.Length..]) : ReadRecord(input);

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
            foreach (string text in (string[])[PsTool.Table([listed], 0), InspectTool.Text(listed, record, null, default)])
                OracleException.Check(!text.Any(c => char.IsControl(c) && c != '\n'), "what is shown moves a terminal");
            PsTool.Json([listed]);
            InspectTool.Json(listed, record, null, default);
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
