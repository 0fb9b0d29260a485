using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>Puts somebody's text into a one-line message: quoted, bounded, without control characters.</summary>
public static class Quote
{
    const int MaximumLength = 200;

    public static string Value(string text)
    {
        var quoted = new StringBuilder("'", Math.Min(text.Length, MaximumLength) + 8);
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (quoted.Length > MaximumLength)
            {
                quoted.Append("...");
                break;
            }

            if (Rune.IsControl(rune) || rune.Value is 0x2028 or 0x2029)
                quoted.Append($"\\x{rune.Value:x2}");
            else
                quoted.Append(rune.ToString());
        }

        return quoted.Append('\'').ToString();
    }
}
