using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// The policy of a run that is only watched: what is shown is the base's, every rule gives way, all is recorded.
/// </summary>
public static class LearningPolicy
{
    public static PolicyModel Of(PolicyModel model)
    {
        var span = new SourceSpan(model.Source, 1, 1, 1);
        const string because = "a learning run refuses nothing that mounts allow";
        return model with
        {
            PathRules = [new PathRule(span, because, true, PathAccess.All, [new Sourced<string>("/**", span, null)])],
            SystemCallRules = [new SystemCallRule(
                span, because, true, [.. Enumerable.Range(0, SystemCallNames.Limit)], ["@all"], [], 0)],
            Audit = new Sourced<AuditSection>(
                new AuditSection([AuditEvents.Lifecycle, AuditEvents.Decisions], model.Audit?.Value.To ?? "",
                    WhenFull.Block), span, null),
        };
    }

    /// <summary>
    /// All that such a run may do, since mounts alone refuse something: to be compared with a ceiling.
    /// </summary>
    /// <param name="isWritable">Whether something of the host's is mounted so that it can be changed.</param>
    public static PolicyModel Extent(PolicyModel model, Func<ShownFile, bool> isWritable) => Of(model) with
    {
        PathRules = [],
        Shown = [.. model.Shown.Select(shown => shown with { Access = MountedAccess(shown, isWritable) })],
        Audit = model.Audit,
    };

    static PathAccess MountedAccess(ShownFile shown, Func<ShownFile, bool> isWritable) => shown.Kind switch
    {
        ShownKind.Host => isWritable(shown) ? PathAccess.All : PathAccess.Read | PathAccess.Execute,
        ShownKind.Memory or ShownKind.Own => PathAccess.All,
        _ => PathAccess.Read,
    };
}
