namespace Sandbox.Policy.Language;

/// <summary>
/// How policies are put together. What a file extends comes first; the file may deny more and lower limits freely, and
/// must say because of whatever it adds. A deny cannot be lifted.
/// </summary>
static class Composition
{
    public static PolicyModel Extend(PolicyModel beneath, PolicyModel own, Diagnostics diagnostics)
    {
        var reasons =
            new Reasons(beneath, own, "what this policy extends gives", "say why with because:", diagnostics);
        reasons.RequireForReplaced();
        reasons.RequireForAdded();
        DenialCheck.Check(beneath, own, diagnostics);
        return Merge(beneath, own);
    }

    /// <summary>
    /// Two that a file extends beside each other. Of single values the later holds: where it gives more than the first,
    /// it must say why, as if it extended that. What both give of lists is theirs, in either order.
    /// </summary>
    public static PolicyModel Beside(PolicyModel first, PolicyModel second, Diagnostics diagnostics)
    {
        new Reasons(first, second, $"what {first.Source.Name} gives, beside which it is extended",
            $"say why with because:, or name {second.Source.Name} first", diagnostics).RequireForReplaced();
        return Merge(first, second) with { IsFragment = first.IsFragment && second.IsFragment };
    }

    /// <summary>Lists one behind the other, less what either denies; of single values the later.</summary>
    public static PolicyModel Merge(PolicyModel first, PolicyModel second)
    {
        HashSet<string> variables = [.. second.Environment.Select(added => added.Value.Name)],
            paths = [.. second.Shown.Select(added => added.Path)];
        return Denials.Apply(second with
        {
            Description = second.Description ?? first.Description,
            Kind = second.Kind ?? first.Kind,
            Platforms = second.Platforms.Count > 0 ? second.Platforms : first.Platforms,
            Limits = [.. first.Limits.Zip(second.Limits, (a, b) => b ?? a)],
            User = second.User ?? first.User,
            Hostname = second.Hostname ?? first.Hostname,
            Environment =
            [
                .. first.Environment.Where(old => !variables.Contains(old.Value.Name)),
                .. second.Environment,
            ],
            Shown = [.. first.Shown.Where(old => !paths.Contains(old.Path)), .. second.Shown],
            PathRules = [.. first.PathRules, .. second.PathRules],
            NetworkRules = [.. first.NetworkRules, .. second.NetworkRules],
            SystemCallRules = [.. first.SystemCallRules, .. second.SystemCallRules],
            Devices = [.. first.Devices, .. second.Devices],
            Isolation = [.. first.Isolation, .. second.Isolation],
            Audit = second.Audit ?? first.Audit,
            Freedoms = second.SaysFreedoms ? second.Freedoms : first.Freedoms,
            SaysFreedoms = first.SaysFreedoms || second.SaysFreedoms,
            Hidden = [.. first.Hidden, .. second.Hidden],
            DeniedDevices = [.. first.DeniedDevices, .. second.DeniedDevices],
            DeniedVariables = [.. first.DeniedVariables, .. second.DeniedVariables],
            Withheld = [.. first.Withheld, .. second.Withheld],
        });
    }

    /// <summary>A policy that names none means KVM.</summary>
    public static IReadOnlyList<Sourced<string>> PlatformsOf(PolicyModel model) =>
        model.Platforms.Count > 0
            ? model.Platforms
            : [new Sourced<string>("kvm", new SourceSpan(model.Source, 1, 1, 1), null)];

    /// <summary>Finds what is given without a reason and is more than something else gives.</summary>
    /// <param name="than">What it may not be more than, in words.</param>
    sealed class Reasons(PolicyModel beneath, PolicyModel own, string than, string advice, Diagnostics diagnostics)
    {
        readonly ILookup<string, ShownFile> _files = beneath.Shown.ToLookup(shown => shown.Path);
        readonly ILookup<string, EnvironmentVariable> _variables =
            beneath.Environment.ToLookup(variable => variable.Value.Name, variable => variable.Value);

        void Require(string? because, SourceSpan span, string what)
        {
            if (string.IsNullOrWhiteSpace(because))
                Add(span, what);
        }

