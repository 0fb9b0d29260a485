namespace Sandbox.Policy.Language;

public enum Change
{
    /// <summary>The new policy allows what the old one denied.</summary>
    Allowed,
    /// <summary>The new policy denies what the old one allowed.</summary>
    Denied,
    /// <summary>Allowed or given by both, and not the same thing.</summary>
    Different,
}

/// <summary>One way in which two policies differ.</summary>
/// <param name="Witness">A request that they answer differently, or the setting that differs.</param>
/// <param name="OldRule">Who decides in the old policy; null when no rule does.</param>
public sealed record Difference(Change Change, string Witness, SourceSpan? OldRule, SourceSpan? NewRule);

/// <summary>All differences of two policies.</summary>
/// <param name="IsExact">
/// False when a part was too large to be compared, or has overlapping masks: then what is not listed may differ too.
/// </param>
public sealed record PolicyComparison(IReadOnlyList<Difference> Differences, bool IsExact)
{
    /// <summary>Exact, and the new policy allows nothing that the old one does not.</summary>
    public bool IsNoWider => IsExact && Differences.All(difference => difference.Change == Change.Denied);

    public bool IsEqual => IsExact && Differences.Count == 0;
}

/// <summary>
/// What became allowed and what became denied, exactly: the domains are finite (paths as regular languages, ranges of
/// numbers, sets), so each part is compared region by region, and each difference comes with a request that shows it.
/// </summary>
public sealed class PolicyComparer
{
    readonly CompiledPolicy _old;
    readonly CompiledPolicy _new;
    readonly List<Difference> _differences = [];
    readonly HashSet<(Change, string, IRule?, IRule?)> _seen = [];
    bool _exact = true;

    PolicyComparer(CompiledPolicy old, CompiledPolicy @new)
    {
        _old = old;
        _new = @new;
    }

    public static PolicyComparison Compare(CompiledPolicy old, CompiledPolicy @new)
    {
        var comparer = new PolicyComparer(old, @new);
        comparer.CompareSettings();
        comparer._exact &= PathComparison.Compare(old, @new, comparer.Add);
        comparer._exact &= NetworkComparison.Compare(old, @new, comparer.Add);
        comparer._exact &= SystemCallComparison.Compare(old, @new, comparer.Add);
        return new PolicyComparison(comparer._differences, comparer._exact);
    }

    /// <summary>One request of a region that is decided alike; differences between the same two rules are listed once.</summary>
    /// <param name="kind">Tells apart what two rules can differ in, as in the access to a path.</param>
    void Add(Decision old, Decision @new, string kind, Func<string> witness)
    {
        if (old.Allowed == @new.Allowed)
            return;
        Change change = @new.Allowed ? Change.Allowed : Change.Denied;
        if (_seen.Add((change, kind, old.Rule, @new.Rule)))
            _differences.Add(new Difference(change, witness(), old.Rule?.Span, @new.Rule?.Span));
    }

