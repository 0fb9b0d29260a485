using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Sandbox.Policy.Language;

/// <summary>
/// A YAML value with what its text looks like: where it begins and ends, and in which style it is written.
/// </summary>
/// <param name="Start">Offset of its first character.</param>
/// <param name="End">Offset behind its last character; of a flow collection, that of its closing bracket.</param>
abstract record LayoutNode(int Start, int End)
{
    /// <summary>The value of a text that <see cref="YamlReader"/> has read without a finding.</summary>
    public static LayoutNode Read(string text)
    {
        var parser = new Parser(new Scanner(new StringReader(text), skipComments: true));
        while (parser.Current is not DocumentStart)
            parser.MoveNext();
        parser.MoveNext();
        return Read(parser, text.Length);
    }

    /// <param name="length">
    /// Of the text: the library's marks of values that are not written out may lie behind it, or end before they begin.
    /// </param>
    static LayoutNode Read(Parser parser, int length)
    {
        ParsingEvent first = parser.Current!;
        parser.MoveNext();
        int start = (int)Math.Min(first.Start.Index, length);
        if (first is Scalar scalar)
            return new LayoutScalar(
                start, (int)Math.Clamp(scalar.End.Index, start, length), scalar.Value, scalar.Style);
        bool map = first is MappingStart;
        bool flow = map
            ? ((MappingStart)first).Style == MappingStyle.Flow
            : ((SequenceStart)first).Style == SequenceStyle.Flow;
        var children = new List<LayoutNode>();
        while (parser.Current is not (MappingEnd or SequenceEnd))
            children.Add(Read(parser, length));
        int end = (int)Math.Clamp(parser.Current!.Start.Index, start, length);
        parser.MoveNext();
        return new LayoutCollection(start, end, map, flow, children);
    }
}

sealed record LayoutScalar(int Start, int End, string Value, ScalarStyle Style) : LayoutNode(Start, End)
{
    public bool IsBlock => Style is ScalarStyle.Literal or ScalarStyle.Folded;
}

/// <param name="IsMap">Then the children are keys and values in turn.</param>
/// <param name="IsFlow">In brackets or braces.</param>
sealed record LayoutCollection(int Start, int End, bool IsMap, bool IsFlow, IReadOnlyList<LayoutNode> Children)
    : LayoutNode(Start, End);
