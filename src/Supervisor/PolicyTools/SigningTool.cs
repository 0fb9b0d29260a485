using System.CommandLine;
using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Trust;

namespace Sandbox.Supervisor.PolicyTools;

/// <summary><c>sandbox policy keygen</c>, <c>sign</c> and <c>verify</c>.</summary>
static class SigningTool
{
    const string PublicSuffix = ".pub";

    public static int MakeKey(string file)
    {
        CryptoLibrary.Require();
        (string secret, string shared) = PolicyKey.Generate();
        TextFile.WriteNew(file, secret, TextFile.Secret);
        TextFile.WriteNew(file + PublicSuffix, shared);
        return PolicyTool.Print($"{file} signs, {file}{PublicSuffix} verifies\n", 0);
    }

    public static int Sign(PolicyCommand model, ParseResult parsed, TrustedPolicy host)
    {
        CryptoLibrary.Require();
        string file = parsed.GetRequiredValue(model.File);
        if (file.StartsWith(BuiltinPolicies.Prefix, StringComparison.Ordinal))
            throw new UsageException(
                $"policy sign: {Quote.Value(file)} is part of this program, and needs no signature");
        string key = parsed.GetValue(model.Key) ?? throw new UsageException(
            "policy sign: name the key that signs with --key; sandbox policy keygen makes one");
        string name = parsed.GetValue(model.PolicyName) ?? Path.GetFileName(file);
        if (!SignatureStatement.IsName(name))
            throw new UsageException(
                $"--name: {Quote.Value(name)} is not a policy's name; use up to 128 letters, digits, '.', '-' and '_'");
        string digits = parsed.GetValue(model.Revision) ?? "1";
        if (!SignatureStatement.TryRevision(digits, out long revision))
            throw new UsageException($"--revision: {Quote.Value(digits)} is not a whole number from 1");
        DateTimeOffset notBefore = Moment("--not-before", parsed.GetValue(model.NotBefore)) ?? WholeSeconds(host.Now());
        DateTimeOffset? expires = Moment("--expires", parsed.GetValue(model.Expires));
        if (expires <= notBefore)
            throw new UsageException($"--expires: {MomentText.Format(expires.Value)} is not after "
                + $"{MomentText.Format(notBefore)}, from when on the signature is valid");

        var files = new SignedFiles(new PolicyOpener(), null);
        if (PolicyTool.TryLoad(file, files) is null)
            return PolicyTool.Wrong;
        if (files.Files.FirstOrDefault(read => !SignatureStatement.IsPrintable(read.Name)) is SignedFile strange)
            throw new UsageException($"policy sign: the name {Quote.Value(strange.Name)} cannot be written into a "
                + "signature; rename the file");
        string signature = PolicyKey.TrySign(
            Read(key), fingerprint => new SignatureStatement(
                name, revision, notBefore, expires, fingerprint, files.Files), out string problem)
            ?? throw new UsageException($"--key: {Quote.Value(key)} {problem}");
        if (signature.Length > SignatureFile.MaximumText)
            throw new UsageException($"policy sign: the names of the files take more than {SignatureFile.MaximumText} "
                + "characters; shorten them");
        string target = parsed.GetValue(model.Out) ?? file + SignatureFile.Suffix;
        TextFile.Write(target, signature);
        return PolicyTool.Print($"{target}: revision {revision} of {name}, {files.Files.Count} "
            + $"{(files.Files.Count == 1 ? "file" : "files")}\n", 0);
    }

    public static int Verify(PolicyCommand model, ParseResult parsed, TrustedPolicy host)
    {
        CryptoLibrary.Require();
        string file = parsed.GetRequiredValue(model.File);
        string signature = parsed.GetValue(model.Signature) ?? file + SignatureFile.Suffix;
        SignatureStatement statement;
        try
        {
            if (parsed.GetValue(model.Trust) is string trusted)
            {
                PolicyKey key = PolicyKey.TryRead(Read(trusted), out string problem)
                    ?? throw new UsageException($"--trust: {Quote.Value(trusted)} {problem}");
                (_, statement) = host.Verify(file, signature, [key]);
            }
            else
            {
                TrustSettings settings = host.Settings()
                    ?? throw new UsageException(
                        $"policy verify: this host has no {host.TrustFile}; name a public key with --trust");
                (_, statement) = host.Verify(file, signature, settings.Keys);
                RevisionFile.Advance(settings.Revisions, host.Owner, statement.Policy, statement.Revision);
            }
        }
        catch (UntrustedException refusal)
        {
            StandardStreams.WriteError(refusal.Message);
            return PolicyTool.No;
        }

        string until = statement.Expires is DateTimeOffset end ? $"until {MomentText.Format(end)}" : "without an end";
        return PolicyTool.Print(
            $"good: revision {statement.Revision} of {statement.Policy}, valid from "
            + $"{MomentText.Format(statement.NotBefore)} {until}, by key {statement.Key}\n"
            + string.Concat(statement.Files.Select(one => $"  {one.Digest} {one.Name}\n")), 0);
    }

    static string Read(string file) => new PolicyOpener().ReadGiven(file, out string problem)?.Content
        ?? throw new UsageException($"policy: {Quote.Value(file)} {problem}");

    static DateTimeOffset? Moment(string flag, string? text) => text is null
        ? null
        : MomentText.TryParse(text) ?? throw new UsageException(
            $"{flag}: {Quote.Value(text)} is not a moment; write it as in 2026-05-01 or 2026-05-01T12:00:00Z");

    static DateTimeOffset WholeSeconds(DateTimeOffset moment) =>
        DateTimeOffset.FromUnixTimeSeconds(moment.ToUnixTimeSeconds());
}
