using System.Globalization;
using Sandbox.Policy.Contract;

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
/// False when a part was too large to be compared: then what is not listed may differ too.
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
        comparer._exact &= SystemCallComparison.Compare(old, @new, comparer.Add, comparer.AddEnding);
        return new PolicyComparison(comparer._differences, comparer._exact);
    }

    /// <summary>
    /// One request of a region that is decided alike; differences between the same two rules are listed once.
    /// </summary>
    /// <param name="kind">Tells apart what two rules can differ in, as in the access to a path.</param>
    void Add(Decision old, Decision @new, string kind, Func<string> witness)
    {
        if (old.Allowed == @new.Allowed)
            return;
        Change change = @new.Allowed ? Change.Allowed : Change.Denied;
        if (_seen.Add((change, kind, old.Rule, @new.Rule)))
            _differences.Add(new Difference(change, witness(), old.Rule?.Span, @new.Rule?.Span));
    }

    /// <summary>
    /// Both deny a call, and only one of them ends the guest for it. Which error the other answers is no permission.
    /// </summary>
    void AddEnding(Decision old, Decision @new, bool ends, Func<string> witness)
    {
        Change change = ends ? Change.Denied : Change.Allowed;
        if (_seen.Add((change, "ending", old.Rule, @new.Rule)))
            _differences.Add(new Difference(
                change, $"{witness()} {(ends ? "now ends" : "no longer ends")} the guest", old.Rule?.Span,
                @new.Rule?.Span));
    }

    void CompareSettings()
    {
        PolicyModel old = _old.Model, @new = _new.Model;
        foreach (Resource resource in Enum.GetValues<Resource>())
        {
            ulong before = old.Limit(resource)?.Value ?? 0, after = @new.Limit(resource)?.Value ?? 0;
            if (before != after)
                Report(after > before ? Change.Allowed : Change.Denied,
                    $"{Resources.Names[(int)resource]}: {Resources.Format(resource, before)} -> "
                        + $"{Resources.Format(resource, after)}",
                    old.Limit(resource)?.Span, @new.Limit(resource)?.Span);
        }

        Value("kind", $"{old.Kind?.Value ?? GuestKind.Process}", $"{@new.Kind?.Value ?? GuestKind.Process}",
            old.Kind?.Span, @new.Kind?.Span);
        Value(
            "user", $"{CompiledPolicy.UserOf(old)}", $"{CompiledPolicy.UserOf(@new)}", old.User?.Span, @new.User?.Span);
        Value("hostname", old.Hostname?.Value, @new.Hostname?.Value, old.Hostname?.Span, @new.Hostname?.Span);
        Set("platform", Composition.PlatformsOf(old), Composition.PlatformsOf(@new), name => name);
        Set("command line:", old.Freedoms, @new.Freedoms, freedom => Freedoms.Names[(int)freedom]);
        // A wall that is no longer required is a widening.
        Set("without the wall", @new.Isolation, old.Isolation, wall => Walls.Names[(int)wall], swapped: true);
        Set("variable", old.Environment, @new.Environment, variable =>
            $"{variable.Name}={variable.Value ?? "(the caller's)"}");
        CompareDevices(old, @new);
        CompareShown(old, @new);
        CompareDeniedToFlags(old, @new);
        CompareAudit(old.Audit, @new.Audit);
    }

    void CompareDeniedToFlags(PolicyModel old, PolicyModel @new)
    {
        foreach ((string flag, SourceSpan span) in DeniedToFlags(@new, old))
            Report(Change.Allowed, $"command line: {flag}", span, null);
        foreach ((string flag, SourceSpan span) in DeniedToFlags(old, @new))
            Report(Change.Denied, $"command line: {flag}", null, span);
    }

    /// <summary>What flags may bring by one policy, and may not by the other, which denies it.</summary>
    static IEnumerable<(string Flag, SourceSpan Span)> DeniedToFlags(PolicyModel free, PolicyModel denying)
    {
        HashSet<string> variables = [.. free.DeniedVariables.Select(denied => denied.Value)];
        string home = CompiledPolicy.UserOf(free).Home, otherHome = CompiledPolicy.UserOf(denying).Home;
        var hidden = new AbovePath<HiddenFile>(free.Hidden, denied => denied.Path, home);
        if (free.Allows(Freedom.Environment))
            foreach (Sourced<string> denied in denying.DeniedVariables.Where(denied => variables.Add(denied.Value)))
                yield return ($"--env {denied.Value}", denied.Span);
        if (free.Allows(Freedom.Mount))
            foreach (HiddenFile denied in denying.Hidden)
                if (CompiledPolicy.ExpandHome(denied.Path, otherHome) is string path && hidden.Find(path) is null)
                    yield return ($"--mount to {path}", denied.Span);
    }

    /// <summary>
    /// What is recorded no longer is a widening. When a log is full, a guest that is stopped gets less than one that
    /// waits, and that less than one whose decisions are forgotten.
    /// </summary>
    void CompareAudit(Sourced<AuditSection>? old, Sourced<AuditSection>? @new)
    {
        foreach ((string what, Func<AuditSection, bool> recorded) in s_records)
        {
            bool before = old is not null && recorded(old.Value), after = @new is not null && recorded(@new.Value);
            if (before != after)
                Report(before ? Change.Allowed : Change.Denied, $"without a record of {what}", old?.Span, @new?.Span);
        }

        if (old is null || @new is null)
            return;
        Value("audit to", old.Value.To, @new.Value.To, old.Span, @new.Span);
        if (old.Value.WhenFull != @new.Value.WhenFull)
            Report(Leniency(@new.Value.WhenFull) > Leniency(old.Value.WhenFull) ? Change.Allowed : Change.Denied,
                $"when the log is full: {Word(old.Value.WhenFull)} -> {Word(@new.Value.WhenFull)}", old.Span,
                @new.Span);
    }

    static readonly (string What, Func<AuditSection, bool> Recorded)[] s_records =
    [
        ("starts and ends", audit => audit.Records(AuditEvents.Lifecycle)),
        ("denials", audit => audit.Records(allowed: false)),
        ("what is allowed", audit => audit.Records(allowed: true)),
    ];

    static int Leniency(WhenFull whenFull) => whenFull switch { WhenFull.Stop => 0, WhenFull.Block => 1, _ => 2 };

    static string Word(WhenFull whenFull) => whenFull.ToString().ToLowerInvariant();

    /// <summary>Devices of one kind with the same file behind them are told apart by their order.</summary>
    void CompareDevices(PolicyModel old, PolicyModel @new)
    {
        Dictionary<(string, int), DeviceRule> before = Numbered(old), after = Numbered(@new);
        foreach (((string, int) key, DeviceRule was) in before)
        {
            if (!after.TryGetValue(key, out DeviceRule? becomes))
            {
                Report(Change.Denied, was.Text, was.Span, null);
                continue;
            }

            if (was.Writable != becomes.Writable)
                Report(becomes.Writable ? Change.Allowed : Change.Denied, $"{was.Text} can be written", was.Span,
                    becomes.Span);
            CompareRates("bytes", was.BytesPerSecond, becomes.BytesPerSecond, static rate => Bound(rate, "no limit"));
            CompareRates("operations", was.OperationsPerSecond, becomes.OperationsPerSecond, static rate =>
                Count(rate, "no limit"));

            void CompareRates(string what, ulong? before, ulong? after, Func<ulong?, string> text)
            {
                if (before != after)
                    Report((after ?? ulong.MaxValue) > (before ?? ulong.MaxValue) ? Change.Allowed : Change.Denied,
                        $"{was.Text}, {what} a second: {text(before)} -> {text(after)}", was.Span, becomes.Span);
            }
        }

        foreach (((string, int) key, DeviceRule becomes) in after)
            if (!before.ContainsKey(key))
                Report(Change.Allowed, becomes.Text, null, becomes.Span);
    }

    static Dictionary<(string Text, int Number), DeviceRule> Numbered(PolicyModel model) => model.Devices
        .GroupBy(device => device.Text)
        .SelectMany(same => same.Select((device, number) => (Key: (same.Key, number), device)))
        .ToDictionary(pair => pair.Key, pair => pair.device);

    static string Bound(ulong? bytes, string none) => bytes is ulong given ? SizeText.Format(given) : none;

    static string Count(ulong? number, string none) => number is ulong given ? $"{given}" : none;

    void CompareShown(PolicyModel old, PolicyModel @new)
    {
        static string What(ShownFile shown) => shown.Kind switch
        {
            ShownKind.Host => $"{shown.Content} of the host",
            ShownKind.Memory => $"a folder in memory, mode {Convert.ToString(shown.Mode, 8)}",
            ShownKind.Text => $"a text, {Quote.Value(shown.Content!)}",
            ShownKind.Link => $"a link to {shown.Content}",
            ShownKind.Generated => $"a generated {Generated.Names[(int)shown.Generated]}",
            _ => "the guest's own",
        };
        Dictionary<string, ShownFile> before = ByPath(old), after = ByPath(@new);
        foreach ((string path, ShownFile was) in before)
        {
            if (!after.TryGetValue(path, out ShownFile? becomes))
                Report(Change.Denied, $"{path} is no longer shown", was.Span, null);
            else if ((was.Kind, was.Content, was.Generated, was.Mode) != (becomes.Kind, becomes.Content,
                becomes.Generated, becomes.Mode))
                Report(Change.Different, $"{path} is something else: {What(was)} -> {What(becomes)}", was.Span,
                    becomes.Span);
            else
            {
                CompareBound($"{path} holds", was, becomes, shown => shown.Size, Bound, "no bound of its own");
                CompareBound(
                    $"{path} may grow by", was, becomes, shown => shown.Quota, Bound, "what the host has room for");
                CompareBound(
                    $"{path}, bytes a second of its disk", was, becomes, shown => shown.Rate, Bound, "no limit");
                CompareBound($"{path}, operations a second of its disk", was, becomes, shown =>
                    shown.Operations, Count, "no limit");
            }
        }

        foreach ((string path, ShownFile becomes) in after)
            if (!before.ContainsKey(path))
                Report(Change.Allowed, $"{path} is shown", null, becomes.Span);
    }

    void CompareBound(
        string what, ShownFile was, ShownFile becomes, Func<ShownFile, ulong?> bound, Func<ulong?, string, string> word,
        string none)
    {
        ulong? before = bound(was), after = bound(becomes);
        if (before != after)
            Report((after ?? ulong.MaxValue) > (before ?? ulong.MaxValue) ? Change.Allowed : Change.Denied,
                $"{what}: {word(before, none)} -> {word(after, none)}", was.Span, becomes.Span);
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

    void Set<T>(string what, IReadOnlyList<Sourced<T>> old, IReadOnlyList<Sourced<T>> @new, Func<T, string> name,
        bool swapped = false)
    {
        HashSet<T> before = [.. old.Select(item => item.Value)], after = [.. @new.Select(item => item.Value)];
        foreach (Sourced<T> added in @new.Where(item => !before.Contains(item.Value)))
            Report(Change.Allowed, $"{what} {name(added.Value)}", swapped ? added.Span : null,
                swapped ? null : added.Span);
        foreach (Sourced<T> removed in old.Where(item => !after.Contains(item.Value)))
            Report(Change.Denied, $"{what} {name(removed.Value)}", swapped ? null : removed.Span,
                swapped ? removed.Span : null);
    }

    void Report(Change change, string witness, SourceSpan? old, SourceSpan? @new) =>
        _differences.Add(new Difference(change, witness, old, @new));
}

/// <summary>Takes one call that both deny, and whether the new policy is the one that ends the guest.</summary>
delegate void EndingReport(Decision old, Decision @new, bool ends, Func<string> witness);

/// <summary>Takes one request of a region and both decisions about it.</summary>
delegate void RegionReport(Decision old, Decision @new, string kind, Func<string> witness);
