using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>A name that the caller gives a sandbox.</summary>
static class SandboxName
{
    public const string Flag = "--name";
    const int MaximumLength = 63;

    /// <exception cref="UsageException">It is none.</exception>
    public static string Parse(string text) => IsValid(text)
        ? text
        : throw new UsageException(
            $"{Flag}: {Quote.Value(text)} is not a name; write up to {MaximumLength} letters, digits, '-', '_' and "
                + $"'.', a letter or digit first, and no {SandboxId.Digits} digits that could be an ID");

    /// <exception cref="FormatException">It is none.</exception>
    public static string Check(string text) => IsValid(text) ? text : throw new FormatException("no name");

    static bool IsValid(string text) =>
        text.Length is > 0 and <= MaximumLength && char.IsAsciiLetterOrDigit(text[0])
        && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.') && SandboxId.Parse(text) is null;
}
