namespace Sandbox.Policy.Language;

/// <summary>One policy file's text, with its lines found.</summary>
public sealed class SourceText
{
    readonly List<int> _lineStarts = [0];

    /// <param name="name">The file's name as messages show it.</param>
    public SourceText(string name, string content)
    {
        Name = name;
        Content = content;
        for (int i = content.IndexOf('\n'); i >= 0; i = content.IndexOf('\n', i + 1))
            _lineStarts.Add(i + 1);
    }

    public string Name { get; }

    public string Content { get; }

    /// <summary>The text of a line without its end; empty when there is no such line.</summary>
    /// <param name="number">From 1.</param>
    public ReadOnlySpan<char> Line(int number)
    {
        if (number < 1 || number > _lineStarts.Count)
            return [];
        int start = _lineStarts[number - 1];
        int end = number < _lineStarts.Count ? _lineStarts[number] - 1 : Content.Length;
        return Content.AsSpan(start, end - start).TrimEnd('\r');
    }
}
