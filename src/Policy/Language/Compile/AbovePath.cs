namespace Sandbox.Policy.Language;

/// <summary>Finds what stands at or above a path.</summary>
sealed class AbovePath<T> where T : class
{
    readonly Dictionary<string, T> _byPath = new(StringComparer.Ordinal);

    /// <param name="pathOf">Normalised; may begin with ~.</param>
    /// <param name="home">What ~ stands for.</param>
    public AbovePath(IEnumerable<T> items, Func<T, string> pathOf, string home)
    {
        foreach (T item in items)
            _byPath.TryAdd(CompiledPolicy.ExpandHome(pathOf(item), home), item);
    }

    /// <summary>The deepest at or above a path; null when there is none.</summary>
    public T? Find(string path)
    {
        if (_byPath.Count == 0)
            return null;
        for (; path != "/"; path = GuestPath.Parent(path))
            if (_byPath.TryGetValue(path, out T? found))
                return found;
        return null;
    }
}
