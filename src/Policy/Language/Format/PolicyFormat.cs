namespace Sandbox.Policy.Language;

/// <summary>
/// The one layout of policies and their cases: two spaces for each level, lists set in below their key, one space
/// behind colons and commas, two before a comment, at most one empty line in a row. Words, their quotes, their order,
/// comments, and whether a collection is in brackets stay as they are; brackets that do not fit on a line are opened.
/// </summary>
public static class PolicyFormat
{
    /// <summary>
    /// The text in canonical layout, or null after a diagnostic. It is read again and compared: what would mean
    /// something else, or lose a comment, is never returned.
    /// </summary>
    public static string? Format(SourceText source, Diagnostics diagnostics)
    {
        if (YamlReader.Read(source, diagnostics) is not YamlNode before || diagnostics.HasErrors)
            return null;
        (string text, List<Comment> comments) = Write(source.Content.ReplaceLineEndings("\n"));
        var written = new SourceText(source.Name, text);
        if (YamlReader.Read(written, new Diagnostics()) is YamlNode after && IsSame(before, after))
        {
            (string again, List<Comment> kept) = Write(text);
            if (again == text && Sorted(comments).SequenceEqual(Sorted(kept)))
                return text;
        }

        diagnostics.Add(
            DiagnosticKind.Syntax, new SourceSpan(source, 1, 1, 1),
            "the file is written in a way that cannot be formatted",
            "write its values in a simpler way");
        return null;
    }

    static bool IsSame(YamlNode a, YamlNode b) => (a, b) switch
    {
        // Only words can be more than their text; several lines are quoted where they have to stand on one.
        (YamlScalar one, YamlScalar other) => one.Value == other.Value
            && (one.Plain == other.Plain || one.Value.Contains('\n', StringComparison.Ordinal)),
        (YamlList one, YamlList other) =>
            one.Items.Count == other.Items.Count
                && one.Items.Zip(other.Items).All(pair => IsSame(pair.First, pair.Second)),
        (YamlMap one, YamlMap other) =>
            one.Entries.Count == other.Entries.Count
            && one.Entries.Zip(other.Entries)
            .All(pair => IsSame(pair.First.Key, pair.Second.Key) && IsSame(pair.First.Value, pair.Second.Value)),
        _ => false,
    };

    static (string Text, List<Comment> Comments) Write(string text)
    {
        LayoutNode layout = LayoutNode.Read(text);
        List<Comment> comments = Comments.Find(text, layout);
        return (LayoutWriter.Write(text, layout, comments), comments);
    }

    /// <summary>One between a key and its value comes to stand before both.</summary>
    static IEnumerable<string> Sorted(List<Comment> comments) =>
        comments.Select(comment => comment.Text).Order(StringComparer.Ordinal);
}
