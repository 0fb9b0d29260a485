using System.Text;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>Signatures of policies, without files and clocks.</summary>
public class SignatureTests
{
    static readonly DateTimeOffset s_now = new(2026, 5, 1, 12, 0, 0, TimeSpan.Zero);
    static readonly (string Private, string Public) s_pair = PolicyKey.Generate();
    static readonly PolicyKey s_key = Key(s_pair.Public);

    static PolicyKey Key(string pem)
    {
        PolicyKey? key = PolicyKey.TryRead(pem, out string problem);
        Assert.True(key is not null, problem);
        return key!;
    }

    static string Sign(string secret, DateTimeOffset? notBefore = null, DateTimeOffset? expires = null, string name = "p.yaml")
    {
        string? text = PolicyKey.TrySign(
            secret, key => new SignatureStatement("p.yaml", 7, notBefore ?? s_now, expires, key, [new(new string('a', 64), name)]), out string problem);
        Assert.True(text is not null, problem);
        return text!;
    }

    static void Refused(string text, string expected)
    {
        Assert.Null(SignatureFile.Verify(text, [s_key], s_now, out string problem));
        Assert.Contains(expected, problem, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatWasSignedVerifies()
    {
        SignatureStatement? statement = SignatureFile.Verify(
            Sign(s_pair.Private, expires: s_now.AddSeconds(1)), [Key(PolicyKey.Generate().Public), s_key], s_now, out string problem);
        Assert.Equal("", problem);
        Assert.Equal(("p.yaml", 7L, s_key.Fingerprint), (statement!.Policy, statement.Revision, statement.Key));
        Assert.Equal(new string('a', 64), Assert.Single(statement.Files).Digest);
    }

    [Fact]
    public void TimeIsKeptToTheSecond()
    {
        Refused(Sign(s_pair.Private, notBefore: s_now.AddSeconds(1)), "is not valid before 2026-05-01T12:00:01Z");
        Refused(Sign(s_pair.Private, notBefore: s_now.AddDays(-2), expires: s_now), "has expired, on 2026-05-01T12:00:00Z");
    }

    [Fact]
    public void AnotherKeyIsRefusedAlsoUnderATrustedKeysName()
    {
        (string secret, _) = PolicyKey.Generate();
        string other = Sign(secret);
        Refused(other, "not trusted");
        string forged = other.Replace(other.Split("key: ")[1][..64], s_key.Fingerprint, StringComparison.Ordinal);
        Refused(forged, "does not match");
    }

    [Fact]
    public void EveryByteOfAStatementIsSigned()
    {
        byte[] text = Encoding.UTF8.GetBytes(Sign(s_pair.Private));
        for (int i = 0; i < text.Length; i++)
        {
            byte[] changed = [.. text];
            changed[i] ^= 1;
            Assert.Null(SignatureFile.Verify(Encoding.UTF8.GetString(changed), [s_key], s_now, out string problem));
            Assert.NotEmpty(problem);
        }
    }

    [Fact]
    public void EveryTruncationIsRefused()
    {
        string text = Sign(s_pair.Private);
        for (int length = 0; length < text.Length; length++)
            Assert.Null(SignatureFile.Verify(text[..length], [s_key], s_now, out _));
    }

    [Fact]
    public void OneTextHasOneMeaning()
    {
        string good = Sign(s_pair.Private);
        string[] strange =
        [
            "\ufeff" + good, good.Replace("\n", "\r\n", StringComparison.Ordinal), good + "\n", " " + good, good + good,
            good.Replace("revision: 7\n", "revision: 7\nrevision: 8\n", StringComparison.Ordinal),
            good.Replace("revision: 7", "revision: 07", StringComparison.Ordinal),
            good.Replace("revision: 7", "revision: 99999999999999999999", StringComparison.Ordinal),
            good.Replace("signature 1", "signature 2", StringComparison.Ordinal),
            good.Replace("12:00:00Z", "12:00:00+00:00", StringComparison.Ordinal),
            "x" + new string('x', SignatureFile.MaximumText), "signature: AAAA\n", "\nsignature: \n",
        ];
        Assert.All(strange, text => Refused(text, ""));
    }

    [Fact]
    public void AStatementOfAnotherFormIsNotReadThoughItsBytesAreSigned()
    {
        // The key's owner signs what this program would not write.
        string statement = $"sandbox policy signature 1\npolicy: p\nrevision: 007\nnot-before: 2026-05-01T12:00:00Z\nexpires: never\nkey: {s_key.Fingerprint}\nfile: {new string('a', 64)} p\n";
        using var key = System.Security.Cryptography.ECDsa.Create();
        key.ImportFromPem(s_pair.Private);
        byte[] signature = key.SignData(
            Encoding.UTF8.GetBytes(statement), System.Security.Cryptography.HashAlgorithmName.SHA256,
            System.Security.Cryptography.DSASignatureFormat.Rfc3279DerSequence);
        Refused(SignatureFile.Write(statement, signature), "is not written as signatures are");
    }

    [Fact]
    public void OnlyOneKindOfKeyIsTaken()
    {
        void Bad(string pem) => Assert.Null(PolicyKey.TryRead(pem, out _));
        Bad("");
        Bad(s_pair.Private);
        Bad(s_pair.Public + s_pair.Public);
        Bad("x" + s_pair.Public);
        Bad(s_pair.Public.Replace("A", "B", StringComparison.Ordinal));
        Bad(new string(' ', PolicyKey.MaximumText) + s_pair.Public);
        using var p384 = System.Security.Cryptography.ECDsa.Create(System.Security.Cryptography.ECCurve.NamedCurves.nistP384);
        Bad(p384.ExportSubjectPublicKeyInfoPem());
        using var rsa = System.Security.Cryptography.RSA.Create(2048);
        Bad(rsa.ExportSubjectPublicKeyInfoPem());
        Assert.Null(PolicyKey.TrySign(s_pair.Public, _ => throw new InvalidOperationException(), out _));
        Key("\n" + s_pair.Public + "\n");
    }

    static SignatureStatement Statement(MemoryFiles files, string name)
    {
        var read = new SignedFiles(files, null);
        Assert.NotNull(CompiledPolicy.Load(read.Read(name, out _)!, read, new Diagnostics()));
        return new SignatureStatement("p", 1, s_now, null, "", read.Files);
    }

    static (CompiledPolicy? Policy, string Problem) Load(IPolicyFiles files, SignatureStatement statement, string name)
    {
        var signed = new SignedFiles(files, statement);
        if (signed.Read(name, out string problem) is not SourceText source)
            return (null, problem);
        var diagnostics = new Diagnostics();
        CompiledPolicy? policy = CompiledPolicy.Load(source, signed, diagnostics);
        return (policy, diagnostics.List.Count > 0 ? diagnostics.List[0].Message : "");
    }

    const string Child = "version: 1\nfragment: true\nextends: [a.yaml, b.yaml, builtin:base.yaml]\n";
    const string Plain = "version: 1\nfragment: true\n";

    static MemoryFiles Chain() => new()
    {
        ["/p/main.yaml"] = Child, ["/p/a.yaml"] = Plain + "extends: sub/c.yaml\n", ["/p/b.yaml"] = Plain, ["/p/sub/c.yaml"] = Plain,
    };

    [Fact]
    public void AChainIsSignedAsAWhole()
    {
        SignatureStatement statement = Statement(Chain(), "/p/main.yaml");
        Assert.Equal(["main.yaml", "a.yaml", "sub/c.yaml", "b.yaml"], statement.Files.Select(file => file.Name));
        Assert.NotNull(Load(Chain(), statement, "/p/main.yaml").Policy);
    }

    [Theory]
    [InlineData("/p/main.yaml", Child + " ")]
    [InlineData("/p/main.yaml", "\ufeff" + Child)]
    [InlineData("/p/main.yaml", "version: 1\r\nfragment: true\r\nextends: [a.yaml, b.yaml, builtin:base.yaml]\r\n")]
    [InlineData("/p/a.yaml", Plain)]
    [InlineData("/p/b.yaml", Plain + "guest: {user: root}\n")]
    [InlineData("/p/sub/c.yaml", Plain + "guest: {user: root}\n")]
    public void AChangeOfAnyPartIsRefused(string name, string text)
    {
        SignatureStatement statement = Statement(Chain(), "/p/main.yaml");
        MemoryFiles files = Chain();
        files[name] = text;
        (CompiledPolicy? policy, string problem) = Load(files, statement, "/p/main.yaml");
        Assert.Null(policy);
        Assert.Contains("signed", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void PartsMayNotBeSwappedLeftOutOrBorrowed()
    {
        SignatureStatement whole = Statement(Chain(), "/p/main.yaml");
        for (int without = 0; without < whole.Files.Count; without++)
            Assert.Null(Load(Chain(), whole with { Files = [.. whole.Files.Where((_, i) => i != without)] }, "/p/main.yaml").Policy);
        // A part is signed as a part, not as the policy.
        Assert.Null(Load(Chain(), whole, "/p/a.yaml").Policy);
        MemoryFiles swapped = Chain();
        (swapped["/p/a.yaml"], swapped["/p/b.yaml"]) = (swapped["/p/b.yaml"], swapped["/p/a.yaml"]);
        Assert.Null(Load(swapped, whole, "/p/main.yaml").Policy);
    }

    /// <summary>A file that is another one each time it is read.</summary>
    sealed class Turncoat(string first, string then) : IPolicyFiles
    {
        public int Reads { get; private set; }

        public SourceText? Read(string name, out string problem)
        {
            problem = "";
            return new SourceText(name, Reads++ == 0 ? first : then);
        }
    }

    [Fact]
    public void WhatIsVerifiedIsWhatIsUsed()
    {
        const string evil = Plain + "guest: {user: root}\n";
        SignatureStatement statement = Statement(new MemoryFiles { ["/p"] = Plain }, "/p");
        var files = new Turncoat(Plain, evil);
        Assert.Null(Load(files, statement, "/p").Policy!.Model.User);
        Assert.Equal(1, files.Reads);
        Assert.Null(Load(new Turncoat(evil, Plain), statement, "/p").Policy);
    }

    [Fact]
    public void ARecordOfRevisionsIsStrict()
    {
        RevisionRecord record = RevisionRecord.TryParse(null)!;
        record.Raise("b", 3);
        record.Raise("b", 2);
        record.Raise("a", 9);
        Assert.Equal("sandbox policy revisions 1\n9 a\n3 b\n", record.Write());
        Assert.Equal(3, RevisionRecord.TryParse(record.Write())!.Highest("b"));
        Assert.Equal(0, record.Highest("c"));
        foreach (string text in (string[])["", "x", "sandbox policy revisions 1", "sandbox policy revisions 1\n3 a\n3 a\n", "sandbox policy revisions 1\n0 a\n", "sandbox policy revisions 1\n3 a\n\n"])
            Assert.Null(RevisionRecord.TryParse(text));
    }

    [Fact]
    public void TrustIsReadStrictly()
    {
        string Indented(string pem) => "    " + pem.TrimEnd().Replace("\n", "\n    ", StringComparison.Ordinal) + "\n";
        TrustSettings? Read(string text, out Diagnostics found) => TrustSettings.Read(new SourceText("trust.yaml", text), found = new Diagnostics());
        string good = "version: 1\nkeys:\n  - |\n" + Indented(s_pair.Public);
        TrustSettings? settings = Read(good + "revisions: /r\n", out Diagnostics found);
        Assert.Empty(found.List);
        Assert.Equal((s_key.Fingerprint, "/r"), (Assert.Single(settings!.Keys).Fingerprint, settings.Revisions));
        foreach (string bad in (string[])
            [
                "", "version: 1\n", "version: 1\nkeys: []\n", "version: 1\nkeys: x\n", good + "revision: /r\n", good + "revisions: r\n",
                good + "version: 1\n", "\ufeff" + good, "version: 1\nkeys:\n  - |\n" + Indented(s_pair.Private),
            ])
            Assert.Null(Read(bad, out _));
    }
}
