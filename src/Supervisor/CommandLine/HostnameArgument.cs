namespace Sandbox.Supervisor.CommandLine;

/// <summary><c>--hostname NAME</c>, as RFC 1123 allows it and uname(2) can hold it.</summary>
static class HostnameArgument
{
    public const string Default = "sandbox";

    /// <summary>__NEW_UTS_LEN.</summary>
    const int MaximumLength = 64;

    public static string Parse(string text)
    {
        bool good = text.Length is > 0 and <= MaximumLength && text.Split('.').All(IsLabel);
        return good ? text : throw new UsageException(
            $"--hostname: {Quote.Value(text)} is not a host name; use up to {MaximumLength} of letters, digits, '-' and '.'");
    }

    static bool IsLabel(string label) =>
        label.Length > 0 && label[0] != '-' && label[^1] != '-' && label.All(c => char.IsAsciiLetterOrDigit(c) || c == '-');
}