        void Add(SourceSpan span, string what) =>
            diagnostics.Add(DiagnosticKind.Widening, span, $"{what} is more than {than}", advice);

        /// <summary>For what takes the place of something.</summary>
        public void RequireForReplaced()
        {
            foreach (Resource resource in Enum.GetValues<Resource>())
                if (own.Limit(resource) is Sourced<ulong> limit
                    && own.Amount(resource, (own.Limit(Resource.Memory) ?? beneath.Limit(Resource.Memory))?.Value)
                        > beneath.Amount(resource))
                    Require(limit.Because, limit.Span,
                        $"{Resources.Names[(int)resource]} {Resources.Format(resource, limit.Value)}");
            // What a fragment does not say it leaves open; a whole policy means the default.
            GuestKind? inherited = beneath.Kind?.Value ?? (beneath.IsFragment ? null : GuestKind.Process);
            if (own.Kind is Sourced<GuestKind> kind && inherited is not null && kind.Value != inherited)
                Require(kind.Because, kind.Span, "another kind of guest");
            if (own.User is Sourced<string> user
                && CompiledPolicy.UserOf(own).Uid == 0
                && CompiledPolicy.UserOf(beneath).Uid != 0)
                Require(user.Because, user.Span, "the guest's super-user");
            RequireForVariables(name => _variables.Contains(name));
            RequireForShown(path => _files.Contains(path));
            if (beneath.SaysFreedoms || !beneath.IsFragment)
                RequireForFreedoms();
            // Another log, or a shorter one, is less of what the inherited one was for.
            if (own.Audit is Sourced<AuditSection> audit
                && beneath.Audit is Sourced<AuditSection> other
                && $"{audit.Span}" != $"{other.Span}")
                Require(audit.Because, audit.Span, "another audit section");
            if (beneath.Platforms.Count == 0 && beneath.IsFragment)
                return;
            HashSet<string> platforms = [.. PlatformsOf(beneath).Select(old => old.Value)];
            foreach (Sourced<string> platform in own.Platforms)
                if (!platforms.Contains(platform.Value))
                    Add(platform.Span, $"the platform {platform.Value}");
        }

        /// <summary>For what comes to the rest.</summary>
        public void RequireForAdded()
        {
            RequireForVariables(name => !_variables.Contains(name));
            RequireForShown(path => !_files.Contains(path));
            foreach (IRule rule in own.PathRules.Where(rule => rule.Allow))
                Require(rule.Because, rule.Span, "what this rule allows");
            foreach (IRule rule in own.NetworkRules.Where(rule => rule.Allow))
                Require(rule.Because, rule.Span, "what this rule allows");
            foreach (IRule rule in own.SystemCallRules.Where(rule => rule.Allow))
                Require(rule.Because, rule.Span, "what this rule allows");
            foreach (DeviceRule device in own.Devices)
                Require(device.Because, device.Span, "this device");
            if (!beneath.SaysFreedoms && beneath.IsFragment)
                RequireForFreedoms();
        }

        void RequireForVariables(Func<string, bool> isMeant)
        {
            foreach (Sourced<EnvironmentVariable> variable in own.Environment)
                if (variable.Value.Value is null && isMeant(variable.Value.Name)
                    && !_variables[variable.Value.Name].Contains(variable.Value))
                    Require(variable.Because, variable.Span, $"passing on {variable.Value.Name}");
        }

        void RequireForShown(Func<string, bool> isMeant)
        {
            foreach (ShownFile shown in own.Shown)
                if (isMeant(shown.Path) && !_files[shown.Path].Any(shown.IsNoWiderThan))
                    Require(shown.Because, shown.Span, $"showing {shown.Path}");
        }

        void RequireForFreedoms()
        {
            HashSet<Freedom> freedoms = [.. beneath.Freedoms.Select(old => old.Value)];
            foreach (Sourced<Freedom> freedom in own.Freedoms.Where(freedom => !freedoms.Contains(freedom.Value)))
                Require(freedom.Because, freedom.Span, "this freedom of the command line");
        }
    }
}
