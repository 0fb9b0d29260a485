using System.Globalization;

namespace Sandbox.Policy.Language;

/// <summary>Sizes as people write them: 4096, 64K, 512M, 2GiB. All units are powers of 1024.</summary>
public static class SizeText
{
    /// <summary>No size above this is meaningful on x86-64 (47-bit user address space).</summary>
    public const ulong Maximum = 1UL << 47;

    /// <param name="problem">What is wrong, when false is returned.</param>
    public static bool TryParse(string text, out ulong bytes, out string problem)
    {
        bytes = 0;
        problem = "";
        int digits = 0;
        while (digits < text.Length && char.IsAsciiDigit(text[digits]))
            digits++;
        if (digits == 0 || !TryShift(text.AsSpan(digits), out int shift))
        {
            problem = $"{Quote.Value(text)} is not a size; write a whole number with K, M, G or T, as in 512M or 2GiB";
            return false;
        }

        if (!ulong.TryParse(text.AsSpan(0, digits), NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)
            || number > Maximum >> shift)
        {
            problem = $"{Quote.Value(text)} is too large; the largest size is {Format(Maximum)}";
            return false;
        }

        bytes = number << shift;
        return true;
    }

    public static string Format(ulong bytes)
    {
        ReadOnlySpan<string> units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
        int unit = 0;
        while (unit < units.Length - 1 && bytes >= 1024 && bytes % 1024 == 0)
        {
            bytes /= 1024;
            unit++;
        }

        return $"{bytes} {units[unit]}";
    }

    static bool TryShift(ReadOnlySpan<char> suffix, out int shift)
    {
        shift = 0;
        if (suffix.IsEmpty || suffix.Equals("b", StringComparison.OrdinalIgnoreCase))
            return true;
        shift = 10 * (1 + "kmgt".IndexOf(char.ToLowerInvariant(suffix[0]), StringComparison.Ordinal));
        // "MB" is refused: half the world reads it as 10^6 and the other half as 2^20.
        return shift != 0
            && (suffix.Length == 1 || suffix[1..].Equals("ib", StringComparison.OrdinalIgnoreCase));
    }
}
