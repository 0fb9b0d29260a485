using System.Globalization;

namespace Sandbox.Policy.Language;

/// <summary>Durations as people write them: 500ms, 10s, 2m, 1h, 1d, or "none" for no limit.</summary>
public static class DurationText
{
    /// <summary>A year, in milliseconds.</summary>
    public const long Maximum = 365L * 24 * 3600 * 1000;

    /// <param name="milliseconds">0 for "none".</param>
    /// <param name="problem">What is wrong, when false is returned.</param>
    public static bool TryParse(string text, out long milliseconds, out string problem)
    {
        milliseconds = 0;
        problem = "";
        if (text == "none")
            return true;
        int digits = 0;
        while (digits < text.Length && char.IsAsciiDigit(text[digits]))
            digits++;
        long unit = text[digits..] switch
        {
            "ms" => 1,
            "" or "s" => 1000,
            "m" or "min" => 60 * 1000,
            "h" => 3600 * 1000,
            "d" => 24 * 3600 * 1000,
            _ => 0,
        };
        if (digits == 0 || unit == 0)
            problem = $"{Quote.Value(text)} is not a duration; write a whole number with ms, s, m, h or d, as in 10s";
        else if (!long.TryParse(
            text.AsSpan(0, digits), NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            || number > Maximum / unit)
            problem = $"{Quote.Value(text)} is too long; the longest is 365d, or write none";
        else if (number == 0)
            problem = "a limit of zero would end the guest before it starts; write none for no limit";
        else
            milliseconds = number * unit;
        return problem.Length == 0;
    }

    public static string Format(long milliseconds) => milliseconds switch
    {
        _ when milliseconds % 1000 != 0 => $"{milliseconds} ms",
        _ when milliseconds % 3600_000 == 0 => $"{milliseconds / 3600_000} h",
        _ when milliseconds % 60_000 == 0 => $"{milliseconds / 60_000} min",
        _ => $"{milliseconds / 1000} s",
    };
}
