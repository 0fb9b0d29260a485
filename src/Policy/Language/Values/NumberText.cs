using System.Globalization;

namespace Sandbox.Policy.Language;

/// <summary>Numbers as arguments of system calls have them: decimal, or hexadecimal behind 0x.</summary>
static class NumberText
{
    /// <param name="advice">What was meant, perhaps, when false is returned.</param>
    public static bool TryParse(string text, out ulong number, out string? advice)
    {
        bool hexadecimal = text.StartsWith("0x", StringComparison.Ordinal);
        advice = null;
        if (!ulong.TryParse(hexadecimal ? text[2..] : text,
            hexadecimal ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out number))
            return false;
        if (hexadecimal || !HasLeadingZero(text))
            return true;
        // C and its manual pages mean octal.
        advice = text.Length <= 22 && text.All(c => c is >= '0' and <= '7')
            && Convert.ToUInt64(text, 8) is var octal
            ? $"octal is not known here; write 0x{octal:x} or {octal} for it, or leave the first 0 out"
            : "leave the first 0 out";
        return false;
    }

    public static bool HasLeadingZero(string digits) => digits.Length > 1 && digits[0] == '0';
}
