using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>Durations on the command line; see <see cref="DurationText"/>.</summary>
static class Duration
{
    /// <returns>Milliseconds; 0 for "none".</returns>
    public static long ParseMilliseconds(string flag, string text) =>
        DurationText.TryParse(text, out long milliseconds, out string problem)
            ? milliseconds
            : throw new UsageException($"{flag}: {problem}");

    public static string Format(long milliseconds) => DurationText.Format(milliseconds);
}