    void CompareSettings()
    {
        PolicyModel old = _old.Model, @new = _new.Model;
        foreach (Resource resource in Enum.GetValues<Resource>())
        {
            ulong before = old.Limit(resource)?.Value ?? 0, after = @new.Limit(resource)?.Value ?? 0;
            if (before != after)
                Report(after > before ? Change.Allowed : Change.Denied,
                    $"{Resources.Names[(int)resource]}: {Resources.Format(resource, before)} -> {Resources.Format(resource, after)}",
                    old.Limit(resource)?.Span, @new.Limit(resource)?.Span);
        }

        Value("kind", $"{old.Kind?.Value ?? GuestKind.Process}", $"{@new.Kind?.Value ?? GuestKind.Process}", old.Kind?.Span, @new.Kind?.Span);
        Value("user", $"{CompiledPolicy.UserOf(old)}", $"{CompiledPolicy.UserOf(@new)}", old.User?.Span, @new.User?.Span);
        Value("hostname", old.Hostname?.Value, @new.Hostname?.Value, old.Hostname?.Span, @new.Hostname?.Span);
        Value("audit", Audit(old), Audit(@new), old.Audit?.Span, @new.Audit?.Span);
        Set("platform", old.Platforms, @new.Platforms, name => name);
        Set("command line:", old.Freedoms, @new.Freedoms, freedom => Freedoms.Names[(int)freedom]);
        // A wall that is no longer required is a widening.
        Set("without the wall", @new.Isolation, old.Isolation, wall => Walls.Names[(int)wall], swapped: true);
        Set("variable", old.Environment, @new.Environment, variable => $"{variable.Name}={variable.Value ?? "(the caller's)"}");
        Set("device", Devices(old), Devices(@new), device => device);
        CompareShown(old, @new);
    }

    static string? Audit(PolicyModel model) => model.Audit is Sourced<AuditSection> audit
        ? $"{string.Join('+', audit.Value.Record)} to {audit.Value.To}, {audit.Value.WhenFull}"
        : null;

    static IReadOnlyList<Sourced<string>> Devices(PolicyModel model) =>
        [.. model.Devices.Select(rule => new Sourced<string>($"{rule.Text}{(rule.Writable ? " writable" : "")} {rule.BytesPerSecond}", rule.Span, null))];

    void CompareShown(PolicyModel old, PolicyModel @new)
    {
        static string Size(ShownFile shown) => shown.Size is ulong size ? SizeText.Format(size) : "no bound of its own";
        static string What(ShownFile shown) => $"{shown.Kind} {shown.Content}{shown.Generated} {shown.Mode}";
        Dictionary<string, ShownFile> before = ByPath(old), after = ByPath(@new);
        foreach ((string path, ShownFile was) in before)
        {
            if (!after.TryGetValue(path, out ShownFile? becomes))
                Report(Change.Denied, $"{path} is no longer shown", was.Span, null);
            else if (What(was) != What(becomes))
                Report(Change.Different, $"{path} is something else: {What(was)} -> {What(becomes)}", was.Span, becomes.Span);
            else if (was.Size != becomes.Size)
                Report((becomes.Size ?? ulong.MaxValue) > (was.Size ?? ulong.MaxValue) ? Change.Allowed : Change.Denied,
                    $"{path} holds: {Size(was)} -> {Size(becomes)}", was.Span, becomes.Span);
        }

        foreach ((string path, ShownFile becomes) in after)
            if (!before.ContainsKey(path))
                Report(Change.Allowed, $"{path} is shown", null, becomes.Span);
    }

    static Dictionary<string, ShownFile> ByPath(PolicyModel model)
    {
        string home = CompiledPolicy.UserOf(model).Home;
        var byPath = new Dictionary<string, ShownFile>(StringComparer.Ordinal);
        // ~ and what it stands for may both be there; the first stands for both.
        foreach (ShownFile shown in model.Shown)
            byPath.TryAdd(CompiledPolicy.ExpandHome(shown.Path, home), shown);
        return byPath;
    }

    void Value(string what, string? before, string? after, SourceSpan? old, SourceSpan? @new)
    {
        if (before != after)
            Report(Change.Different, $"{what}: {before ?? "none"} -> {after ?? "none"}", old, @new);
    }

    void Set<T>(string what, IReadOnlyList<Sourced<T>> old, IReadOnlyList<Sourced<T>> @new, Func<T, string> name, bool swapped = false)
    {
        HashSet<T> before = [.. old.Select(item => item.Value)], after = [.. @new.Select(item => item.Value)];
        foreach (Sourced<T> added in @new.Where(item => !before.Contains(item.Value)))
            Report(Change.Allowed, $"{what} {name(added.Value)}", swapped ? added.Span : null, swapped ? null : added.Span);
        foreach (Sourced<T> removed in old.Where(item => !after.Contains(item.Value)))
            Report(Change.Denied, $"{what} {name(removed.Value)}", swapped ? null : removed.Span, swapped ? removed.Span : null);
    }

    void Report(Change change, string witness, SourceSpan? old, SourceSpan? @new) =>
        _differences.Add(new Difference(change, witness, old, @new));
}

/// <summary>Takes one request of a region and both decisions about it.</summary>
delegate void RegionReport(Decision old, Decision @new, string kind, Func<string> witness);
