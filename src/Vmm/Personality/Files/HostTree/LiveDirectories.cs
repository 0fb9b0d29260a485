namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// The directories in a host directory that something still holds, whether or not their names are remembered. One that
/// is found anew is the same dentry: what open files keep alive of a tree is no more than the tree.
/// </summary>
sealed class LiveDirectories
{
    private const int FirstSweep = 16;

    private readonly Dictionary<byte[], WeakReference<Dentry>> _byName = new(NameComparer.Instance);
    private int _sweepAt = FirstSweep;

    /// <returns>The dentry that is in use for the directory, or this one, which is from now on.</returns>
    /// <param name="found">Made for what the host has shown.</param>
    public Dentry FindOrAdd(Dentry found)
    {
        DentryPlace place = found.Place;
        lock (_byName)
        {
            // Not what was removed or renamed since, nor what the host has put something else in place of.
            if (_byName.TryGetValue(place.Name, out WeakReference<Dentry>? reference)
                && reference.TryGetTarget(out Dentry? live) && !live.IsUnlinked && live.Place.IsSame(place)
                && live.Inode.Identity == found.Inode.Identity)
                return live;
            _byName[place.Name] = new(found);
            if (_byName.Count >= _sweepAt)
                Sweep();
            return found;
        }
    }

    private void Sweep()
    {
        foreach ((byte[] name, WeakReference<Dentry> reference) in _byName)
            if (!reference.TryGetTarget(out _))
                _byName.Remove(name);
        _sweepAt = Math.Max(FirstSweep, 2 * _byName.Count);
    }
}
