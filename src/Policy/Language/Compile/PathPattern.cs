using System.Text;

namespace Sandbox.Policy.Language;

enum NamePatternKind
{
    /// <summary>Exactly this name.</summary>
    Literal,
    /// <summary>A name with * in it.</summary>
    Glob,
    /// <summary>**: any number of names, none included.</summary>
    AnyNames,
}

/// <summary>One component of a pattern.</summary>
/// <param name="Pieces">UTF-8 text between the stars: one piece for a literal, n + 1 for n stars.</param>
sealed record NamePattern(NamePatternKind Kind, string Key, IReadOnlyList<byte[]> Pieces)
{
    public static NamePattern AnyNames { get; } = new(NamePatternKind.AnyNames, "**", []);

    public static NamePattern Literal(string name) =>
        new(NamePatternKind.Literal, name, [Encoding.UTF8.GetBytes(name)]);
}

/// <summary>
/// A path pattern: names between slashes, * within a name, ** as a whole name. Everything else that shells give a
/// meaning to is refused unless a backslash stands before it, so that no pattern means less or more than it seems to.
/// </summary>
sealed class PathPattern
{
    const string Reserved = "?[]{}";
    const string Special = Reserved + "*\\";

    PathPattern(bool fromHome, List<NamePattern> names)
    {
        FromHome = fromHome;
        Names = names;
    }

    /// <summary>Begins with ~, the guest user's home.</summary>
    public bool FromHome { get; }

    public IReadOnlyList<NamePattern> Names { get; }

    /// <param name="problem">What is wrong, when null is returned.</param>
    public static PathPattern? TryParse(string text, out string problem)
    {
        problem = Problem(text);
        if (problem.Length > 0)
            return null;
        bool home = text[0] == '~';
        string rest = home ? text[1..] : text;
        var names = new List<NamePattern>();
        if (rest.Length <= 1)
            return rest.Length == 0 || !home
                ? new PathPattern(home, names)
                : Fail("ends with a slash; leave it out", out problem);
        foreach (string name in rest[1..].Split('/'))
        {
            if (ParseName(name, out problem) is not NamePattern parsed)
                return null;
            // Two in a row mean what one means.
            if (parsed.Kind != NamePatternKind.AnyNames || names is not [.., { Kind: NamePatternKind.AnyNames }])
                names.Add(parsed);
        }

        return new PathPattern(home, names);
    }

    /// <summary>The pattern's names with the home's before them.</summary>
    public IReadOnlyList<NamePattern> Expand(string home) => FromHome ? [.. LiteralNames(home), .. Names] : Names;

    public static IEnumerable<NamePattern> LiteralNames(string path) =>
        path.Split('/', StringSplitOptions.RemoveEmptyEntries).Select(NamePattern.Literal);

    /// <summary>Text as a pattern that matches nothing else.</summary>
    public static string Escape(string text) => string.Concat(
        text.Select(c => Special.Contains(c, StringComparison.Ordinal) ? $"\\{c}" : $"{c}"));

    /// <summary>What text stands for in which no pattern may be.</summary>
    /// <param name="problem">What is wrong, when null is returned.</param>
    public static string? Literal(string text, out string problem)
    {
        problem = "";
        var literal = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            bool escaped = text[i] == '\\';
            if (escaped && (++i == text.Length || !IsEscapable(text[i])))
                problem = EscapesNothing;
            else if (!escaped && Special.Contains(text[i], StringComparison.Ordinal))
                problem = NoMeaning(text[i]);
            if (problem.Length > 0)
                return null;
            literal.Append(text[i]);
        }

        return literal.ToString();
    }

    const string EscapesNothing = "holds a backslash that escapes nothing; write \\\\ for a backslash itself";

    static string NoMeaning(char c) => $"holds {c}, which has no meaning here; write \\{c} for the character itself";

    static bool IsEscapable(char c) => c == '~' || Special.Contains(c, StringComparison.Ordinal);

    static string Problem(string text)
    {
        if (text.Length == 0 || (text[0] != '/' && text[0] != '~'))
            return "must begin with / or with ~ for the guest user's home";
        if (text.Length > 1 && text[0] == '~' && text[1] != '/')
            return "names another user's home; only ~ and ~/ are known";
        return Encoding.UTF8.GetByteCount(text) > 4095 ? "is longer than 4095 bytes" : "";
    }

    static PathPattern? Fail(string why, out string problem)
    {
        problem = why;
        return null;
    }

    static NamePattern? ParseName(string name, out string problem)
    {
        problem = name switch
        {
            "" => "has an empty name (two slashes, or one at the end); leave it out",
            "." or ".." => $"holds '{name}'; paths are compared after . and .. are resolved",
            _ => "",
        };
        if (problem.Length > 0)
            return null;
        if (name == "**")
            return NamePattern.AnyNames;
        var pieces = new List<byte[]>();
        var piece = new StringBuilder();
        for (int i = 0; i < name.Length; i++)
        {
            char c = name[i];
            if (c == '\\')
            {
                if (++i == name.Length || !IsEscapable(name[i]))
                {
                    problem = EscapesNothing;
                    return null;
                }

                piece.Append(name[i]);
            }
            else if (c == '*')
            {
                if (i + 1 < name.Length && name[i + 1] == '*')
                {
                    problem = "holds ** within a name; ** must be a whole name, as in /work/**/x";
                    return null;
                }

                pieces.Add(Encoding.UTF8.GetBytes(piece.ToString()));
                piece.Clear();
            }
            else if (Reserved.Contains(c, StringComparison.Ordinal))
            {
                problem = NoMeaning(c);
                return null;
            }
            else
                piece.Append(c);
        }

        pieces.Add(Encoding.UTF8.GetBytes(piece.ToString()));
        if (pieces.Sum(part => part.Length) > GuestPath.MaximumNameBytes)
        {
            problem = $"has a name longer than {GuestPath.MaximumNameBytes} bytes";
            return null;
        }

        return pieces.Count == 1
            ? new NamePattern(NamePatternKind.Literal, piece.ToString(), pieces)
            : new NamePattern(NamePatternKind.Glob, name, pieces);
    }
}
