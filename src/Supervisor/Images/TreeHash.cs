using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Sandbox.Supervisor.Images;

/// <summary>SHA-256 over parts, each of which says where it ends.</summary>
sealed class TreeHash : IDisposable
{
    readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    public void Numbers(params ReadOnlySpan<ulong> numbers) => _hash.AppendData(MemoryMarshal.AsBytes(numbers));

    /// <param name="bytes">Of a length that was said before, or with a zero byte at their end and nowhere else.</param>
    public void Raw(ReadOnlySpan<byte> bytes) => _hash.AppendData(bytes);

    public void Bytes(ReadOnlySpan<byte> bytes)
    {
        Numbers((ulong)bytes.Length);
        _hash.AppendData(bytes);
    }

    /// <returns>In hexadecimal digits. It starts anew afterwards.</returns>
    public string End() => Convert.ToHexStringLower(_hash.GetHashAndReset());

    public void Dispose() => _hash.Dispose();
}
