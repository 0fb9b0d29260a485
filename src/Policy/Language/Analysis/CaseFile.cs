namespace Sandbox.Policy.Language;

/// <summary>One case of a policy's tests.</summary>
/// <param name="By">
/// The text of the rule that is to decide, or its file:line; "none" for no rule; null when that is open.
/// </param>
public sealed record PolicyCase(SourceSpan Span, Request Request, bool Allowed, string? By);

/// <summary>What became of a case.</summary>
/// <param name="Problem">Null when it passed.</param>
public sealed record CaseResult(PolicyCase Case, string? Problem, IRule? Rule);

/// <summary>The cases that belong to a policy: requests and the answers that they must get.</summary>
public sealed record CaseFile(SourceText Source, string Policy, IReadOnlyList<PolicyCase> Cases)
{
    const int MaximumCases = 10_000;

    static readonly ObjectSchema s_schema = new(
        "Cases of a policy.",
        new("policy", new TextSchema("The policy, relative to this file."), Required: true),
        new("cases", new ListSchema("Requests and their answers.", new ObjectSchema(
            "One request.",
            new("request", new TextSchema(Request.Forms), Required: true),
            new("expect", new ChoiceSchema("The answer.", "allow", "deny"), Required: true),
            new("by", new TextSchema("The deciding rule: its text, file:line, or none.")))), Required: true));

    /// <param name="home">What ~ in requests stands for.</param>
    public static CaseFile? Read(SourceText source, string home, Diagnostics diagnostics)
    {
        if (YamlReader.Read(source, diagnostics) is not YamlNode node)
            return null;
        SchemaCheck.Check(node, s_schema, "a file of cases", diagnostics);
        if (diagnostics.HasErrors)
            return null;
        var root = (YamlMap)node;
        var cases = new List<PolicyCase>();
        var requests = new Dictionary<string, SourceSpan>(StringComparer.Ordinal);
        var items = (YamlList)root["cases"]!;
        if (items.Items.Count > MaximumCases)
            diagnostics.Add(DiagnosticKind.TooLarge, items.Span,
                $"the file has {items.Items.Count} cases; {MaximumCases} is the most", "split it");
        foreach (YamlMap item in items.Items.Cast<YamlMap>().Take(MaximumCases))
        {
            var text = (YamlScalar)item["request"]!;
            if (Request.TryParse(text.Value, home, out string problem) is not Request request)
                diagnostics.Add(DiagnosticKind.BadValue, text.Span, problem);
            else if (!requests.TryAdd($"{request}", text.Span))
                diagnostics.Add(DiagnosticKind.Conflict, text.Span,
                    $"this case says nothing new; the same request is at {requests[$"{request}"]}");
            else
                cases.Add(new PolicyCase(text.Span, request, ((YamlScalar)item["expect"]!).Value == "allow",
                    (item["by"] as YamlScalar)?.Value));
        }

        return diagnostics.HasErrors ? null : new CaseFile(source, ((YamlScalar)root["policy"]!).Value, cases);
    }

    public IReadOnlyList<CaseResult> Run(CompiledPolicy policy)
    {
        HashSet<string> known = [.. policy.Model.Rules.SelectMany(rule => (string[])[rule.Text, PlaceOf(rule)])];
        return [.. Cases.Select(one => Run(policy, one, known))];
    }

    /// <param name="known">What the policy's rules are called.</param>
    static CaseResult Run(CompiledPolicy policy, PolicyCase one, HashSet<string> known)
    {
        Decision decision = Ask.About(policy, one.Request);
        string by = decision.Rule is null ? "none" : $"'{decision.Rule.Text}' ({decision.Rule.Span})";
        string? problem = null;
        if (one.By is not (null or "none") && !known.Contains(one.By))
            problem = $"no rule of the policy is {Quote.Value(one.By)}";
        else if (decision.Allowed != one.Allowed)
            problem = $"is {(decision.Allowed ? "allowed" : "denied")}, by {by}";
        else if (one.By is not null && !(decision.Rule is null ? one.By == "none" : Is(decision.Rule, one.By)))
            problem = $"is decided by {by} instead of {Quote.Value(one.By)}";
        return new CaseResult(one, problem, decision.Rule);
    }

    static bool Is(IRule rule, string by) => rule.Text == by || PlaceOf(rule) == by;

    static string PlaceOf(IRule rule) => $"{rule.Span.Text.Name}:{rule.Span.Line}";

    /// <summary>Rules of the policy's own file that no case has reached.</summary>
    public static IReadOnlyList<IRule> Unreached(CompiledPolicy policy, IEnumerable<CaseResult> results)
    {
        var reached = results.Where(result => result.Rule is not null).Select(result => result.Rule!)
            .ToHashSet(ReferenceEqualityComparer.Instance);
        return [.. policy.Model.Rules.Where(rule => rule.Span.Text == policy.Model.Source && !reached.Contains(rule))];
    }
}
