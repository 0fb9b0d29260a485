using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;

namespace Sandbox.Supervisor.Planning;

/// <summary>The rules that a plan carries: only those that its mounts do not enforce by themselves.</summary>
static class PlanRules
{
    const PathAccess ReadOnly = PathAccess.Read | PathAccess.Execute;

    static readonly string[] s_ownFolders = ["/proc", "/dev", "/sys"];

    /// <summary>Null tables when what appears in the guest's tree says it all.</summary>
    /// <param name="mounts">The command line's among them count as shown.</param>
    /// <returns>The tables, and what their indexes stand for.</returns>
    public static (PathTables? Tables, IReadOnlyList<IRule> Rules) Paths(
        PolicyModel policy, string home, IReadOnlyList<MountSource> mounts)
    {
        // A decision that is recorded names its rule.
        if (policy.Audit is not { Value.RecordsDecisions: true } && policy.PathRules.Count + policy.Hidden.Count == 0
            && policy.Shown.All(IsWhole) && s_ownFolders.All(own => policy.Shown.Any(shown => shown.Path == own)))
            return (null, []);
        var diagnostics = new Diagnostics();
        PolicyModel whole = policy with { Shown = WithMounts(policy, home, mounts) };
        return CompiledPolicy.Compile(whole, home, diagnostics) is CompiledPolicy compiled
            ? (compiled.Paths.Tables, compiled.PathRuleList)
            : throw new UsageException($"{diagnostics.List[0].Span}: {diagnostics.List[0].Message}");
    }

    /// <summary>Null when every call is served, and none of them recorded.</summary>
    public static SystemCallTables? SystemCalls(PolicyModel policy)
    {
        IReadOnlyList<SystemCallRule> rules = policy.SystemCallRules;
        bool all = policy.Audit?.Value.Records(AuditEvents.Decisions) != true && rules.All(rule => rule.Allow)
            && rules.Any(
                rule => rule.Conditions.Count == 0 && rule.Numbers.Distinct().Count() == SystemCallTables.Limit);
        return all ? null : SystemCallCompiler.Compile(rules);
    }

    /// <summary>Whether the guest may change anything in what is shown, so that it is opened for writing.</summary>
    public static bool IsWritable(PolicyModel policy, ShownFile shown, string home)
    {
        const PathAccess change = PathAccess.Write | PathAccess.Create | PathAccess.Delete;
        if ((shown.Access & change) != 0)
            return true;
        string path = CompiledPolicy.ExpandHome(shown.Path, home);
        return policy.PathRules.Any(rule => rule.Allow && (rule.Access & change) != 0
            && CompiledPolicy.LiteralPrefixes(rule, home)
            .Any(prefix => GuestPath.IsWithin(prefix, path) || GuestPath.IsWithin(path, prefix)));
    }

    static bool IsWhole(ShownFile shown) => shown.Kind switch
    {
        ShownKind.Host => shown.Access is ReadOnly or PathAccess.All,
        ShownKind.Memory or ShownKind.Own => shown.Access == PathAccess.All,
        _ => true,
    };

    /// <summary>What the policy shows, and the command line's mounts.</summary>
    public static IReadOnlyList<ShownFile> WithMounts(
        PolicyModel policy, string home, IReadOnlyList<MountSource> mounts)
    {
        List<ShownFile> shown = [.. policy.Shown];
        foreach (MountSource mount in mounts.Where(mount => mount.Shown is null)
            .OrderBy(mount => mount.GuestPath, StringComparer.Ordinal))
        {
            shown.RemoveAll(
                hidden => GuestPath.IsWithin(CompiledPolicy.ExpandHome(hidden.Path, home), mount.GuestPath));
            shown.Add(new ShownFile(new SourceSpan(policy.Source, 1, 1, 1), $"given with {MountArgument.Flag}",
                mount.GuestPath, ShownKind.Host, mount.RealPath)
            {
                Access = mount.Writable ? PathAccess.All : ReadOnly,
                Quota = mount.Quota == 0 ? null : mount.Quota,
            });
        }

        return shown;
    }
}
