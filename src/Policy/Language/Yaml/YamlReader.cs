using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Sandbox.Policy.Language;

/// <summary>
/// Reads the part of YAML that policies are written in: one document of maps, lists and scalars. What has a meaning
/// beyond its text (anchors, aliases, tags, merge keys) is refused, so that a file says what it looks like.
/// </summary>
sealed class YamlReader
{
    /// <summary>Bytes of UTF-8 in one file.</summary>
    public const int MaximumBytes = 1 << 20;

    const int MaximumDepth = 16;

    /// <summary>Maps, lists and scalars together; 10,000 rules with a dozen values each.</summary>
    const int MaximumNodes = 250_000;

    readonly SourceText _text;
    readonly Diagnostics _diagnostics;
    readonly Parser _parser;
    int _nodes;

    YamlReader(SourceText text, Diagnostics diagnostics)
    {
        _text = text;
        _diagnostics = diagnostics;
        _parser = new Parser(new Scanner(new StringReader(text.Content), skipComments: true));
    }

    /// <summary>The document, or null after a diagnostic.</summary>
    public static YamlNode? Read(SourceText text, Diagnostics diagnostics)
    {
        var start = new SourceSpan(text, 1, 1, 1);
        if (System.Text.Encoding.UTF8.GetByteCount(text.Content) > MaximumBytes)
        {
            diagnostics.Add(DiagnosticKind.TooLarge, start, $"the file is larger than {MaximumBytes} bytes",
                "split it with extends");
            return null;
        }

        // The scanner takes byte order marks and other characters than people see for content.
        int strange = IndexOfUnprintable(text.Content);
        if (strange >= 0)
        {
            diagnostics.Add(DiagnosticKind.Syntax, At(text, strange),
                $"the character U+{Character(text.Content, strange):X4} cannot be in a policy",
                "write it as an escape in double quotes, or leave it out");
            return null;
        }

        try
        {
            return new YamlReader(text, diagnostics).ReadDocument(start);
        }
        catch (YamlException mistake)
        {
            diagnostics.Add(DiagnosticKind.Syntax, SpanOf(text, mistake.Start, mistake.Start), Sentence(mistake));
            return null;
        }
        catch (RefusedException)
        {
            return null;
        }
    }

    static int IndexOfUnprintable(string text)
    {
        for (int i = 0; i < text.Length; i++)
            if (IsUnprintable(text, i))
                return i;
        return -1;
    }

    /// <summary>
    /// Whether people see something else at a place than what is read: controls, what ends a line for one reader and
    /// not for another, and what is invisible or turns the direction of text.
    /// </summary>
    public static bool IsUnprintable(string text, int at)
    {
        char c = text[at];
        if (c < ' ')
            return c is not ('\n' or '\t') && !(c == '\r' && at + 1 < text.Length && text[at + 1] == '\n');
        if (c < '\x7f')
            return false;
        return c is < '\xa0' or '\u2028' or '\u2029' or '\ufffe' or '\uffff'
            || CharUnicodeInfo.GetUnicodeCategory(text, at) == UnicodeCategory.Format;
    }

    static int Character(string text, int at) =>
        char.IsSurrogatePair(text, at) ? char.ConvertToUtf32(text, at) : text[at];

    static SourceSpan At(SourceText text, int offset)
    {
        ReadOnlySpan<char> before = text.Content.AsSpan(0, offset);
        return new SourceSpan(text, before.Count('\n') + 1, offset - (before.LastIndexOf('\n') + 1) + 1, 1);
    }

    static string Sentence(YamlException mistake)
    {
        string message = mistake.Message.ReplaceLineEndings(" ").TrimEnd('.');
        return "this is not YAML: "
            + (message.Length == 0 ? "it cannot be parsed" : char.ToLowerInvariant(message[0]) + message[1..]);
    }

    YamlNode? ReadDocument(SourceSpan start)
    {
        Next<StreamStart>();
        if (_parser.Current is StreamEnd)
        {
            _diagnostics.Add(DiagnosticKind.Syntax, start, "the file is empty", "a policy begins with version: 1");
            return null;
        }

        Next<DocumentStart>();
        YamlNode node = ReadNode(0);
        Next<DocumentEnd>();
        if (_parser.Current is DocumentStart second)
            throw Refuse(DiagnosticKind.Syntax, second, "a second document begins here",
                "keep each policy in a file of its own");
        return node;
    }

