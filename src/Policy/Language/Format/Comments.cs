namespace Sandbox.Policy.Language;

/// <param name="Offset">Of its #.</param>
/// <param name="IsAlone">Nothing stands before it on its line.</param>
readonly record struct Comment(int Offset, string Text, bool IsAlone);

/// <summary>
/// The comments of a YAML text, in order. YAML readers pass them over; they are what begins with # between values, and
/// behind the mark of a block scalar.
/// </summary>
static class Comments
{
    /// <param name="text">Its lines end in \n.</param>
    public static List<Comment> Find(string text, LayoutNode root)
    {
        var found = new List<Comment>();
        int from = 0;
        foreach (LayoutScalar scalar in Scalars(root))
        {
            FindIn(text, from, scalar.Start, found);
            if (scalar.IsBlock)
                FindIn(text, scalar.Start, EndOfLine(text, scalar.Start), found);
            from = Math.Max(from, scalar.End);
        }

        FindIn(text, from, text.Length, found);
        return found;
    }

    static IEnumerable<LayoutScalar> Scalars(LayoutNode node) => node is LayoutCollection collection
        ? collection.Children.SelectMany(Scalars)
        : [(LayoutScalar)node];

    static void FindIn(string text, int from, int to, List<Comment> found)
    {
        while (from < to && text.IndexOf('#', from, to - from) is >= 0 and int at)
        {
            int end = EndOfLine(text, at);
            int line = text.LastIndexOf('\n', at) + 1;
            found.Add(new Comment(at, text[at..end].TrimEnd(), string.IsNullOrWhiteSpace(text[line..at])));
            from = end;
        }
    }

    static int EndOfLine(string text, int at) => text.IndexOf('\n', at) is >= 0 and int end ? end : text.Length;
}
