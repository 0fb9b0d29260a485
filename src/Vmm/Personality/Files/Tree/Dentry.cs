using System.Text;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// A name in a directory, bound to its inode. Dentries know their parents, so that '..' and path names never have
/// to be asked of the host.
/// </summary>
public sealed class Dentry
{
    private Dictionary<byte[], Dentry>? _pinned;
    private volatile DentryPlace _place;

    public Dentry(Dentry? parent, byte[] name, Inode inode, Mount mount)
    {
        _place = new(parent, name);
        Inode = inode;
        Mount = mount;
    }

    /// <summary>Where it is, at one moment: what is asked about a place and done there reads it once.</summary>
    public DentryPlace Place => _place;

    /// <summary>Null for the tree's root and for files without a name (memfd, O_TMPFILE).</summary>
    public Dentry? Parent => _place.Parent;

    public byte[] Name => _place.Name;

    public Inode Inode { get; }

    public Mount Mount { get; }

    /// <summary>The name is gone; the inode may live on through open files.</summary>
    public bool IsUnlinked { get; internal set; }

    /// <summary>Part of the tree's frame (a mount point, or on the way to one): not to be renamed or removed.</summary>
    public bool IsPinned { get; private set; }

    public bool IsMountRoot => Mount.Root == this;

    /// <summary>Names that the plan put here over whatever the inode itself holds. Fixed once the tree is built.</summary>
    public IReadOnlyDictionary<byte[], Dentry>? Pinned => _pinned;

    /// <summary>Finds a name: the plan's first, then the inode's.</summary>
    public long Lookup(ReadOnlySpan<byte> name, in Caller caller, out Dentry? child)
    {
        if (_pinned is not null && _pinned.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(name, out child))
            return 0;
        return Inode.Lookup(this, name, caller, out child);
    }

    /// <summary>Fixes a child in place while the tree is being built.</summary>
    internal void Pin(Dentry child)
    {
        _pinned ??= new(NameComparer.Instance);
        _pinned[child.Name] = child;
        child.IsPinned = true;
    }

    /// <summary>Called by the file system during rename, while the mount's names change.</summary>
    internal void Move(Dentry newParent, byte[] newName) => _place = new(newParent, newName);

    /// <summary>Whether so many directories are above it, or more.</summary>
    internal bool IsAsDeepAs(int directories)
    {
        Dentry? above = Parent;
        for (; directories > 0 && above is not null; directories--)
            above = above.Parent;
        return directories == 0;
    }

    /// <summary>True when this is <paramref name="other"/> or a directory above it.</summary>
    public bool IsAncestorOf(Dentry other)
    {
        for (Dentry? d = other; d is not null; d = d.Parent)
            if (d == this)
                return true;
        return false;
    }

    /// <summary>
    /// The path from <paramref name="root"/>, as d_path of the kernel shows it: "(unreachable)" before paths that do
    /// not lead there, " (deleted)" behind names that are gone.
    /// </summary>
    public byte[] GetPath(Dentry? root)
    {
        List<byte[]> names = [];
        int length = 0;
        Dentry d = this;
        DentryPlace place = d.Place;
        for (; d != root && place.Parent is { } parent; d = parent, place = d.Place)
        {
            names.Add(place.Name);
            length += place.Name.Length + 1;
        }
        bool reachable = root is null || d == root;
        // A file without a name shows what it was made as: "/memfd:name".
        if (d.Parent is null && d.Name.Length > 0 && d != root)
        {
            names.Add(d.Name);
            length += d.Name.Length + 1;
            reachable = true;
        }
        ReadOnlySpan<byte> prefix = reachable ? [] : "(unreachable)"u8;
        ReadOnlySpan<byte> suffix = IsUnlinked ? " (deleted)"u8 : [];
        byte[] path = new byte[prefix.Length + Math.Max(length, 1) + suffix.Length];
        prefix.CopyTo(path);
        int at = prefix.Length;
        if (names.Count == 0)
            path[at++] = (byte)'/';
        for (int i = names.Count - 1; i >= 0; i--)
        {
            path[at++] = (byte)'/';
            names[i].CopyTo(path, at);
            at += names[i].Length;
        }
        suffix.CopyTo(path.AsSpan(at));
        return path;
    }

    /// <summary>The path in the guest's whole tree, for messages and /proc.</summary>
    public override string ToString() => Encoding.UTF8.GetString(GetPath(null));
}

/// <summary>A name in a directory. Rename puts another in its stead: half of one and half of another is no place.</summary>
/// <param name="parent">Null for the tree's root and for files without a name.</param>
public sealed class DentryPlace(Dentry? parent, byte[] name)
{
    public Dentry? Parent { get; } = parent;

    public byte[] Name { get; } = name;

    internal bool IsSame(DentryPlace other) => Parent == other.Parent && Name.AsSpan().SequenceEqual(other.Name);
}
