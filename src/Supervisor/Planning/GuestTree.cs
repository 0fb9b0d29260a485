using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;

namespace Sandbox.Supervisor.Planning;

/// <summary>
/// The guest's file tree while it is put together: system entries first, then mounts, which hide what they cover.
/// </summary>
sealed class GuestTree
{
    /// <summary>Folders that the VMM makes itself; no host file may stand in for them.</summary>
    static readonly string[] s_ownFolders = ["/proc", "/dev"];

    readonly SortedDictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    sealed record Entry(GuestFile File, Grant? Grant, bool IsDirectory);

    public void AddText(string path, string content) =>
        Add(
            new GuestFile { Kind = GuestFileKind.Text, Path = path, Content = content, Mode = Octal(0, 6, 4, 4) },
            null, false);

    public void AddSymlink(string path, string target) =>
        Add(new GuestFile { Kind = GuestFileKind.Symlink, Path = path, Content = target }, null, false);

    /// <param name="bytes">0 for no bound of its own.</param>
    public void AddTemporary(string path, uint mode, ulong bytes) =>
        Add(
            new GuestFile { Kind = GuestFileKind.Temporary, Path = path, Writable = true, Mode = mode, Bytes = bytes },
            null, true);

    public void AddSystem(string path, string host, bool isDirectory) =>
        Add(
            new GuestFile { Kind = GuestFileKind.Host, Path = path },
            new Grant.SystemPath(host, isDirectory), isDirectory);

    /// <summary>True when the host's own <paramref name="path"/> is what the guest sees there.</summary>
    public bool ShowsSystem(string path) =>
        _entries.TryGetValue(path, out Entry? entry) && entry.Grant is Grant.SystemPath;

    public void Mount(MountSource source, int index)
    {
        string path = source.GuestPath;
        CheckPlace(source);
        foreach (string hidden in _entries.Keys.Where(key => GuestPath.IsWithin(key, path)).ToArray())
        {
            if (hidden == path && _entries[path].Grant is Grant.Mount)
                throw new UsageException(
                    $"{source.Origin}: two mounts at the guest path {Quote.Value(path)}; give one of them another path "
                        + "with HOST:GUEST");
            _entries.Remove(hidden);
        }

        var file = new GuestFile
        {
            Kind = GuestFileKind.Host, Path = path, Writable = source.Writable,
            Bytes = source.Writable ? source.Quota : 0,
        };
        Add(file, new Grant.Mount(index), source.IsDirectory);
    }

    /// <summary>The entries, shallow before deep, with descriptors numbered in the order of the grants.</summary>
    public (GuestFile[] Files, List<Grant> Grants) Finish()
    {
        AddParents();
        var grants = new List<Grant>();
        var files = new List<GuestFile>(_entries.Count);
        // A path sorts after its own prefixes, so parents come first.
        foreach (Entry entry in _entries.Values)
        {
            if (entry.Grant is null)
                files.Add(entry.File);
            else
            {
                files.Add(entry.File with { Descriptor = grants.Count });
                grants.Add(entry.Grant);
            }
        }

        return ([.. files], grants);
    }

    void Add(GuestFile file, Grant? grant, bool isDirectory) =>
        _entries.Add(file.Path, new Entry(file, grant, isDirectory));

    static void CheckPlace(MountSource source, string path)
    {
        if (path == "/")
            throw new UsageException(
                $"{source.Origin}: {Quote.Value(source.Host)} cannot become the guest's root; give it a folder, as in "
                    + $"{source.Host}:/data");
        foreach (string own in s_ownFolders)
            if (GuestPath.IsWithin(path, own))
                throw new UsageException(
                    $"{source.Origin}: the guest's {own} is its own and cannot be mounted over; choose a guest path "
                        + $"elsewhere, as in {source.Host}:/data");
    }

    void CheckPlace(MountSource source)
    {
        string path = source.GuestPath;
        CheckPlace(source, path);
        for (string parent = GuestPath.Parent(path); parent != "/"; parent = GuestPath.Parent(parent))
        {
            if (!_entries.TryGetValue(parent, out Entry? entry))
                continue;
            if (entry.File.Kind == GuestFileKind.Symlink)
                throw new UsageException(
                    $"{source.Origin}: {Quote.Value(path)} lies below {parent}, which is a symlink to "
                        + $"{entry.File.Content} in the guest; mount below its target");
            if (!entry.IsDirectory)
                throw new UsageException(
                    $"{source.Origin}: {Quote.Value(path)} lies below {parent}, which is a file in the guest; choose a "
                        + "guest path elsewhere");
        }
    }

    // Below a host folder the VMM shows the mount in front of whatever the folder holds, so only the others need
    // parents.
    void AddParents()
    {
        foreach (string path in _entries.Keys.ToArray())
        {
            for (string parent = GuestPath.Parent(path); parent != "/"; parent = GuestPath.Parent(parent))
            {
                if (s_ownFolders.Contains(parent) || NearestAbove(parent)?.File.Kind == GuestFileKind.Host)
                    break;
                if (!_entries.ContainsKey(parent))
                    Add(
                        new GuestFile { Kind = GuestFileKind.Directory, Path = parent, Mode = Octal(0, 7, 5, 5) },
                        null, true);
            }
        }
    }

    Entry? NearestAbove(string path)
    {
        for (; path != "/"; path = GuestPath.Parent(path))
            if (_entries.TryGetValue(path, out Entry? entry))
                return entry;
        return null;
    }

    /// <summary>Permission bits, digit by digit, as C# has no octal literals.</summary>
    public static uint Octal(uint special, uint user, uint group, uint others) =>
        (special << 9) | (user << 6) | (group << 3) | others;
}
