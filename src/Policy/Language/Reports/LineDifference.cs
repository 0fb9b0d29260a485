using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>
/// What changes from one text to another, line by line, as - and + lines below the place where they stand.
/// </summary>
public static class LineDifference
{
    /// <summary>How far ahead the next line that both have is looked for.</summary>
    const int Window = 32;

    public static string Human(string name, string before, string after)
    {
        string[] old = Lines(before), @new = Lines(after);
        var text = new StringBuilder();
        int i = 0, j = 0;
        while (i < old.Length || j < @new.Length)
        {
            if (i < old.Length && j < @new.Length && old[i] == @new[j])
            {
                i++;
                j++;
                continue;
            }

            (int removed, int added) = ToNextCommonLine(old, i, @new, j);
            text.Append($"{name}:{i + 1}:\n");
            foreach (string line in old[i..(i + removed)])
                text.Append($"- {Printable(line)}\n");
            foreach (string line in @new[j..(j + added)])
                text.Append($"+ {line}\n");
            i += removed;
            j += added;
        }

        return text.ToString();
    }

    static (int Removed, int Added) ToNextCommonLine(string[] old, int i, string[] @new, int j)
    {
        int oldLeft = old.Length - i, newLeft = @new.Length - j;
        for (int distance = 1; distance <= Window; distance++)
            for (int removed = 0; removed <= distance; removed++)
                if (removed < oldLeft
                    && distance - removed < newLeft
                    && old[i + removed] == @new[j + distance - removed])
                    return (removed, distance - removed);
        return (Math.Min(Window, oldLeft), Math.Min(Window, newLeft));
    }

    static string[] Lines(string text) => text.EndsWith('\n') ? text[..^1].Split('\n') : text.Split('\n');

    static string Printable(string line) =>
        string.Concat(line.Select(c => char.IsControl(c) ? $"\\x{(int)c:x2}" : c.ToString()));
}
