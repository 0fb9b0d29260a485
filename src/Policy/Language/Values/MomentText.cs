using System.Globalization;

namespace Sandbox.Policy.Language;

/// <summary>
/// A moment in UTC, to the second: 2026-05-01T12:00:00Z, or 2026-05-01 for the beginning of that day.
/// </summary>
public static class MomentText
{
    const string Form = "yyyy-MM-dd'T'HH:mm:ss'Z'";

    public static DateTimeOffset? TryParse(string text) =>
        DateTimeOffset.TryParseExact(
            text, [Form, "yyyy-MM-dd"], CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal,
            out DateTimeOffset moment)
            ? moment
            : null;

    public static string Format(DateTimeOffset moment) =>
        moment.UtcDateTime.ToString(Form, CultureInfo.InvariantCulture);
}
