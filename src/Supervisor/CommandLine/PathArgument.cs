using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>Guest paths on the command line; see <see cref="GuestPath"/>.</summary>
static class PathArgument
{
    public static string Normalize(string flag, string path) =>
        GuestPath.TryNormalize(path, out string normalized, out string problem)
            ? normalized
            : throw new UsageException($"{flag}: {problem}");
}
