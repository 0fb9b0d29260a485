using System.Text;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>A guest's output for a terminal: lines and tabs stay, what else a terminal would obey is shown.</summary>
static class LogText
{
    public static string Printable(ReadOnlySpan<char> text)
    {
        var printable = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            if (c is not ('\n' or '\t') && (char.IsControl(c) || c is '\u2028' or '\u2029'))
                printable.Append($"\\x{(int)c:x2}");
            else
                printable.Append(c);
        }

        return printable.ToString();
    }
}
