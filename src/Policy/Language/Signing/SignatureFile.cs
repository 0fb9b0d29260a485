using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>A detached signature: the statement's lines, and one last line that signs their exact bytes.</summary>
public static class SignatureFile
{
    /// <summary>Characters.</summary>
    public const int MaximumText = 64 << 10;

    /// <summary>What is added to a policy's name.</summary>
    public const string Suffix = ".sig";

    const string Last = "signature: ";

    public static string Write(string statement, ReadOnlySpan<byte> signature) =>
        $"{statement}{Last}{Convert.ToBase64String(signature)}\n";

    /// <summary>The statement, if one of the keys has signed it and it holds now.</summary>
    /// <param name="problem">What is wrong, as in "has expired".</param>
    public static SignatureStatement? Verify(
        string text, IReadOnlyList<PolicyKey> keys, DateTimeOffset now, out string problem)
    {
        if (text.Length > MaximumText)
        {
            problem = $"is larger than {MaximumText} characters";
            return null;
        }

        int last = text.LastIndexOf('\n' + Last, StringComparison.Ordinal) + 1;
        byte[] signature = new byte[128];
        problem = "is not a whole signature";
        if (last == 0 || !Convert.TryFromBase64Chars(text.AsSpan()[(last + Last.Length)..], signature, out int length)
            || Write(text[..last], signature.AsSpan(0, length)) != text)
            return null;
        if (SignatureStatement.TryParse(text[..last], out problem) is not SignatureStatement statement)
            return null;
        if (keys.FirstOrDefault(key => key.Fingerprint == statement.Key) is not PolicyKey signer)
            problem = $"is made with a key that is not trusted here, {statement.Key}";
        else if (!signer.Verify(Encoding.UTF8.GetBytes(text[..last]), signature.AsSpan(0, length)))
            problem = "does not match what it signs";
        else if (now < statement.NotBefore)
            problem = $"is not valid before {MomentText.Format(statement.NotBefore)}";
        else if (now >= statement.Expires)
            problem = $"has expired, on {MomentText.Format(statement.Expires.Value)}";
        return problem.Length == 0 ? statement : null;
    }
}
