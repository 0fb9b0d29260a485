using System.Security.Cryptography;

namespace Sandbox.Fuzz.Engine;

/// <summary>What a campaign found: one directory for each site, with the smallest input and a report.</summary>
public sealed class Findings(string directory)
{
    /// <summary>Content-addressed names: equal inputs are one file, whoever found them.</summary>
    public static string NameOf(ReadOnlySpan<byte> input)
    {
        const int nameBytes = 8;
        return Convert.ToHexStringLower(SHA256.HashData(input).AsSpan(0, nameBytes));
    }

    public IReadOnlyList<string> Sites =>
        Directory.Exists(directory) ? [.. Directory.GetDirectories(directory).Select(d => Path.GetFileName(d)!).Order()] : [];

    /// <summary>Keeps an input if its site is new, or the input is smaller than the one that stands for it.</summary>
    /// <returns>True for a new site.</returns>
    public bool Add(CrashSite site, ReadOnlySpan<byte> input)
    {
        string path = Path.Combine(directory, site.Id);
        // Two workers may find the same site at the same moment: whoever creates it first reports it.
        bool isNew = !Directory.Exists(path);
        Directory.CreateDirectory(path);
        string file = Path.Combine(path, "input");
        if (File.Exists(file) && new FileInfo(file).Length <= input.Length)
            return false;
        string temporary = Path.Combine(path, $"input.{Environment.ProcessId}");
        File.WriteAllBytes(temporary, input);
        File.Move(temporary, file, overwrite: true);
        File.WriteAllText(Path.Combine(path, "report.txt"), site.Report + "\n");
        return isNew;
    }
}
