using System.Text;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>
/// One <c>--mount HOST[:GUEST][:ro|rw[,quota=SIZE]]</c>. A colon that belongs to a path is written <c>\:</c>.
/// </summary>
/// <param name="Host">The host path as the caller wrote it; relative to the caller's working directory.</param>
/// <param name="Guest">Normalised guest path, or null for the same path as on the host.</param>
sealed record MountArgument(string Host, string? Guest, bool Writable)
{
    public const string Flag = "--mount";

    public const string Form = "HOST[:GUEST][:ro|rw[,quota=SIZE]]";

    const string WithQuota = "rw,quota=";

    /// <summary>A page, as in policies.</summary>
    const ulong MinimumQuota = 4096;

    /// <summary>Bytes that the guest may add; 0 for what the host has room for.</summary>
    public ulong Quota { get; init; }

    /// <summary>Who asks for it, for messages: the flag, or a place in a policy.</summary>
    public string Origin { get; init; } = Flag;

    public static MountArgument Parse(string text)
    {
        List<string> parts = Split(text);
        bool writable = false;
        ulong quota = 0;
        if (parts.Count > 1 && (parts[^1] is "ro" or "rw" || parts[^1].StartsWith(WithQuota, StringComparison.Ordinal)))
        {
            writable = parts[^1] != "ro";
            if (parts[^1].StartsWith(WithQuota, StringComparison.Ordinal))
                quota = ParseQuota(parts[^1][WithQuota.Length..]);
            parts.RemoveAt(parts.Count - 1);
        }

        if (parts.Count > 2)
            throw new UsageException(
                $"{Flag}: {Quote.Value(text)} has too many parts; write {Form}, and \\: for a colon in a path");
        if (parts[0].Length == 0)
            throw new UsageException($"{Flag}: {Quote.Value(text)} names no host path; write {Form}");
        if (parts.Count == 2 && parts[1].Length == 0)
            throw new UsageException(
                $"{Flag}: {Quote.Value(text)} has an empty guest path; leave out its colon for the same path");
        return new MountArgument(parts[0], parts.Count == 2 ? PathArgument.Normalize(Flag, parts[1]) : null, writable)
            { Quota = quota };
    }

    static ulong ParseQuota(string text)
    {
        if (ByteSize.Parse(Flag, text) is ulong quota and >= MinimumQuota)
            return quota;
        throw new UsageException(
            $"{Flag}: a quota of {Quote.Value(text)} is too little; give at least {ByteSize.Format(MinimumQuota)}");
    }

    static List<string> Split(string text)
    {
        var parts = new List<string>();
        var part = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 1 < text.Length && text[i + 1] == ':')
                part.Append(text[++i]);
            else if (text[i] == ':')
            {
                parts.Add(part.ToString());
                part.Clear();
            }
            else
                part.Append(text[i]);
        }

        parts.Add(part.ToString());
        return parts;
    }
}
