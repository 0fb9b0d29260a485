using System.Globalization;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>Durations as people write them: 500ms, 10s, 2m, 1h, 1d, or "none" for no limit.</summary>
static class Duration
{
    /// <summary>A year, in milliseconds.</summary>
    public const long Maximum = 365L * 24 * 3600 * 1000;

    /// <returns>Milliseconds; 0 for "none".</returns>
    public static long ParseMilliseconds(string flag, string text)
    {
        if (text == "none")
            return 0;
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
            throw new UsageException(
                $"{flag}: {Quote.Value(text)} is not a duration; write a whole number with ms, s, m, h or d, as in 10s");
        if (!long.TryParse(text.AsSpan(0, digits), NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            || number > Maximum / unit)
            throw new UsageException($"{flag}: {Quote.Value(text)} is too long; the longest is 365d, or write none");
        if (number == 0)
            throw new UsageException($"{flag}: a limit of zero would end the guest before it starts; write none for no limit");
        return number * unit;
    }

    public static string Format(long milliseconds) => milliseconds switch
    {
        _ when milliseconds % 1000 != 0 => $"{milliseconds} ms",
        _ when milliseconds % 3600_000 == 0 => $"{milliseconds / 3600_000} h",
        _ when milliseconds % 60_000 == 0 => $"{milliseconds / 60_000} min",
        _ => $"{milliseconds / 1000} s",
    };
}
