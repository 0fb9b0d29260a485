using Sandbox.Vmm;

namespace Sandbox.Filters;

/// <summary>One filter that the VMM carries.</summary>
/// <param name="Name">Of its class in the VMM, without "Filter".</param>
sealed record Filter(string Name, string Summary, IReadOnlyList<Rule> Rules)
{
    public static IReadOnlyList<Filter> All { get; } =
    [
        Of(GuestNeeds.None), Of(GuestNeeds.Writing), Of(GuestNeeds.Network), Of(GuestNeeds.All),
        .. Enum.GetValues<ThreadRole>().Where(role => role is not (ThreadRole.None or ThreadRole.All)).Select(Of),
    ];

    /// <summary>For all threads of a guest with these needs.</summary>
    public static Filter Of(GuestNeeds needs) => new(
        $"Needing{$"{needs}".Replace(", ", "", StringComparison.Ordinal)}", $"All threads, the guest's needs: {needs}.",
        [.. RuleTable.All.Where(rule => (rule.Needs & ~needs) == 0)]);

    /// <summary>What a thread keeps when it takes its role.</summary>
    public static Filter Of(ThreadRole role) => new(
        $"{role}", $"Threads of the role {role}.", [.. RuleTable.All.Where(rule => (rule.Roles & role) != 0)]);
}
