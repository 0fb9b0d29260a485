using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// What is remarkable about a policy that is right as such. Only what the file itself says is judged: a rule of what
/// it extends may well be left without effect by it, as that is what extending is for.
/// </summary>
public static class Lint
{
    static readonly string[] s_secretPaths =
        ["/", "/etc", "/etc/shadow", "/etc/ssl/private", "/home", "/root", "/run", "/var", "/var/run", "/srv"];

    public static void Check(CompiledPolicy policy, Diagnostics diagnostics)
    {
        PolicyModel model = policy.Model;
        Effects effects = Effects.Of(policy);
        // Before all others, which may be more than are kept.
        foreach (Undecided part in effects.Undecided)
            diagnostics.Add(DiagnosticKind.NotDecided, part.Rule.Span,
                $"whether {DiagnosticKind.Shadowed.Name} holds of the {part.Rules} was not decided: they are too many, "
                    + "or too entangled", part.Advice);
        foreach (IRule rule in model.Rules.Where(rule => rule.Span.Text == model.Source))
        {
            // Without an access of its own it shows something, and decides nothing.
            if (rule is not (DeviceRule or ShownFile { Access: PathAccess.None }) && !effects.Deciding.Contains(rule))
                diagnostics.Add(DiagnosticKind.Shadowed, rule.Span, "no request is ever decided by this rule",
                    "delete it, or change what overrides it");
            if (string.IsNullOrWhiteSpace(rule.Because))
                diagnostics.Add(
                    DiagnosticKind.MissingBecause, rule.Span, $"'{rule.Text}' does not say why", "add because:");
        }

        string home = CompiledPolicy.UserOf(model).Home;
        string[] shownPaths = [.. model.Shown.Select(entry => CompiledPolicy.ExpandHome(entry.Path, home))];
        foreach (PathRule rule in model.PathRules.Where(rule => rule.Span.Text == model.Source))
            CheckPathRule(rule, home, model.Allows(Freedom.Mount) ? ["/"] : shownPaths, diagnostics);
        foreach (ShownFile shown in model.Shown.Where(shown => shown.Span.Text == model.Source))
            CheckShown(shown, diagnostics);
        foreach (NetworkRule rule in model.NetworkRules.Where(rule => rule.Span.Text == model.Source && rule.Allow))
            if (rule.Action == NetworkAction.Connect
                && rule.Targets.Any(target => target.Name is null && target.Block.PrefixLength < 8))
                diagnostics.Add(DiagnosticKind.Broad, rule.Span, "this reaches most of the network",
                    "name hosts or smaller blocks");
        CheckGuest(model, diagnostics);
    }

    /// <param name="shownPaths">Where something is shown or may be mounted.</param>
    static void CheckPathRule(PathRule rule, string home, string[] shownPaths, Diagnostics diagnostics)
    {
        foreach ((Sourced<string> pattern, string prefix) in rule.Patterns.Zip(
            CompiledPolicy.LiteralPrefixes(rule, home)))
        {
            if (!Array.Exists(shownPaths, path => GuestPath.IsWithin(path, prefix) || GuestPath.IsWithin(prefix, path)))
                diagnostics.Add(DiagnosticKind.Impossible, pattern.Span, "nothing is shown at "
                    + $"{Quote.Value(pattern.Value)}, so that no request gets here", "show something there");
            if (rule.Allow && prefix == "/" && (rule.Access & ~PathAccess.Read) != 0)
                diagnostics.Add(DiagnosticKind.Broad, pattern.Span, "this allows more than reading wherever it may be",
                    "begin the pattern with a folder");
        }

        if (rule.Allow && Has(rule.Access, PathAccess.Write, PathAccess.Execute))
            diagnostics.Add(DiagnosticKind.WriteExecute, rule.Span, "what is written here can be run",
                "split it into two rules on different paths");
    }

    static void CheckShown(ShownFile shown, Diagnostics diagnostics)
    {
        bool writable = (shown.Access & (PathAccess.Write | PathAccess.Create | PathAccess.Delete)) != 0;
        bool explained = !string.IsNullOrWhiteSpace(shown.Because);
        if (shown.Kind == ShownKind.Host && writable)
            diagnostics.Add(DiagnosticKind.WorldWritable, shown.Span,
                $"the guest can change {shown.Content} on the host", "leave access out for reading only");
        if (Has(shown.Access, PathAccess.Write, PathAccess.Execute)
            && shown.Kind != ShownKind.Own
            && (shown.Kind == ShownKind.Host || !explained))
            diagnostics.Add(DiagnosticKind.WriteExecute, shown.Span, $"what is written below {shown.Path} can be run",
                "leave out write or execute");
        if (shown.Kind == ShownKind.Memory && (shown.Mode & 0x202) == 0x002)
            diagnostics.Add(DiagnosticKind.WorldWritable, shown.Span, "every guest user can delete the others' files "
                + $"in {shown.Path}", "set the sticky bit, as in mode 1777");
        if (shown.Kind == ShownKind.Host
            && (s_secretPaths.Contains(shown.Content) || shown.Content!.Contains("/.ssh", StringComparison.Ordinal)
            || GuestPath.IsWithin(shown.Content, "/root") || GuestPath.IsWithin(shown.Content, "/etc/ssl/private")))
            diagnostics.Add(DiagnosticKind.SecretPath, shown.Span, $"{shown.Content} often holds secrets",
                "show the files that are needed, one by one");
    }

    static void CheckGuest(PolicyModel model, Diagnostics diagnostics)
    {
        foreach (Resource resource in (ReadOnlySpan<Resource>)[Resource.Time, Resource.Output])
            if (model.Limit(resource) is { Value: Resources.Unlimited } limit
                && limit.Span.Text == model.Source
                && string.IsNullOrWhiteSpace(limit.Because))
                diagnostics.Add(DiagnosticKind.NoLimit, limit.Span, $"{Resources.Names[(int)resource]} has no limit",
                    "set one, or say because: with {value: none}");
        if (model.User is Sourced<string> user
            && CompiledPolicy.UserOf(model).Uid == 0
            && user.Span.Text == model.Source)
            diagnostics.Add(DiagnosticKind.SuperUser, user.Span, "the guest's user may do everything in the guest",
                "name another user");
    }

    static bool Has(PathAccess access, PathAccess one, PathAccess other) =>
        (access & one) != 0 && (access & other) != 0;
}
