using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>Puts somebody's text into a one-line message: quoted, bounded, without control characters.</summary>
public static class Quote
{
    const int MaximumLength = 200;

    public static string Value(string text) => $"'{Printable(text, MaximumLength)}'";

    /// <summary>Without quotes: what a terminal would obey is shown instead.</summary>
    /// <param name="most">Characters, about; the rest is left out, and three points say so.</param>
    public static string Printable(string text, int most = int.MaxValue)
    {
        var printable = new StringBuilder(Math.Min(text.Length, MaximumLength) + 8);
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (printable.Length >= most)
            {
                printable.Append("...");
                break;
            }

            if (Rune.IsControl(rune) || rune.Value is 0x2028 or 0x2029)
                printable.Append($"\\x{rune.Value:x2}");
            else
                printable.Append(rune.ToString());
        }

        return printable.ToString();
    }
}
