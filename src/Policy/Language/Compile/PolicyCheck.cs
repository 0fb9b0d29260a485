namespace Sandbox.Policy.Language;

/// <summary>What a policy must keep to as a whole, after composition.</summary>
public static class PolicyCheck
{
    /// <summary>Paths, and addresses and names of hosts, in all rules together.</summary>
    const int MaximumPlaces = 20_000;

    /// <summary>System calls in all rules together: a rule on @all has 512.</summary>
    const int MaximumCalls = 200_000;

    internal static void Complete(PolicyModel model, Diagnostics diagnostics)
    {
        foreach ((ShownFile entry, ShownFile other) in ShownTwice(model, CompiledPolicy.UserOf(model).Home))
            diagnostics.Add(
                DiagnosticKind.Conflict, entry.Span, $"{entry.Path} is shown already",
                $"the other entry is at {other.Span}");
        Bound(model.PathRules.Sum(rule => rule.Patterns.Count) + model.NetworkRules.Sum(rule => rule.Targets.Count),
            MaximumPlaces, "paths and addresses in its rules");
        Bound(model.SystemCallRules.Sum(rule => rule.Numbers.Count), MaximumCalls, "system calls in its rules");
        if (!model.IsFragment)
            RequireLimits(model, diagnostics);

        void Bound(int count, int most, string what)
        {
            if (count > most)
                diagnostics.Add(
                    DiagnosticKind.TooLarge, new SourceSpan(model.Source, 1, 1, 1),
                    $"with what it extends the policy has {count} {what}; {most} is the most");
        }
    }

    /// <summary>
    /// Entries for a path that another one before them is for, also where only one of the two says ~.
    /// </summary>
    /// <param name="home">What ~ stands for.</param>
    public static IEnumerable<(ShownFile Entry, ShownFile Other)> ShownTwice(PolicyModel model, string home)
    {
        var shown = new Dictionary<string, ShownFile>(StringComparer.Ordinal);
        foreach (ShownFile entry in model.Shown)
        {
            string path = CompiledPolicy.ExpandHome(entry.Path, home);
            if (!shown.TryAdd(path, entry))
                yield return (entry, shown[path]);
        }
    }

    static void RequireLimits(PolicyModel model, Diagnostics diagnostics)
    {
        foreach (Resource resource in Enum.GetValues<Resource>())
            if (model.Limit(resource) is null)
                diagnostics.Add(
                    DiagnosticKind.MissingKey, new SourceSpan(model.Source, 1, 1, 1),
                    $"neither the policy nor what it extends sets guest.{Resources.Names[(int)resource]}",
                    Resources.UnlimitedWords[(int)resource] is string word
                        ? $"write {word} if nothing shall bound it"
                        : "give it a bound");
    }
}
