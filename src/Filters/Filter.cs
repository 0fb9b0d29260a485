using Sandbox.Vmm;

namespace Sandbox.Filters;

/// <summary>One filter that the VMM carries.</summary>
/// <param name="Name">Of its class in the VMM, without "Filter".</param>
sealed record Filter(string Name, string Summary, IReadOnlyList<Rule> Rules)
{
    /// <summary>For all threads, of a guest that may write host files.</summary>
    public static Filter Writing { get; } = new("Writing", "All threads, host files writable.", RuleTable.All);

    /// <summary>For all threads, of any other guest.</summary>
    public static Filter Reading { get; } =
        new("Reading", "All threads, no host file writable.", [.. RuleTable.All.Where(rule => !rule.Writes)]);

    public static IReadOnlyList<Filter> All { get; } =
    [
        Writing, Reading,
        .. Enum.GetValues<ThreadRole>().Where(role => role is not (ThreadRole.None or ThreadRole.All)).Select(Of),
    ];

    /// <summary>What a thread keeps when it takes its role.</summary>
    public static Filter Of(ThreadRole role) => new(
        $"{role}", $"Threads of the role {role}.", [.. RuleTable.All.Where(rule => (rule.Roles & role) != 0)]);
}
