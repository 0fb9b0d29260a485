using System.Text;
using YamlDotNet.Core;

namespace Sandbox.Policy.Language;

/// <summary>Writes a YAML value in canonical layout, each comment beside what it stands beside.</summary>
sealed class LayoutWriter
{
    const int MaximumColumns = 120;

    static readonly Comparer<Comment> s_byOffset = Comparer<Comment>.Create((a, b) => a.Offset.CompareTo(b.Offset));

    readonly string _source;
    readonly List<Comment> _comments;
    readonly LineTable _lines;
    readonly StringBuilder _text = new();
    int _next;

    /// <summary>An empty line here would become a part of the value above, or is the first of its collection.</summary>
    bool _noEmptyLine = true;

    LayoutWriter(string source, List<Comment> comments)
    {
        _source = source;
        _comments = comments;
        _lines = new LineTable(source);
    }

    /// <param name="source">Its lines end in \n.</param>
    public static string Write(string source, LayoutNode root, List<Comment> comments)
    {
        var writer = new LayoutWriter(source, comments);
        if (writer.InLine(root, 0, 0) is string line)
        {
            writer.WriteComments(0, root.Start);
            writer.WriteLine(0, line, EndOf(root));
        }
        else if (root is LayoutScalar scalar)
            writer.WriteLong(0, "", scalar, 0);
        else
            writer.WriteCollection((LayoutCollection)root, 0, "");
        writer.WriteComments(0, source.Length);
        return writer._text.ToString();
    }

    /// <summary>The children of a collection, each on lines of its own.</summary>
    /// <param name="lead">
    /// What stands before the first of them on its line, as the dash of a list within a list.
    /// </param>
    void WriteCollection(LayoutCollection collection, int indent, string lead)
    {
        int step = collection.IsMap ? 2 : 1;
        for (int i = 0; i < collection.Children.Count; i += step)
        {
            LayoutNode first = collection.Children[i];
            int column = i == 0 ? indent - lead.Length : indent;
            if (i > 0 || lead.Length == 0)
                WriteBefore(first.Start, column);
            string mark = (i == 0 ? lead : "") + (collection.IsMap ? KeyText((LayoutScalar)first) + ":" : "-");
            WriteEntry(column, mark, first, collection.IsMap ? collection.Children[i + 1] : first, indent);
        }

        WriteCommentsAtEnd(collection, indent);
    }

    /// <param name="column">Where the line begins.</param>
    /// <param name="mark">
    /// What stands before the value: a key with its colon, a dash, and dashes of lists around.
    /// </param>
    /// <param name="indent">Of the entry itself, which is further right behind such dashes.</param>
    void WriteEntry(int column, string mark, LayoutNode first, LayoutNode value, int indent)
    {
        bool isMapEntry = !ReferenceEquals(first, value);
        int inner = indent + 2;
        if (InLine(value, column + mark.Length + 1, inner) is string line)
        {
            // A comment between a key and its value: there is no place between them.
            WriteComments(column, value.Start);
            WriteLine(column, line.Length == 0 ? mark : $"{mark} {line}", EndOf(value));
        }
        else if (value is LayoutScalar scalar)
        {
            WriteComments(column, value.Start);
            WriteLong(column, mark + " ", scalar, inner);
        }
        else if (isMapEntry)
        {
            WriteLine(column, mark, first.End);
            _noEmptyLine = true;
            WriteCollection((LayoutCollection)value, inner, "");
        }
        else
        {
            WriteComments(column, FirstOf(value).Start);
            WriteCollection((LayoutCollection)value, inner, mark + " ");
        }
    }

    static LayoutNode FirstOf(LayoutNode node) =>
        node is LayoutCollection { Children: [LayoutNode first, ..] } ? FirstOf(first) : node;

    static int EndOf(LayoutNode node) => node is LayoutCollection { IsFlow: true } ? node.End + 1 : node.End;

    /// <summary>The value as it stands behind its mark; null when it takes lines of its own.</summary>
    string? InLine(LayoutNode node, int column, int inner)
    {
        if (node is LayoutScalar scalar)
            return scalar.IsBlock && BlockLines(scalar, inner) is not null || IsLongPlain(scalar)
                ? null
                : ScalarText(scalar);
        var collection = (LayoutCollection)node;
        if (!collection.IsFlow)
            return null;
        string text = FlowText(collection);
        return collection.Children.Count > 0 && (HoldsComment(collection) || column + text.Length > MaximumColumns)
            ? null
            : text;
    }

    bool HoldsComment(LayoutCollection collection)
    {
        int first = _comments.BinarySearch(new Comment(collection.Start, "", false), s_byOffset);
        first = first < 0 ? ~first : first;
        return first < _comments.Count && _comments[first].Offset < collection.End;
    }

    string FlowText(LayoutNode node)
    {
        if (node is LayoutScalar scalar)
            return ScalarText(scalar);
        var collection = (LayoutCollection)node;
        IReadOnlyList<LayoutNode> children = collection.Children;
        if (!collection.IsMap)
            return $"[{string.Join(", ", children.Select(FlowText))}]";
        IEnumerable<string> pairs = Enumerable.Range(0, children.Count / 2)
            .Select(i => $"{KeyText((LayoutScalar)children[2 * i])}: {FlowText(children[2 * i + 1])}");
        return $"{{{string.Join(", ", pairs)}}}";
    }

