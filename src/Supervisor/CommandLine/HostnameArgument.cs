using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.CommandLine;

/// <summary><c>--hostname NAME</c>; see <see cref="HostnameText"/>.</summary>
static class HostnameArgument
{
    public static string Parse(string text) =>
        HostnameText.IsValid(text, out string problem) ? text : throw new UsageException($"--hostname: {problem}");
}
