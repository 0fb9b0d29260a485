using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

public enum GuestKind
{
    Process,
    Machine,
}

/// <summary>Resources that have a limit.</summary>
public enum Resource
{
    Cpus,
    /// <summary>Bytes.</summary>
    Memory,
    /// <summary>Wall-clock milliseconds.</summary>
    Time,
    /// <summary>CPU milliseconds.</summary>
    CpuTime,
    Processes,
    OpenFiles,
    /// <summary>Bytes.</summary>
    Output,
    /// <summary>Bytes.</summary>
    TmpSize,
}

public static class Resources
{
    /// <summary>No limit, or one that only the host or another limit sets: host, none, half.</summary>
    public const ulong Unlimited = ulong.MaxValue;

    /// <summary>Keys, in the enumeration's order.</summary>
    public static string[] Names { get; } =
        ["cpus", "memory", "time", "cpu-time", "processes", "open-files", "output", "tmp-size"];

    /// <summary>What stands for <see cref="Unlimited"/>; null where there must be a limit.</summary>
    public static string?[] UnlimitedWords { get; } = ["host", null, "none", "none", null, null, "none", "half"];

    public static string Format(Resource resource, ulong value) => value == Unlimited
        ? UnlimitedWords[(int)resource] ?? "unlimited"
        : resource switch
        {
            Resource.Memory or Resource.Output or Resource.TmpSize => SizeText.Format(value),
            Resource.Time or Resource.CpuTime => DurationText.Format((long)value),
            _ => $"{value}",
        };
}

/// <param name="Value">Null: the caller's own value is passed on.</param>
public sealed record EnvironmentVariable(string Name, string? Value);

public enum AuditEvents
{
    Lifecycle,
    Denials,
    Decisions,
}

public sealed record AuditSection(IReadOnlyList<AuditEvents> Record, string To, WhenFull WhenFull)
{
    public bool RecordsDecisions => Records(AuditEvents.Denials) || Records(AuditEvents.Decisions);

    public bool Records(AuditEvents events) => Record.Contains(events);

    /// <summary>Whether decisions that came to this are recorded.</summary>
    public bool Records(bool allowed) => Records(AuditEvents.Decisions) || (!allowed && Records(AuditEvents.Denials));
}

/// <summary>
/// What one file says, or several that extend one another. Lists are in the order of the files and in them.
/// </summary>
public sealed record PolicyModel
{
    /// <summary>The file itself, not what it extends.</summary>
    public required SourceText Source { get; init; }

    public string? Description { get; init; }
    public bool IsFragment { get; init; }
    public IReadOnlyList<Sourced<string>> Extends { get; init; } = [];
    public Sourced<GuestKind>? Kind { get; init; }
    public IReadOnlyList<Sourced<string>> Platforms { get; init; } = [];

    /// <summary>By <see cref="Resource"/>; null where nothing was said.</summary>
    public IReadOnlyList<Sourced<ulong>?> Limits { get; init; } = new Sourced<ulong>?[Resources.Names.Length];

    public Sourced<string>? User { get; init; }
    public Sourced<string>? Hostname { get; init; }
    public IReadOnlyList<Sourced<EnvironmentVariable>> Environment { get; init; } = [];
    public IReadOnlyList<ShownFile> Shown { get; init; } = [];
    public IReadOnlyList<PathRule> PathRules { get; init; } = [];
    public IReadOnlyList<NetworkRule> NetworkRules { get; init; } = [];
    public IReadOnlyList<SystemCallRule> SystemCallRules { get; init; } = [];
    public IReadOnlyList<DeviceRule> Devices { get; init; } = [];
    public IReadOnlyList<Sourced<Wall>> Isolation { get; init; } = [];
    public Sourced<AuditSection>? Audit { get; init; }
    public IReadOnlyList<Sourced<Freedom>> Freedoms { get; init; } = [];

    /// <summary>The freedoms are said, even if there are none: then those of what is extended no longer hold.</summary>
    public bool SaysFreedoms { get; init; }

    public IReadOnlyList<HiddenFile> Hidden { get; init; } = [];
    public IReadOnlyList<DeniedDevice> DeniedDevices { get; init; } = [];

    /// <summary>Names of variables that the guest does not get, whoever sets or passes them.</summary>
    public IReadOnlyList<Sourced<string>> DeniedVariables { get; init; } = [];

    /// <summary>
    /// What is shown or given by one of the files and denied by one: it is in none of the lists above.
    /// </summary>
    public IReadOnlyList<IRule> Withheld { get; init; } = [];

    public IEnumerable<IRule> Rules =>
        [.. Shown, .. Hidden, .. PathRules, .. NetworkRules, .. SystemCallRules, .. Devices, .. DeniedDevices];

    public Sourced<ulong>? Limit(Resource resource) => Limits[(int)resource];

    /// <summary>A limit in numbers: half of the memory where folders in memory have that.</summary>
    /// <param name="memory">Bytes of the guest's memory, where it is not this policy's.</param>
    public ulong? Amount(Resource resource, ulong? memory = null) =>
        Limit(resource)?.Value is ulong value
            ? resource == Resource.TmpSize && value == Resources.Unlimited
                ? (memory ?? Limit(Resource.Memory)?.Value) / 2 ?? value
                : value
            : null;

    public bool Allows(Freedom freedom) => Freedoms.Any(given => given.Value == freedom);
}
