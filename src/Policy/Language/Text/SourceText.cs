namespace Sandbox.Policy.Language;

/// <summary>One policy file's text, with its lines found when somebody asks for one.</summary>
public sealed class SourceText
{
    readonly Func<string, string>? _read;
    string? _content;
    List<int>? _lineStarts;

    /// <param name="name">The file's name as messages show it.</param>
    public SourceText(string name, string content)
    {
        Name = name;
        _content = content;
    }

    /// <param name="read">Gives the text for the name, once it is asked for.</param>
    public SourceText(string name, Func<string, string> read)
    {
        Name = name;
        _read = read;
    }

    public string Name { get; }

    public string Content => _content ??= _read!(Name);

    /// <summary>The text of a line without its end; empty when there is no such line.</summary>
    /// <param name="number">From 1.</param>
    public ReadOnlySpan<char> Line(int number)
    {
        List<int> starts = _lineStarts ??= LineStarts(Content);
        if (number < 1 || number > starts.Count)
            return [];
        int start = starts[number - 1];
        int end = number < starts.Count ? starts[number] - 1 : Content.Length;
        return Content.AsSpan(start, end - start).TrimEnd('\r');
    }

    static List<int> LineStarts(string content)
    {
        var starts = new List<int> { 0 };
        for (int i = content.IndexOf('\n'); i >= 0; i = content.IndexOf('\n', i + 1))
            starts.Add(i + 1);
        return starts;
    }
}
