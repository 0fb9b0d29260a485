using System.Text.Json;
using System.Text.Json.Serialization;

namespace Sandbox.Policy.Contract;

/// <summary>
/// Everything one guest may do and be given, as plain data. The supervisor fills it (from a policy and
/// flags) and the VMM obeys it; nothing that is not in the plan exists for the guest.
/// </summary>
public sealed record LaunchPlan
{
    /// <summary>Raised whenever a member changes meaning; a VMM refuses a plan of another version.</summary>
    public const int CurrentVersion = 1;

    public required int Version { get; init; }

    /// <summary>The program and its arguments. The first is looked up in the guest's PATH when it has no slash.</summary>
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
    [JsonRequired]
    public PathTables? PathRules { get; init; }

    /// <summary>Which system calls are served; null for all.</summary>
    [JsonRequired]
    public SystemCallTables? SystemCallRules { get; init; }

    public required GuestStreams Streams { get; init; }

    /// <summary>Answer system calls over shared memory while a spare CPU allows it.</summary>
    public required bool Handoff { get; init; }

    /// <summary>CLOCK_MONOTONIC nanoseconds at which the command line began; start-up phases count from here.</summary>
    public required long StartedAtNanoseconds { get; init; }

    public byte[] Serialize() => JsonSerializer.SerializeToUtf8Bytes(this, LaunchPlanJson.Default.LaunchPlan);

    /// <summary>
    /// Reads a plan; throws <see cref="JsonException"/> on anything unknown, duplicate, missing, null or out of its
    /// documented range.
    /// </summary>
    public static LaunchPlan Deserialize(ReadOnlySpan<byte> utf8)
    {
        LaunchPlan plan = JsonSerializer.Deserialize(utf8, LaunchPlanJson.Default.LaunchPlan)
            ?? throw new JsonException("the launch plan is null");
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

[JsonConverter(typeof(GuestFileKindConverter))]
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
    [JsonRequired]
    public int Descriptor { get; init; } = -1;

    [JsonRequired]
    public bool Writable { get; init; }

    /// <summary>The text of a <see cref="GuestFileKind.Text"/> file or the target of a symlink.</summary>
    [JsonRequired]
    public string? Content { get; init; }

    /// <summary>Permission bits of a text file or directory; 0 for the kind's default.</summary>
    [JsonRequired]
    public uint Mode { get; init; }

    /// <summary>
    /// For <see cref="GuestFileKind.Temporary"/>: bytes that it may hold, of those that all such folders share; at least
    /// a page, or 0 for no bound of its own. Else 0.
    /// </summary>
    [JsonRequired]
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

    [JsonRequired]
    public ushort Rows { get; init; }
    [JsonRequired]
    public ushort Columns { get; init; }

    /// <summary>The result record as JSON.</summary>
    public required int Result { get; init; }

    /// <summary>One line per system call.</summary>
    public required int Trace { get; init; }
}

[JsonSourceGenerationOptions(
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(LaunchPlan))]
public sealed partial class LaunchPlanJson : JsonSerializerContext;
