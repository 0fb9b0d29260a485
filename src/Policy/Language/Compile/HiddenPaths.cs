namespace Sandbox.Policy.Language;

/// <summary>Finds the denies at or above a path.</summary>
sealed class HiddenPaths
{
    readonly Dictionary<string, HiddenFile> _byPath = new(StringComparer.Ordinal);

    /// <param name="home">What ~ stands for.</param>
    public HiddenPaths(IEnumerable<HiddenFile> hidden, string home)
    {
        foreach (HiddenFile one in hidden)
            _byPath.TryAdd(CompiledPolicy.ExpandHome(one.Path, home), one);
    }

    /// <summary>The deepest deny at or above a path; null when there is none.</summary>
    public HiddenFile? Above(string path)
    {
        if (_byPath.Count == 0)
            return null;
        for (; path != "/"; path = GuestPath.Parent(path))
            if (_byPath.TryGetValue(path, out HiddenFile? found))
                return found;
        return null;
    }
}
