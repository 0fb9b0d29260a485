using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.CommandLine;

/// <summary><c>--env NAME=VALUE</c>, or <c>--env NAME</c> to pass the caller's own value on.</summary>
static class EnvironmentArgument
{
    const string Flag = "--env";

    public static KeyValuePair<string, string> Parse(string text, Func<string, string?> callers)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 ? text : text[..equals];
        if (name.Length == 0)
            throw new UsageException($"{Flag}: {Quote.Value(text)} has no name; write NAME=VALUE or NAME");
        string value = equals >= 0
            ? text[(equals + 1)..]
            : callers(name) ?? throw new UsageException(
                $"{Flag}: {Quote.Value(name)} is not set here, so it cannot be passed on; set it or write "
                    + $"{name}=VALUE");
        return KeyValuePair.Create(name, value);
    }
}
