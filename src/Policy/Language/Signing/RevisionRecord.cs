using System.Globalization;
using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>The highest revision of each policy that a host has seen: an older one is not gone back to.</summary>
public sealed class RevisionRecord
{
    /// <summary>Characters of the record's file.</summary>
    public const int MaximumText = 1 << 20;

    const string Title = "sandbox policy revisions 1";

    readonly SortedDictionary<string, long> _highest = new(StringComparer.Ordinal);

    /// <summary>Null when the text is not a record: then nothing is known, and nothing may be concluded.</summary>
    /// <param name="text">Null for a record that does not exist yet.</param>
    public static RevisionRecord? TryParse(string? text)
    {
        var record = new RevisionRecord();
        if (text is null)
            return record;
        string[] lines = text.Split('\n');
        if (text.Length > MaximumText || lines[0] != Title || lines[^1].Length > 0)
            return null;
        foreach (string line in lines[1..^1])
        {
            int space = line.IndexOf(' ', StringComparison.Ordinal);
            if (space < 0 || !SignatureStatement.TryRevision(line[..space], out long revision)
                || !SignatureStatement.IsName(line[(space + 1)..])
                || !record._highest.TryAdd(line[(space + 1)..], revision))
                return null;
        }

        return record;
    }

    /// <summary>0 when none has been seen.</summary>
    public long Highest(string policy) => _highest.GetValueOrDefault(policy);

    public void Raise(string policy, long revision) => _highest[policy] = Math.Max(revision, Highest(policy));

    public string Write()
    {
        var text = new StringBuilder(Title + "\n");
        foreach ((string policy, long revision) in _highest)
            text.Append(CultureInfo.InvariantCulture, $"{revision} {policy}\n");
        return text.ToString();
    }
}
