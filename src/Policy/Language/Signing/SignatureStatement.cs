using System.Globalization;
using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>One file of a signed policy.</summary>
/// <param name="Digest">SHA-256 of its bytes, 64 lower-case hexadecimal digits.</param>
/// <param name="Name">For messages: relative to the policy where it is below its folder.</param>
public sealed record SignedFile(string Digest, string Name);

/// <summary>
/// What a signature says, as lines of text whose exact bytes are signed: which files make up the policy, which revision
/// of it this is, and from when to when it may be used.
/// </summary>
/// <param name="Policy">Identifies the policy through its revisions, whatever its file is called.</param>
/// <param name="Revision">From 1.</param>
/// <param name="Expires">The first moment at which it is no longer valid; null for never.</param>
/// <param name="Key">Fingerprint of the key that signs.</param>
/// <param name="Files">In the order in which they are read: the policy, then what it extends. Never empty.</param>
public sealed record SignatureStatement(
    string Policy, long Revision, DateTimeOffset NotBefore, DateTimeOffset? Expires, string Key,
    IReadOnlyList<SignedFile> Files)
{
    /// <summary>Of a policy's name.</summary>
    const int MaximumName = 128;

    /// <summary>A policy and the most that it can extend.</summary>
    const int MaximumFiles = 1 + PolicyLoader.MaximumFiles;

    const string Title = "sandbox policy signature 1";
    const string Never = "never";

    public string Write()
    {
        var text = new StringBuilder(Title + "\n");
        text.Append($"policy: {Policy}\n");
        text.Append(CultureInfo.InvariantCulture, $"revision: {Revision}\n");
        text.Append($"not-before: {MomentText.Format(NotBefore)}\n");
        text.Append($"expires: {(Expires is DateTimeOffset end ? MomentText.Format(end) : Never)}\n");
        text.Append($"key: {Key}\n");
        foreach (SignedFile file in Files)
            text.Append($"file: {file.Digest} {file.Name}\n");
        return text.ToString();
    }

    /// <summary>Reads exactly what <see cref="Write"/> writes: every line there, once, in this order.</summary>
    public static SignatureStatement? TryParse(string text, out string problem)
    {
        string[] lines = text.Split('\n');
        int at = 0;
        string? Next(string key) =>
            at < lines.Length && lines[at].StartsWith(key, StringComparison.Ordinal) ? lines[at++][key.Length..] : null;

        problem = "is not a signature of this version";
        if (Next(Title) is not "")
            return null;
        problem = "lacks a valid policy, revision, not-before, expires or key";
        if (Next("policy: ") is not string policy || !IsName(policy)
            || Next("revision: ") is not string digits || !TryRevision(digits, out long revision)
            || Next("not-before: ") is not string begin || MomentText.TryParse(begin) is not DateTimeOffset notBefore
            || Next("expires: ") is not string end || (end != Never && MomentText.TryParse(end) is null)
            || Next("key: ") is not string key || !IsDigest(key))
            return null;
        problem = "does not list its files";
        var files = new List<SignedFile>();
        while (Next("file: ") is string file)
        {
            if (file.Length < 66
                || file[64] != ' '
                || !IsDigest(file[..64])
                || !IsPrintable(file[65..])
                || files.Count == MaximumFiles)
                return null;
            files.Add(new SignedFile(file[..64], file[65..]));
        }

        if (files.Count == 0 || at != lines.Length - 1 || lines[at].Length > 0)
            return null;
        var statement = new SignatureStatement(policy, revision, notBefore, MomentText.TryParse(end), key, files);
        // One text for one meaning: 007 is not 7, and a day is not its midnight.
        problem = statement.Write() == text ? "" : "is not written as signatures are";
        return problem.Length == 0 ? statement : null;
    }

    public static bool IsName(string text) =>
        text.Length is > 0 and <= MaximumName && char.IsAsciiLetterOrDigit(text[0])
        && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_');

    public static bool TryRevision(string text, out long revision) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out revision) && revision >= 1;

    public static bool IsPrintable(string text) => !text.Any(c => char.IsControl(c) || c is '\u2028' or '\u2029');

    static bool IsDigest(string text) =>
        text.Length == 64 && text.All(c => c is >= '0' and <= '9' or >= 'a' and <= 'f');
}
