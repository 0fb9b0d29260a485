namespace Sandbox.Policy.Language;

/// <summary>
/// An operator's demand for signatures: whose are good, and where the revisions are recorded that were seen.
/// </summary>
public sealed record TrustSettings(IReadOnlyList<PolicyKey> Keys, string Revisions)
{
    const int MaximumKeys = 64;
    const string DefaultRevisions = "/var/lib/sandbox/revisions";

    static readonly ObjectSchema s_schema = new(
        "Whose signatures policies need.",
        new("version", new ChoiceSchema("The version of this file.", "1"), Required: true),
        new("keys", new OneOrMoreSchema("Public keys, in PEM.", new TextSchema("A key.")), Required: true),
        new("revisions",
            new TextSchema("The file that records which revisions were seen, absolute.", "^/", DefaultRevisions)));

    /// <summary>Null after a diagnostic.</summary>
    public static TrustSettings? Read(SourceText source, Diagnostics diagnostics)
    {
        if (YamlReader.Read(source, diagnostics) is not YamlNode node)
            return null;
        SchemaCheck.Check(node, s_schema, "the trust file", diagnostics);
        if (diagnostics.HasErrors)
            return null;
        var root = (YamlMap)node;
        var keys = new List<PolicyKey>();
        foreach (YamlScalar text in Binder.Scalars(root["keys"]).Take(MaximumKeys + 1))
        {
            if (keys.Count == MaximumKeys)
                diagnostics.Add(DiagnosticKind.TooLarge, text.Span, $"{MaximumKeys} keys are the most");
            else if (PolicyKey.TryRead(text.Value, out string problem) is PolicyKey key)
                keys.Add(key);
            else
                diagnostics.Add(
                    DiagnosticKind.BadValue, text.Span, $"this key {problem}", "sandbox policy keygen makes one");
        }

        string revisions = (root["revisions"] as YamlScalar)?.Value ?? DefaultRevisions;
        if (!revisions.StartsWith('/') || revisions.Contains('\0', StringComparison.Ordinal))
            diagnostics.Add(DiagnosticKind.BadValue, root["revisions"]!.Span, "revisions must be an absolute path");
        return diagnostics.HasErrors ? null : new TrustSettings(keys, revisions);
    }
}
