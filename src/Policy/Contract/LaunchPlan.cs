namespace Sandbox.Policy.Contract;

/// <summary>
/// Everything one guest may do and be given, as plain data. The supervisor fills it (from a policy and
/// flags) and the VMM obeys it; nothing that is not in the plan exists for the guest.
/// </summary>
/// <remarks>
/// A new member, here or in one of the records below, goes into <see cref="PlanFormat"/> twice (written and read, at
/// the same place of both lists), its bounds into <see cref="LaunchPlanRules"/>, and <see cref="CurrentVersion"/> up.
/// </remarks>
public sealed record LaunchPlan
{
    /// <summary>Raised whenever members or their meaning change; a VMM refuses a plan of another version.</summary>
    public const int CurrentVersion = 9;

    public required int Version { get; init; }

    /// <summary>
    /// The program and its arguments. The first is looked up in the guest's PATH when it has no slash.
    /// </summary>
    public required string[] Arguments { get; init; }

    /// <summary>The whole environment, as NAME=value.</summary>
    public required string[] Environment { get; init; }

    /// <summary>Absolute guest path of the first process's working directory.</summary>
    public required string WorkingDirectory { get; init; }

    public required string Hostname { get; init; }

    public required GuestUser User { get; init; }

    public required GuestLimits Limits { get; init; }

    /// <summary>What appears in the guest's file tree, shallow paths before the deeper ones they hold.</summary>
    public required GuestFile[] Files { get; init; }

    /// <summary>What may be done to which paths, beyond what the tree itself enforces; null when nothing is.</summary>
    public PathTables? PathRules { get; init; }

    /// <summary>Which system calls are served; null for all.</summary>
    public SystemCallTables? SystemCallRules { get; init; }

    public required GuestStreams Streams { get; init; }

    /// <summary>Null for a guest without any network.</summary>
    public GuestNetwork? Network { get; init; }

    /// <summary>Which decisions are recorded; null for none.</summary>
    public AuditPlan? Audit { get; init; }

    /// <summary>A guest with a kernel of its own; null for a process guest.</summary>
    public GuestMachine? Machine { get; init; }

    /// <summary>Answer system calls over shared memory while a spare CPU allows it.</summary>
    public required bool Handoff { get; init; }

    /// <summary>CLOCK_MONOTONIC nanoseconds at which the command line began; start-up phases count from here.</summary>
    public required long StartedAtNanoseconds { get; init; }

    /// <summary>The plan as <see cref="Deserialize"/> reads it.</summary>
    /// <exception cref="PlanException">A text holds half a surrogate pair.</exception>
    public byte[] Serialize() => PlanFormat.Write(this);

    /// <summary>Reads a plan and holds it to <see cref="LaunchPlanRules"/>.</summary>
    /// <exception cref="PlanException">
    /// Anything missing, cut, behind the end or not in its one form; another version; a value that breaks a rule.
    /// </exception>
    public static LaunchPlan Deserialize(ReadOnlySpan<byte> bytes)
    {
        LaunchPlan plan = PlanFormat.Read(bytes);
        LaunchPlanRules.Check(plan);
        return plan;
    }
}

/// <summary>The guest's own idea of its user; it has no meaning on the host.</summary>
public sealed record GuestUser
{
    public required string Name { get; init; }
    public required uint Uid { get; init; }
    public required uint Gid { get; init; }
    public required string Home { get; init; }
}

/// <summary>Bounds on what the guest may spend. Zero means "no limit" only where said so.</summary>
public sealed record GuestLimits
{
    /// <summary>Bytes of guest memory, page tables and in-memory files included.</summary>
    public required ulong MemoryBytes { get; init; }

    /// <summary>How many guest threads may run at the same instant; 1 to 256.</summary>
    public required int Cpus { get; init; }

    /// <summary>Wall-clock limit in milliseconds; 0 means none.</summary>
    public required long WallMilliseconds { get; init; }

    /// <summary>CPU-time limit in milliseconds over all guest threads; 0 means none.</summary>
    public required long CpuMilliseconds { get; init; }

    /// <summary>Guest threads and processes alive at once; 1 to 4096.</summary>
    public required int Processes { get; init; }

    /// <summary>Bytes the guest may write to stdout and stderr together; 0 means no limit.</summary>
    public required long OutputBytes { get; init; }

    /// <summary>Bytes in /tmp, /dev/shm and the home directory together.</summary>
    public required ulong TmpBytes { get; init; }

    /// <summary>Open descriptors per guest process.</summary>
    public required int OpenFiles { get; init; }
}

public enum GuestFileKind
{
    /// <summary>
    /// A host directory or file, served through a descriptor. A directory arrives opened with O_PATH, for openat2(2);
    /// a regular file arrives opened for reading, and for writing too when <see cref="GuestFile.Writable"/>.
    /// An entry below another host directory is shown in front of whatever that directory holds at its path.
    /// </summary>
    Host,
    /// <summary>A read-only file whose content is in the plan.</summary>
    Text,
    Symlink,
    /// <summary>An empty in-memory directory that the guest may write to.</summary>
    Temporary,
    /// <summary>An empty read-only directory that only holds other entries.</summary>
    Directory,
}

/// <summary>One entry of the guest's file tree.</summary>
public sealed record GuestFile
{
    public required GuestFileKind Kind { get; init; }

    /// <summary>Absolute and normalised: no trailing slash, no '.' or '..'.</summary>
    public required string Path { get; init; }

    /// <summary>For <see cref="GuestFileKind.Host"/>: index into the descriptors sent with the plan. Else -1.</summary>
    public int Descriptor { get; init; } = -1;

    public bool Writable { get; init; }

    /// <summary>The text of a <see cref="GuestFileKind.Text"/> file or the target of a symlink.</summary>
    public string? Content { get; init; }

    /// <summary>Permission bits of a text file or directory; 0 for the kind's default.</summary>
    public uint Mode { get; init; }

    /// <summary>
    /// For <see cref="GuestFileKind.Temporary"/>: bytes that it may hold, of those that all such folders share; at
    /// least a page, or 0 for no bound of its own. For a writable <see cref="GuestFileKind.Host"/>: bytes that the
    /// guest may add to it; at least a page, or 0 for what the host has room for. Else 0.
    /// </summary>
    public ulong Bytes { get; init; }
}

/// <summary>Where the guest's streams and the VMM's records go: indexes into the descriptors, or -1.</summary>
public sealed record GuestStreams
{
    public required int Stdin { get; init; }
    public required int Stdout { get; init; }
    public required int Stderr { get; init; }

    /// <summary>
    /// True when the guest gets a terminal of its own on all three; stdin and stdout then carry the terminal's
    /// raw bytes, and window sizes arrive over the channel.
    /// </summary>
    public required bool Terminal { get; init; }

    public ushort Rows { get; init; }
    public ushort Columns { get; init; }

    /// <summary>The result record as JSON.</summary>
    public required int Result { get; init; }

    /// <summary>One line per system call.</summary>
    public required int Trace { get; init; }
}

/// <summary>A guest that has something of the network. What, the supervisor decides, request by request.</summary>
public sealed record GuestNetwork
{
    /// <summary>Index of the descriptor that carries <see cref="NetworkRequest"/>s and their answers.</summary>
    public required int Broker { get; init; }

    /// <summary>Whether a name server of the guest's own listens at <see cref="NameServerAddress"/>, port 53.</summary>
    public required bool NameServer { get; init; }

    public const string NameServerAddress = "127.0.0.53";
}
