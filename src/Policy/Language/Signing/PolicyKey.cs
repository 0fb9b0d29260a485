using System.Security.Cryptography;
using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>A public key that policies may be signed for: ECDSA on P-256 with SHA-256.</summary>
public sealed class PolicyKey
{
    /// <summary>Characters of a key file.</summary>
    public const int MaximumText = 4096;

    const string P256 = "1.2.840.10045.3.1.7";

    readonly byte[] _subjectPublicKeyInfo;

    PolicyKey(ECDsa key)
    {
        _subjectPublicKeyInfo = key.ExportSubjectPublicKeyInfo();
        Fingerprint = DigestText.Of(_subjectPublicKeyInfo);
    }

    /// <summary>SHA-256 of the key's SubjectPublicKeyInfo.</summary>
    public string Fingerprint { get; }

    /// <summary>A new pair, as PEM.</summary>
    public static (string Private, string Public) Generate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return (key.ExportPkcs8PrivateKeyPem() + "\n", key.ExportSubjectPublicKeyInfoPem() + "\n");
    }

    /// <summary>Reads PUBLIC KEY in PEM, and nothing beside it.</summary>
    public static PolicyKey? TryRead(string pem, out string problem)
    {
        using ECDsa? key = Read(pem, "PUBLIC KEY", static (key, der) =>
            { key.ImportSubjectPublicKeyInfo(der, out int used); return used; }, out problem);
        return key is null ? null : new PolicyKey(key);
    }

    /// <summary>Signs with an unencrypted PRIVATE KEY in PEM (PKCS #8).</summary>
    /// <param name="statement">Makes what is signed, from the key's fingerprint.</param>
    /// <returns>The signature file, or null.</returns>
    public static string? TrySign(string pem, Func<string, SignatureStatement> statement, out string problem)
    {
        using ECDsa? key = Read(pem, "PRIVATE KEY", static (key, der) =>
            { key.ImportPkcs8PrivateKey(der, out int used); return used; }, out problem);
        if (key is null)
            return null;
        string text = statement(new PolicyKey(key).Fingerprint).Write();
        byte[] signature =
            key.SignData(Encoding.UTF8.GetBytes(text), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        return SignatureFile.Write(text, signature);
    }

    /// <param name="signature">DER, as other tools write it.</param>
    public bool Verify(ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature)
    {
        try
        {
            using ECDsa key = ECDsa.Create();
            key.ImportSubjectPublicKeyInfo(_subjectPublicKeyInfo, out _);
            return key.VerifyData(data, signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        }
        catch (CryptographicException)
        {
            // What is no signature at all does not verify either.
            return false;
        }
    }

    static ECDsa? Read(string pem, string label, Func<ECDsa, byte[], int> import, out string problem)
    {
        problem = $"is not a {label} in PEM";
        if (pem.Length > MaximumText || !PemEncoding.TryFind(pem, out PemFields fields)
            || !pem.AsSpan()[fields.Label].SequenceEqual(label) || !IsAlone(pem, fields.Location))
            return null;
        var key = ECDsa.Create();
        try
        {
            byte[] der = Convert.FromBase64String(pem[fields.Base64Data]);
            if (import(key, der) == der.Length
                && key.ExportParameters(false).Curve is { IsNamed: true, Oid.Value: P256 })
            {
                problem = "";
                return key;
            }
        }
        catch (CryptographicException)
        {
            // Said below.
        }

        key.Dispose();
        problem = "is not a key for ECDSA on P-256";
        return null;
    }

    static bool IsAlone(string pem, Range location) =>
        string.IsNullOrWhiteSpace(pem[..location.Start]) && string.IsNullOrWhiteSpace(pem[location.End..]);
}
