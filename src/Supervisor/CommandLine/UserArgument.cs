using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.CommandLine;

/// <summary><c>--user NAME|UID[:GID]</c>; see <see cref="UserText"/>.</summary>
static class UserArgument
{
    public static GuestUser Parse(string text) =>
        UserText.TryParse(text, out GuestUser user, out string problem)
            ? user
            : throw new UsageException($"--user: {problem}");
}
