using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>Sizes on the command line; see <see cref="SizeText"/>.</summary>
static class ByteSize
{
    public static ulong Parse(string flag, string text) =>
        SizeText.TryParse(text, out ulong bytes, out string problem)
            ? bytes
            : throw new UsageException($"{flag}: {problem}");

    public static string Format(ulong bytes) => SizeText.Format(bytes);
}