    string KeyText(LayoutScalar key) => key.IsBlock ? DoubleQuoted(key.Value) : ScalarText(key);

    /// <summary>On one line: as it is written, or, if that takes several, with the same value.</summary>
    string ScalarText(LayoutScalar scalar)
    {
        string written = _source[scalar.Start..scalar.End];
        if (scalar.Style == ScalarStyle.Plain)
            return written.AsSpan().IndexOf('\n') < 0 ? written : scalar.Value;
        return scalar.IsBlock || written.AsSpan().IndexOf('\n') >= 0 ? DoubleQuoted(scalar.Value) : written;
    }

    bool IsLongPlain(LayoutScalar scalar) =>
        scalar.Style == ScalarStyle.Plain && _source.AsSpan()[scalar.Start..scalar.End].IndexOf('\n') >= 0;

    /// <summary>A scalar that goes over several lines.</summary>
    void WriteLong(int column, string mark, LayoutScalar scalar, int inner)
    {
        if (!scalar.IsBlock)
        {
            string[] plain = [.. _source[scalar.Start..scalar.End].Split('\n').Select(line => line.Trim())];
            WriteRaw(column, mark + plain[0]);
            for (int i = 1; i < plain.Length - 1; i++)
                WriteRaw(inner, plain[i]);
            WriteLine(inner, plain[^1], scalar.End);
            return;
        }

        (string header, List<string> lines) = BlockLines(scalar, inner)!.Value;
        WriteLine(column, mark + header, scalar.Start + header.Length);
        foreach (string line in lines)
            WriteRaw(inner, line);
        _noEmptyLine = header.EndsWith('+');
    }

    /// <summary>A block scalar's mark and its lines without their indentation; null when it must be told.</summary>
    (string Header, List<string> Lines)? BlockLines(LayoutScalar scalar, int inner)
    {
        string[] all = _source[scalar.Start..scalar.End].Split('\n');
        int hash = all[0].IndexOf('#', StringComparison.Ordinal);
        string header = (hash < 0 ? all[0] : all[0][..hash]).Trim();
        List<string> lines = [.. all[1..]];
        // The last line's end is not the beginning of another.
        if (lines.Count > 0 && lines[^1].Trim(' ').Length == 0)
            lines.RemoveAt(lines.Count - 1);
        if (!header.EndsWith('+'))
            while (lines.Count > 0 && lines[^1].Trim(' ').Length == 0)
                lines.RemoveAt(lines.Count - 1);
        if (inner == 0
            || header.Any(char.IsAsciiDigit)
            || lines.Find(line => line.Trim(' ').Length > 0) is not string first)
            return null;
        int indent = first.Length - first.TrimStart(' ').Length;
        return (header, [.. lines.Select(line => line.Length > indent ? line[indent..] : "")]);
    }

    static string DoubleQuoted(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (char c in text)
            quoted.Append(c switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\t' => "\\t",
                '\r' => "\\r",
                _ => char.IsControl(c) || c is '\u2028' or '\u2029' or '\ufeff' || char.IsSurrogate(c)
                    ? $"\\u{(int)c:x4}"
                    : c.ToString(),
            });
        return quoted.Append('"').ToString();
    }

    /// <summary>
    /// What stands before an entry: comments that end above it, and an empty line where there was one.
    /// </summary>
    void WriteBefore(int offset, int indent)
    {
        WriteComments(indent, offset);
        WriteEmptyLine(offset);
    }

    /// <summary>The comments before an offset that have no place yet, each on a line of its own.</summary>
    void WriteComments(int indent, int before)
    {
        for (; _next < _comments.Count && _comments[_next].Offset < before; _next++)
        {
            WriteEmptyLine(_comments[_next].Offset);
            WriteRaw(indent, _comments[_next].Text);
        }
    }

    /// <summary>Comments below the last entry belong to it if they stand as far to the right.</summary>
    void WriteCommentsAtEnd(LayoutCollection collection, int indent)
    {
        int column = _lines.ColumnOf(collection.Start);
        while (_next < _comments.Count && _comments[_next] is Comment comment && comment.Offset < collection.End
            && (collection.IsFlow || (comment.IsAlone && column > 0 && _lines.ColumnOf(comment.Offset) >= column)))
            WriteComments(indent, comment.Offset + 1);
    }

    void WriteEmptyLine(int offset)
    {
        if (_noEmptyLine || !_lines.FollowsEmptyLine(offset))
            return;
        _text.Append('\n');
        _noEmptyLine = true;
    }

    /// <summary>A line, and the comment that stands behind it.</summary>
    /// <param name="end">Where what it says ends in the source.</param>
    void WriteLine(int indent, string text, int end)
    {
        if (_next < _comments.Count && _comments[_next] is { IsAlone: false } comment && comment.Offset >= end
            && _source.AsSpan()[end..comment.Offset].IndexOfAnyExcept(" \t,:") < 0)
        {
            text += $"  {comment.Text}";
            _next++;
        }

        WriteRaw(indent, text);
    }

    void WriteRaw(int indent, string text)
    {
        if (text.Length > 0)
            _text.Append(' ', indent).Append(text);
        _text.Append('\n');
        _noEmptyLine = false;
    }
}
