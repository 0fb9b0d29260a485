namespace Sandbox.Fuzz.Engine;

/// <summary>
/// The inputs worth mutating: the committed seeds, and what the campaign's workers found since, which they share
/// through a directory.
/// </summary>
public sealed class Corpus(string seedDirectory, string queueDirectory)
{
    private readonly List<byte[]> _entries = [];
    private readonly HashSet<string> _known = [];

    public int Count => _entries.Count;

    public void Add(byte[] input) => _entries.Add(input);

    /// <summary>Writes a new input for the other workers.</summary>
    public void Share(byte[] input)
    {
        string name = Findings.NameOf(input);
        _known.Add(name);
        string path = Path.Combine(queueDirectory, name);
        if (File.Exists(path))
            return;
        string temporary = Path.Combine(queueDirectory, $".{name}.{Environment.ProcessId}");
        File.WriteAllBytes(temporary, input);
        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>Files of both directories that have not been read yet, in the order of their names.</summary>
    public IEnumerable<byte[]> ReadNew()
    {
        foreach (string directory in new[] { seedDirectory, queueDirectory })
        {
            if (!Directory.Exists(directory))
                continue;
            foreach (string path in Directory.GetFiles(directory).Order(StringComparer.Ordinal))
            {
                string name = Path.GetFileName(path);
                if (name.StartsWith('.') || !_known.Add(name))
                    continue;
                yield return File.ReadAllBytes(path);
            }
        }
    }

    /// <summary>A random entry: half of the time one of the newest, which are the least explored.</summary>
    public byte[] Pick(FuzzRandom random)
    {
        const int newest = 16;
        int from = random.OneIn(2) ? Math.Max(0, _entries.Count - newest) : 0;
        return _entries[from + random.Below(_entries.Count - from)];
    }
}
