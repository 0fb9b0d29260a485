namespace Sandbox.Policy.Language;

/// <summary>
/// How policies are put together. What a file extends comes first; the file may deny more and lower limits freely, and
/// must say because of whatever it adds. A deny cannot be lifted.
/// </summary>
static class Composition
{
    public static PolicyModel Extend(PolicyModel beneath, PolicyModel own, Diagnostics diagnostics)
    {
        RequireReasons(beneath, own, diagnostics);
        return Merge(beneath, own);
    }

    /// <summary>Lists one behind the other; of single values the later.</summary>
    public static PolicyModel Merge(PolicyModel first, PolicyModel second) => second with
    {
        Description = second.Description ?? first.Description,
        Kind = second.Kind ?? first.Kind,
        Platforms = second.Platforms.Count > 0 ? second.Platforms : first.Platforms,
        Limits = [.. first.Limits.Zip(second.Limits, (a, b) => b ?? a)],
        User = second.User ?? first.User,
        Hostname = second.Hostname ?? first.Hostname,
        Environment =
        [
            .. first.Environment.Where(old => second.Environment.All(added => added.Value.Name != old.Value.Name)),
            .. second.Environment,
        ],
        Shown = [.. first.Shown.Where(old => second.Shown.All(added => added.Path != old.Path)), .. second.Shown],
        PathRules = [.. first.PathRules, .. second.PathRules],
        NetworkRules = [.. first.NetworkRules, .. second.NetworkRules],
        SystemCallRules = [.. first.SystemCallRules, .. second.SystemCallRules],
        Devices = [.. first.Devices, .. second.Devices],
        Isolation = [.. first.Isolation, .. second.Isolation],
        Audit = second.Audit ?? first.Audit,
        Freedoms = second.Freedoms.Count > 0 ? second.Freedoms : first.Freedoms,
    };

    static void RequireReasons(PolicyModel beneath, PolicyModel own, Diagnostics diagnostics)
    {
        void Require(string? because, SourceSpan span, string what)
        {
            if (string.IsNullOrWhiteSpace(because))
                diagnostics.Add(DiagnosticKind.Widening, span, $"{what} is more than what this policy extends gives", "say why with because:");
        }

        foreach (Resource resource in Enum.GetValues<Resource>())
            if (own.Limit(resource) is Sourced<ulong> limit && beneath.Limit(resource) is Sourced<ulong> old && limit.Value > old.Value)
                Require(limit.Because, limit.Span, $"{Resources.Names[(int)resource]} {Resources.Format(resource, limit.Value)}");
        if (own.Kind is Sourced<GuestKind> kind && beneath.Kind is Sourced<GuestKind> inherited && kind.Value != inherited.Value)
            Require(kind.Because, kind.Span, "another kind of guest");
        if (own.User is Sourced<string> user && CompiledPolicy.UserOf(own).Uid == 0 && CompiledPolicy.UserOf(beneath).Uid != 0)
            Require(user.Because, user.Span, "the guest's super-user");
        foreach (Sourced<EnvironmentVariable> variable in own.Environment.Where(variable => variable.Value.Value is null))
            if (beneath.Environment.All(old => old.Value != variable.Value))
                Require(variable.Because, variable.Span, $"passing on {variable.Value.Name}");
        foreach (ShownFile shown in own.Shown)
            Require(shown.Because, shown.Span, $"showing {shown.Path}");
        foreach (IRule rule in own.PathRules.Where(rule => rule.Allow))
            Require(rule.Because, rule.Span, "what this rule allows");
        foreach (IRule rule in own.NetworkRules.Where(rule => rule.Allow))
            Require(rule.Because, rule.Span, "what this rule allows");
        foreach (IRule rule in own.SystemCallRules.Where(rule => rule.Allow))
            Require(rule.Because, rule.Span, "what this rule allows");
        foreach (DeviceRule device in own.Devices)
            Require(device.Because, device.Span, "this device");
        foreach (Sourced<Freedom> freedom in own.Freedoms.Where(freedom => !beneath.Allows(freedom.Value)))
            Require(freedom.Because, freedom.Span, "this freedom of the command line");
        // Another log, or a shorter one, is less of what the inherited one was for.
        if (own.Audit is Sourced<AuditSection> audit && beneath.Audit is not null)
            Require(audit.Because, audit.Span, "another audit section");
        foreach (Sourced<string> platform in own.Platforms)
            if (beneath.Platforms.Count > 0 && beneath.Platforms.All(old => old.Value != platform.Value))
                diagnostics.Add(DiagnosticKind.Widening, platform.Span, $"the platform {platform.Value} is more than what this policy extends gives");
    }
}
