namespace Sandbox.Policy.Language;

/// <summary>
/// Where the lines of a text begin and what they begin with, so that asking never takes longer on long lines.
/// </summary>
sealed class LineTable
{
    readonly List<(int Start, int FirstWord, bool IsEmpty)> _lines = [];

    /// <param name="text">Its lines end in \n.</param>
    public LineTable(string text)
    {
        int start = 0;
        while (true)
        {
            int length = text.AsSpan(start).IndexOf('\n');
            ReadOnlySpan<char> line = length < 0 ? text.AsSpan(start) : text.AsSpan(start, length);
            int word = line.IndexOfAnyExcept(" -?");
            _lines.Add((start, start + (word < 0 ? line.Length : word), line.IsWhiteSpace()));
            if (length < 0)
                return;
            start += length + 1;
        }
    }

    /// <summary>Characters between the beginning of the line and an offset.</summary>
    public int ColumnOf(int offset) => offset - _lines[IndexOf(offset)].Start;

    /// <summary>Whether the offset's line begins with it, but for dashes, and the line above is empty.</summary>
    public bool FollowsEmptyLine(int offset)
    {
        int line = IndexOf(offset);
        return line > 0 && _lines[line - 1].IsEmpty && offset <= _lines[line].FirstWord;
    }

    int IndexOf(int offset)
    {
        int low = 0, high = _lines.Count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            (low, high) = _lines[middle].Start <= offset ? (middle, high) : (low, middle - 1);
        }

        return low;
    }
}