    YamlNode ReadNode(int depth)
    {
        ParsingEvent current = _parser.Current!;
        if (current is AnchorAlias)
            throw Refuse(DiagnosticKind.Anchor, current, "aliases are not part of the language",
                "write the value out, or share it with extends");
        if (current is NodeEvent { Anchor.IsEmpty: false })
            throw Refuse(DiagnosticKind.Anchor, current, "anchors are not part of the language",
                "write the value out, or share it with extends");
        if (current is NodeEvent { Tag.IsEmpty: false } tagged && !tagged.Tag.IsNonSpecific)
            throw Refuse(
                DiagnosticKind.Anchor, current, "tags are not part of the language", "write the value without its tag");
        if (++_nodes > MaximumNodes)
            throw Refuse(DiagnosticKind.TooLarge, current, $"the file holds more than {MaximumNodes} values",
                "split it with extends");
        if (depth > MaximumDepth)
            throw Refuse(DiagnosticKind.TooLarge, current, $"values are nested more than {MaximumDepth} deep");
        switch (current)
        {
            case Scalar scalar:
                Advance();
                return new YamlScalar(
                    SpanOf(_text, scalar.Start, scalar.End), scalar.Value, scalar.Style == ScalarStyle.Plain);
            case SequenceStart:
                return ReadList(depth);
            case MappingStart:
                return ReadMap(depth);
            default:
                throw Refuse(DiagnosticKind.Syntax, current, "a value is missing here");
        }
    }

    YamlList ReadList(int depth)
    {
        SourceSpan span = SpanOf(_text, _parser.Current!.Start, _parser.Current.Start);
        Advance();
        var items = new List<YamlNode>();
        while (_parser.Current is not SequenceEnd)
            items.Add(ReadNode(depth + 1));
        Advance();
        return new YamlList(span, items);
    }

    YamlMap ReadMap(int depth)
    {
        SourceSpan span = SpanOf(_text, _parser.Current!.Start, _parser.Current.Start);
        Advance();
        var entries = new List<KeyValuePair<YamlScalar, YamlNode>>();
        Dictionary<string, SourceSpan>? seen = null;
        while (_parser.Current is not MappingEnd)
        {
            ParsingEvent at = _parser.Current!;
            if (ReadNode(depth + 1) is not YamlScalar key)
                throw Refuse(DiagnosticKind.Syntax, at, "a key must be a word");
            YamlNode value = ReadNode(depth + 1);
            if (FirstOf(key.Value, entries, ref seen) is SourceSpan first)
                _diagnostics.Add(DiagnosticKind.DuplicateKey, key.Span,
                    $"{Quote.Value(key.Value)} is given twice; the first is on line {first.Line}");
            else
            {
                seen?.Add(key.Value, key.Span);
                entries.Add(new(key, value));
            }
        }

        Advance();
        return new YamlMap(span, entries);
    }

    /// <summary>
    /// Where a key stands already. Few are gone through; the maps of policies are small, and there are many.
    /// </summary>
    /// <param name="seen">Made once there are more.</param>
    static SourceSpan? FirstOf(
        string key, List<KeyValuePair<YamlScalar, YamlNode>> entries, ref Dictionary<string, SourceSpan>? seen)
    {
        const int few = 16;
        if (entries.Count < few)
        {
            foreach ((YamlScalar known, YamlNode _) in entries)
                if (known.Value == key)
                    return known.Span;
            return null;
        }

        seen ??= entries.ToDictionary(entry => entry.Key.Value, entry => entry.Key.Span, StringComparer.Ordinal);
        return seen.TryGetValue(key, out SourceSpan first) ? first : null;
    }

    void Next<T>() where T : ParsingEvent
    {
        if (_parser.Current is null)
            Advance();
        if (_parser.Current is not T)
            throw Refuse(DiagnosticKind.Syntax, _parser.Current!, "this does not belong here");
        Advance();
    }

    void Advance()
    {
        bool more;
        try
        {
            more = _parser.MoveNext();
        }
        catch (Exception slip) when (slip is InvalidOperationException or ArgumentException or IndexOutOfRangeException)
        {
            // The library's scanner trips over some malformed scalars where it means to refuse them.
            Mark at = _parser.Current?.End ?? Mark.Empty;
            throw new YamlException(at, at, "a value behind this place is malformed", slip);
        }

        if (!more)
            throw new YamlException("the file ends too early");
    }

    RefusedException Refuse(DiagnosticKind kind, ParsingEvent at, string message, string? advice = null)
    {
        _diagnostics.Add(kind, SpanOf(_text, at.Start, at.End), message, advice);
        return new RefusedException();
    }

    static SourceSpan SpanOf(SourceText text, Mark start, Mark end)
    {
        int line = (int)Math.Max(start.Line, 1), column = (int)Math.Max(start.Column, 1);
        int length = end.Line == start.Line
            ? (int)(end.Column - start.Column)
            : text.Line(line).Length - column + 1;
        return new SourceSpan(text, line, column, Math.Max(length, 1));
    }

    /// <summary>Ends reading; the diagnostic has been made.</summary>
    sealed class RefusedException : Exception;
}
