namespace Sandbox.Policy.Language;

/// <summary>A host name, as RFC 1123 allows it and uname(2) can hold it.</summary>
public static class HostnameText
{
    public const string Default = "sandbox";

    /// <summary>__NEW_UTS_LEN.</summary>
    const int MaximumLength = 64;

    public static bool IsValid(string text, out string problem)
    {
        bool good = text.Length is > 0 and <= MaximumLength && text.Split('.').All(IsLabel);
        problem = good
            ? ""
            : $"{Quote.Value(text)} is not a host name; use up to {MaximumLength} of letters, digits, '-' and '.'";
        return good;
    }

    internal static bool IsLabel(string label) =>
        label.Length > 0
            && label[0] != '-'
            && label[^1] != '-'
            && label.All(c => char.IsAsciiLetterOrDigit(c) || c == '-');
}
