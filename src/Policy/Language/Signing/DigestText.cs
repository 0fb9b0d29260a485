using System.Security.Cryptography;

namespace Sandbox.Policy.Language;

/// <summary>SHA-256 as 64 lower-case hexadecimal digits.</summary>
static class DigestText
{
    public static string Of(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
