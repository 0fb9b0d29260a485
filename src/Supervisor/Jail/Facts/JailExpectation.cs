using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail.Cgroups;

namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>
/// What the kernel is to tell of a VMM's jail: all walls that there are, in the form that this supervisor gives them,
/// and nothing held but what the plan grants. Plain data, so that whoever asks later can be told as well.
/// </summary>
sealed record JailExpectation
{
    /// <summary>The supervisor's.</summary>
    public required int Supervisor { get; init; }

    /// <summary>What can be wanted of this host and caller, whether it was built or not.</summary>
    public required JailWalls Wanted { get; init; }

    /// <summary>Why the jail lacks walls, as it was told at the start; null when it said that it lacks none.</summary>
    public string? Told { get; init; }

    /// <summary>The supervisor's, by <see cref="Namespaces.Names"/>; empty for one that could not be read.</summary>
    public required string[] HostNamespaces { get; init; }

    /// <summary>The VMM's on the host.</summary>
    public required uint User { get; init; }

    public required uint Group { get; init; }

    /// <summary>The supervisor's oom_score_adj: the kernel picks the VMM no later.</summary>
    public required int OomScore { get; init; }

    /// <summary>None for a VMM without a group.</summary>
    public required ExpectedGroup[] Groups { get; init; }

    /// <summary>In no order.</summary>
    public required ExpectedDescriptor[] Descriptors { get; init; }

    /// <summary>
    /// Whether sockets come while the guest runs: from the supervisor, or as connections of a guest with a kernel.
    /// </summary>
    public required bool HasNetwork { get; init; }

    /// <summary>Whether this host has keyrings: it then got one of its own.</summary>
    public required bool HasKeyring { get; init; }

    /// <summary>Whether this host's kernel can refuse memory that was written the right to be executed.</summary>
    public required bool HasDenyWriteExecute { get; init; }

    /// <summary>
    /// What the VMM says that it has put on: nothing of the kernel shows Landlock. Null before it has said anything.
    /// </summary>
    public StartOrders? Reported { get; init; }

    /// <summary>
    /// The least seccomp filters on a thread: 1 before the guest's first instruction, then its role's too.
    /// </summary>
    public required int Filters { get; init; }
}

/// <summary>A folder of the VMM's control group, and what was written there.</summary>
sealed record ExpectedGroup(string Folder, GroupValue[] Values);

/// <summary>What a descriptor may be that the VMM was given.</summary>
/// <param name="Name">For people.</param>
/// <param name="Mount">fdinfo's mnt_id in the supervisor.</param>
/// <param name="Path">
/// Of a granted folder that is no mount of its own: where it lies on the host. Else null.
/// </param>
/// <param name="IsFolder">What lies beneath it may be opened as well.</param>
/// <param name="Writable">Or only for reading.</param>
sealed record ExpectedDescriptor(string Name, long Mount, ulong Inode, string? Path, bool IsFolder, bool Writable);
