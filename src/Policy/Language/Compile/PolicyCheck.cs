namespace Sandbox.Policy.Language;

/// <summary>What a policy must keep to as a whole, after composition.</summary>
static class PolicyCheck
{
    public static void Complete(PolicyModel model, Diagnostics diagnostics)
    {
        var shown = new Dictionary<string, ShownFile>(StringComparer.Ordinal);
        foreach (ShownFile entry in model.Shown)
            if (!shown.TryAdd(entry.Path, entry))
                diagnostics.Add(
                    DiagnosticKind.Conflict, entry.Span, $"{entry.Path} is shown already", $"the other entry is at {shown[entry.Path].Span}");
        int rules = model.Rules.Count();
        if (rules > Binder.MaximumRules)
            diagnostics.Add(
                DiagnosticKind.TooLarge, new SourceSpan(model.Source, 1, 1, 1),
                $"with what it extends the policy has {rules} rules; {Binder.MaximumRules} is the most");
        if (!model.IsFragment)
            RequireLimits(model, diagnostics);
    }

    static void RequireLimits(PolicyModel model, Diagnostics diagnostics)
    {
        foreach (Resource resource in Enum.GetValues<Resource>())
            if (model.Limit(resource) is null)
                diagnostics.Add(
                    DiagnosticKind.MissingKey, new SourceSpan(model.Source, 1, 1, 1),
                    $"neither the policy nor what it extends sets guest.{Resources.Names[(int)resource]}",
                    Resources.UnlimitedWords[(int)resource] is string word ? $"write {word} if nothing shall bound it" : "give it a bound");
    }
}
