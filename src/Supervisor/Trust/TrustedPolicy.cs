using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;

namespace Sandbox.Supervisor.Trust;

/// <summary>Reads policies on a host whose operator may demand that they are signed.</summary>
/// <param name="TrustFile">Where the operator would say so.</param>
/// <param name="Owner">The operator.</param>
/// <param name="Now">What the time is.</param>
sealed record TrustedPolicy(string TrustFile, uint Owner, Func<DateTimeOffset> Now)
{
    /// <summary>Where the operator keeps it.</summary>
    public const string File = "/etc/sandbox/trust.yaml";

    public static TrustedPolicy OfThisHost { get; } = new(
        File, OperatorFile.Root, static () =>
            DateTimeOffset.FromUnixTimeMilliseconds(HostClock.RealtimeNanoseconds() / 1_000_000));

    /// <summary>The policy for a run, in one piece.</summary>
    /// <param name="file">Null for the built-in default.</param>
    /// <returns>The revision is that of a verified signature; null where none is demanded.</returns>
    /// <exception cref="UsageException">
    /// It cannot be read, is wrong, or is not signed as the operator demands.
    /// </exception>
    public (PolicyModel Policy, long? Revision) Load(string? file)
    {
        if (file is null
            || file.StartsWith(BuiltinPolicies.Prefix, StringComparison.Ordinal)
            || Settings() is not TrustSettings settings)
            return (PolicyOpener.Load(file), null);
        (PolicyModel policy, SignatureStatement statement) = Verify(file, file + SignatureFile.Suffix, settings.Keys);
        RevisionFile.Advance(settings.Revisions, Owner, statement.Policy, statement.Revision);
        return (policy, statement.Revision);
    }

    /// <summary>What the operator demands; null for nothing.</summary>
    public TrustSettings? Settings()
    {
        if (OperatorFile.Read(TrustFile, Owner) is not SourceText source)
            return null;
        CryptoLibrary.Require();
        var diagnostics = new Diagnostics();
        return TrustSettings.Read(source, diagnostics)
            ?? throw new UsageException($"{diagnostics.List[0].Span}: {diagnostics.List[0].Message}; no policy file "
                + "can be used until that is corrected");
    }

    /// <summary>A policy whose every file is signed by one of the keys, at this moment.</summary>
    /// <exception cref="UntrustedException">It is not.</exception>
    /// <exception cref="UsageException">It is, and cannot be used.</exception>
    public (PolicyModel Policy, SignatureStatement Statement) Verify(
        string file, string signature, IReadOnlyList<PolicyKey> keys)
    {
        var opener = new PolicyOpener();
        SourceText text = opener.ReadGiven(signature, out string problem) ?? throw Unsigned(file, signature, problem);
        SignatureStatement statement = SignatureFile.Verify(text.Content, keys, Now(), out problem)
            ?? throw Unsigned(file, signature, problem);
        var files = new SignedFiles(opener, statement);
        SourceText source = files.ReadGiven(file, out problem)
            ?? throw Unsigned(file, signature, $"says otherwise: it {problem}");
        PolicyModel policy;
        try
        {
            policy = PolicyOpener.Load(source, files);
        }
        catch (UsageException mistake) when (files.HasRefused)
        {
            throw new UntrustedException(mistake.Message);
        }

        return files.Files.Count == statement.Files.Count
            ? (policy, statement)
            : throw Unsigned(file, signature, "lists files that the policy does not have");
    }

    static UntrustedException Unsigned(string file, string signature, string problem) =>
        new($"{Quote.Value(file)} is not signed as this host demands: {Quote.Value(signature)} {problem}");
}
