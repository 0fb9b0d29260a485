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
        comparer.CompareTree();
        comparer.CompareForOtherUsers();
        comparer._exact &= NetworkComparison.Compare(old, @new, comparer.Add);
        comparer._exact &= SystemCallComparison.Compare(old, @new, comparer.Add, comparer.AddEnding);
        return new PolicyComparison(comparer._differences, comparer._exact);
    }

    /// <summary>The guest's file tree, as the policies alone give it and with what flags may mount in it.</summary>
    void CompareTree()
    {
        CompareShown();
        CompareDeniedToMounts();
        // What denies, and what is no longer allowed or denied by it.
        var known = new HashSet<(Change, string, IRule)>();
        _exact &= PathComparison.Compare(_old, _new, (old, @new, kind, witness) =>
        {
            if (old.Allowed != @new.Allowed && (old.Allowed ? @new : old).Rule is IRule denying)
                known.Add((@new.Allowed ? Change.Allowed : Change.Denied, kind, denying));
            Add(old, @new, kind, witness);
        });
        CompareMounted(known);
    }

    /// <summary>
    /// Where both let a flag mount something it may be anywhere, in place of what the policy shows there: then all that
    /// the mount allows is given but what rules deny.
    /// </summary>
    /// <param name="known">Denies that make a difference anyhow.</param>
    void CompareMounted(HashSet<(Change, string, IRule)> known)
    {
        if (!_old.Model.Allows(Freedom.Mount) || !_new.Model.Allows(Freedom.Mount))
            return;
        PathAccess access = _old.Model.Allows(Freedom.MountWritable) && _new.Model.Allows(Freedom.MountWritable)
            ? PathAccess.All
            : PathAccess.Read | PathAccess.Execute;
        if (Mounted(_old, access) is not CompiledPolicy old || Mounted(_new, access) is not CompiledPolicy @new)
        {
            _exact = false;
            return;
        }

        _exact &= PathComparison.Compare(old, @new, (before, after, kind, witness) =>
        {
            if (before.Allowed == after.Allowed)
                return;
            IRule? denying = (before.Allowed ? after : before).Rule;
            // That nothing is mounted where it is hidden has been compared.
            if (denying is PathRule && !known.Contains((after.Allowed ? Change.Allowed : Change.Denied, kind, denying)))
                Add(before, after, $"{kind} when mounted", () => $"{witness()} when mounted");
        });
    }

    static CompiledPolicy? Mounted(CompiledPolicy policy, PathAccess access)
    {
        SourceSpan span = policy.Model.Freedoms.First(freedom => freedom.Value == Freedom.Mount).Span;
        return Tree(policy.Model with
        {
            Shown = [new ShownFile(span, null, "/", ShownKind.Host, "/") { Access = access }],
            PathRules = [.. policy.Model.PathRules.Where(rule => !rule.Allow)],
        }, policy.Home);
    }

    /// <summary>What a policy says of files, and nothing else of it.</summary>
    static CompiledPolicy? Tree(PolicyModel model, string home) =>
        CompiledPolicy.Compile(model with { NetworkRules = [], SystemCallRules = [] }, home, new Diagnostics());

    /// <summary>
    /// Where both let a flag name another user, ~ may be another folder: the super-user's, and any other.
    /// </summary>
    void CompareForOtherUsers()
    {
        if (!_old.Model.Allows(Freedom.Identity) || !_new.Model.Allows(Freedom.Identity)
            || !(UsesHome(_old.Model) || UsesHome(_new.Model)))
            return;
        HashSet<(Change, SourceSpan?, SourceSpan?)> known = [.. _differences.Select(Key)];
        foreach (string user in (ReadOnlySpan<string>)["root", "another"])
        {
            UserText.TryParse(user, out GuestUser parsed, out _);
            if (Tree(_old.Model, parsed.Home) is not CompiledPolicy old
                || Tree(_new.Model, parsed.Home) is not CompiledPolicy @new)
            {
                _exact = false;
                continue;
            }

            var comparer = new PolicyComparer(old, @new);
            comparer.CompareTree();
            _exact &= comparer._exact;
            foreach (Difference difference in comparer._differences)
                if (known.Add(Key(difference)))
                    _differences.Add(difference with { Witness = $"{difference.Witness} with --user {user}" });
        }

        static (Change, SourceSpan?, SourceSpan?) Key(Difference difference) =>
            (difference.Change, difference.OldRule, difference.NewRule);
    }

    static bool UsesHome(PolicyModel model) =>
        model.Shown.Select(shown => shown.Path).Concat(model.Hidden.Select(denied => denied.Path))
            .Concat(model.PathRules.SelectMany(rule => rule.Patterns).Select(pattern => pattern.Value))
            .Any(path => path.StartsWith('~'));

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
            string Said(PolicyModel model) => Resources.Format(resource, model.Limit(resource)?.Value ?? 0);
            ulong before = old.Amount(resource) ?? 0, after = @new.Amount(resource) ?? 0;
            if (before != after)
                Report(after > before ? Change.Allowed : Change.Denied,
                    $"{Resources.Names[(int)resource]}: {Said(old)} -> {Said(@new)}",
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
        CompareDenied(VariablesDenied);
        CompareAudit(old.Audit, @new.Audit);
    }

    void CompareDeniedToMounts() => CompareDenied(MountsDenied);

    /// <param name="denied">What flags may bring by one policy, and may not by the other, which denies it.</param>
    void CompareDenied(
        Func<CompiledPolicy, CompiledPolicy, IEnumerable<(string Flag, SourceSpan Span)>> denied)
    {
        foreach ((string flag, SourceSpan span) in denied(_new, _old))
            Report(Change.Allowed, $"command line: {flag}", span, null);
        foreach ((string flag, SourceSpan span) in denied(_old, _new))
            Report(Change.Denied, $"command line: {flag}", null, span);
    }

    static IEnumerable<(string Flag, SourceSpan Span)> VariablesDenied(CompiledPolicy free, CompiledPolicy denying)
    {
        HashSet<string> variables = [.. free.Model.DeniedVariables.Select(denied => denied.Value)];
        return free.Model.Allows(Freedom.Environment)
            ? denying.Model.DeniedVariables.Where(denied => variables.Add(denied.Value))
                .Select(denied => ($"--env {denied.Value}", denied.Span))
            : [];
    }

    static IEnumerable<(string Flag, SourceSpan Span)> MountsDenied(CompiledPolicy free, CompiledPolicy denying)
    {
        var hidden = new AbovePath<HiddenFile>(free.Model.Hidden, denied => denied.Path, free.Home);
        if (free.Model.Allows(Freedom.Mount))
            foreach (HiddenFile denied in denying.Model.Hidden)
                if (CompiledPolicy.ExpandHome(denied.Path, denying.Home) is string path && hidden.Find(path) is null)
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

    void CompareShown()
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
        Dictionary<string, ShownFile> before = ByPath(_old), after = ByPath(_new);
        AbovePath<ShownFile> oldFolders = Folders(_old), newFolders = Folders(_new);
        AbovePath<HiddenFile> oldHidden = Hidden(_old), newHidden = Hidden(_new);
        foreach ((string path, ShownFile was) in before)
        {
            if (!after.TryGetValue(path, out ShownFile? becomes))
            {
                // What it hid appears.
                if (newHidden.Find(path) is null && newFolders.Find(path) is ShownFile above)
                    Report(Change.Different, $"{path} is something else: {What(was)} -> what {above.Path} has there",
                        was.Span, above.Span);
                else
                    Report(Change.Denied, $"{path} is no longer shown", was.Span, null);
            }
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
        {
            if (before.ContainsKey(path))
                continue;
            if (oldHidden.Find(path) is null && oldFolders.Find(path) is ShownFile above)
                Report(Change.Different, $"{path} is something else: what {above.Path} has there -> {What(becomes)}",
                    above.Span, becomes.Span);
            else
                Report(Change.Allowed, $"{path} is shown", null, becomes.Span);
        }

        static AbovePath<ShownFile> Folders(CompiledPolicy policy) =>
            new(policy.Model.Shown.Where(shown => !shown.IsLeaf), shown => shown.Path, policy.Home);

        static AbovePath<HiddenFile> Hidden(CompiledPolicy policy) =>
            new(policy.Model.Hidden, denied => denied.Path, policy.Home);
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

    static Dictionary<string, ShownFile> ByPath(CompiledPolicy policy)
    {
        var byPath = new Dictionary<string, ShownFile>(StringComparer.Ordinal);
        // ~ and what it stands for may both be there; the first stands for both.
        foreach (ShownFile shown in policy.Model.Shown)
            byPath.TryAdd(CompiledPolicy.ExpandHome(shown.Path, policy.Home), shown);
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
