using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>How a path is walked, beyond what the path itself says.</summary>
[Flags]
public enum WalkFlags
{
    None = 0,
    /// <summary>Follow a symbolic link that is the last component.</summary>
    Follow = 1,
    /// <summary>The result must be a directory.</summary>
    Directory = 2,
    /// <summary>An empty path names the starting point itself (AT_EMPTY_PATH).</summary>
    AllowEmpty = 4,
    /// <summary>RESOLVE_NO_SYMLINKS: a symbolic link anywhere is -ELOOP.</summary>
    NoSymlinks = 8,
    /// <summary>RESOLVE_NO_MAGICLINKS.</summary>
    NoMagicLinks = 16,
    /// <summary>RESOLVE_BENEATH: leaving the starting point is -EXDEV.</summary>
    Beneath = 32,
    /// <summary>RESOLVE_IN_ROOT: the starting point is the root.</summary>
    InRoot = 64,
    /// <summary>RESOLVE_NO_XDEV: crossing a mount is -EXDEV.</summary>
    NoCrossing = 128,
}

/// <summary>What the last component of a path is.</summary>
public enum LastComponent
{
    Name,
    Dot,
    DotDot,
    /// <summary>None: the path was only slashes, or a magic link led to the object itself.</summary>
    None,
}

/// <summary>
/// Path resolution as path_resolution(7) and the kernel's fs/namei.c define it. Works on the guest's tree only: each
/// component is looked up by itself in a directory already held, '..' goes to the dentry's own parent, and a symbolic
/// link is text that is walked in the guest's tree, wherever it was found. Bounded: at most 40 links.
/// </summary>
public ref struct PathWalk
{
    public const int MaximumLinks = 40;

    private readonly Caller _caller;
    private readonly WalkFlags _flags;
    private readonly Dentry _root;
    private readonly Dentry _start;
    private ReadOnlySpan<byte> _rest;

    /// <summary>When not null, <see cref="_rest"/> is its end.</summary>
    private byte[]? _buffer;
    private int _links;

    public PathWalk(in Caller caller, Dentry start, WalkFlags flags)
    {
        _caller = caller;
        _flags = flags;
        _start = start;
        _root = (flags & WalkFlags.InRoot) != 0 ? start : caller.Root;
        Current = start;
    }

    /// <summary>Where the walk stands: before the last component, its directory.</summary>
    public Dentry Current { get; private set; }

    public LastComponent Last { get; private set; }

    /// <summary>The last component when <see cref="Last"/> is Name.</summary>
    public ReadOnlySpan<byte> Name { get; private set; }

    /// <summary>Slashes follow the last component: it must be (or become) a directory.</summary>
    public bool TrailingSlash { get; private set; }

    /// <summary>The last component has been reached and not been looked through yet.</summary>
    public bool IsAtLast { get; private set; }

    /// <summary>Walks a whole path to what it names.</summary>
    public static long Resolve(
        in Caller caller, Dentry start, ReadOnlySpan<byte> path, WalkFlags flags, out Dentry? target)
    {
        PathWalk walk = new(caller, start, flags);
        long result = walk.Begin(path);
        if (result == 0)
            result = walk.ToTarget();
        target = result == 0 ? walk.Current : null;
        return result;
    }

    /// <summary>Sets the path. Follow with <see cref="ToLast"/> or <see cref="ToTarget"/>.</summary>
    public long Begin(ReadOnlySpan<byte> path)
    {
        _rest = path;
        _buffer = null;
        if (path.IsEmpty)
            return (_flags & WalkFlags.AllowEmpty) != 0 ? 0 : -ENOENT;
        if (path.Length >= PATH_MAX)
            return -ENAMETOOLONG;
        return path[0] == '/' ? ToRoot() : 0;
    }

    /// <summary>Walks up to the last component, which is left in <see cref="Last"/> and <see cref="Name"/>.</summary>
    public long ToLast()
    {
        while (true)
        {
            SkipSlashes();
            if (_rest.IsEmpty)
            {
                Last = LastComponent.None;
                Name = default;
                IsAtLast = true;
                return 0;
            }
            int end = _rest.IndexOf((byte)'/');
            ReadOnlySpan<byte> name = end < 0 ? _rest : _rest[..end];
            _rest = end < 0 ? default : _rest[end..];
            bool slash = end >= 0;
            SkipSlashes();
            Last = name is [(byte)'.'] ? LastComponent.Dot
                : name is [(byte)'.', (byte)'.'] ? LastComponent.DotDot
                : LastComponent.Name;
            Name = name;
            if (_rest.IsEmpty)
            {
                TrailingSlash |= slash;
                IsAtLast = true;
                return 0;
            }
            long result = Step(followLink: true);
            if (result < 0)
                return result;
        }
    }

    /// <summary>Walks to the end, the last component included; <see cref="Current"/> is then what the path names.</summary>
    public long ToTarget()
    {
        while (true)
        {
            long result = ToLast();
            if (result < 0)
                return result;
            if (Last == LastComponent.None)
                break;
            bool follow = TrailingSlash || (_flags & WalkFlags.Follow) != 0;
            result = Step(follow);
            if (result < 0)
                return result;
            // A followed link left its target to be walked; anything else is the end.
            if (result == 0)
                break;
        }
        bool directory = TrailingSlash || (_flags & WalkFlags.Directory) != 0;
        return directory && !Current.Inode.IsDirectory ? -ENOTDIR : 0;
    }

    /// <summary>Finds the last name in <see cref="Current"/> without moving there.</summary>
    public readonly long LookupLast(out Dentry? child)
    {
        child = null;
        long result = MaySearch();
        if (result < 0)
            return result;
        if (Name.Length > NAME_MAX)
            return -ENAMETOOLONG;
        return Current.Lookup(Name, _caller, out child);
    }

    /// <summary>Moves to what <see cref="LookupLast"/> has found, which is no link to follow.</summary>
    public long ToFound(Dentry child) => MoveTo(child);

    /// <summary>Continues through a link found by <see cref="LookupLast"/>: call <see cref="ToLast"/> again.</summary>
    public long FollowLast(Dentry link) => Enter(link);

    /// <returns>0 when done, 1 when a link was entered and its target is still to be walked, or a negative errno.</returns>
    private long Step(bool followLink)
    {
        long result = MaySearch();
        if (result < 0)
            return result;
        switch (Last)
        {
            case LastComponent.Dot:
                return 0;
            case LastComponent.DotDot:
                return ToParent();
        }
        if (Name.Length > NAME_MAX)
            return -ENAMETOOLONG;
        result = Current.Lookup(Name, _caller, out Dentry? child);
        if (result < 0)
            return result;
        if (child!.Inode.IsSymlink && followLink)
        {
            result = Enter(child);
            return result < 0 ? result : 1;
        }
        return MoveTo(child);
    }

    private readonly long MaySearch() =>
        Current.Inode.IsDirectory ? Current.Inode.CheckAccess(Current, _caller.Credentials, X_OK) : -ENOTDIR;

    private long MoveTo(Dentry next)
    {
        if ((_flags & WalkFlags.NoCrossing) != 0 && next.Mount != Current.Mount)
            return -EXDEV;
        Current = next;
        return 0;
    }

    private long ToParent()
    {
        if ((_flags & WalkFlags.Beneath) != 0 && IsSamePlace(Current, _start))
            return -EXDEV;
        if (IsSamePlace(Current, _root) || Current.Parent is not { } parent)
            return 0;
        long result = MoveTo(parent);
        // Somebody may have moved the directory out of the start: '..' then leads past it.
        return result == 0 && (_flags & (WalkFlags.Beneath | WalkFlags.InRoot)) != 0 && !IsInStart(parent)
            ? -EAGAIN
            : result;
    }

    private readonly bool IsInStart(Dentry place)
    {
        for (Dentry? above = place; above is not null; above = above.Parent)
        {
            if (IsSamePlace(above, _start))
                return true;
        }
        return false;
    }

    /// <summary>A host directory that was forgotten and found again has another dentry, and is the same place.</summary>
    private static bool IsSamePlace(Dentry one, Dentry other) =>
        one == other || (one.Mount == other.Mount && one.Inode.Identity == other.Inode.Identity);

    private long ToRoot()
    {
        if ((_flags & WalkFlags.Beneath) != 0)
            return -EXDEV;
        if ((_flags & WalkFlags.NoCrossing) != 0 && _root.Mount != Current.Mount)
            return -EXDEV;
        Current = _root;
        return 0;
    }

    private long Enter(Dentry link)
    {
        IsAtLast = false;
        if ((_flags & WalkFlags.NoSymlinks) != 0 || ++_links > MaximumLinks)
            return -ELOOP;
        long result;
        if (link.Inode.IsMagicLink)
        {
            if ((_flags & WalkFlags.NoMagicLinks) != 0)
                return -ELOOP;
            // A magic link jumps; nothing says that the place lies beneath the start.
            if ((_flags & (WalkFlags.Beneath | WalkFlags.InRoot)) != 0)
                return -EXDEV;
            result = link.Inode.FollowMagicLink(_caller, out Dentry? target);
            return result < 0 ? result : MoveTo(target!);
        }
        result = link.Inode.ReadLink(link, _caller, out byte[] text);
        if (result < 0)
            return result;
        if (text.Length == 0)
            return -ENOENT;
        if (text.Length >= PATH_MAX)
            return -ENAMETOOLONG;
        if (_rest.IsEmpty)
        {
            _rest = text;
            _buffer = null;
        }
        else
        {
            Prepend(text);
        }
        return text[0] == '/' ? ToRoot() : 0;
    }

    /// <summary>
    /// Puts a link's text before what is left of the path. What is left is kept at the end of a buffer, so that forty
    /// long links cost a few copies and not one each.
    /// </summary>
    private void Prepend(ReadOnlySpan<byte> text)
    {
        const int smallest = 512;
        int needed = text.Length + 1;
        int length = _rest.Length;
        if (_buffer is null || _buffer.Length - length < needed)
        {
            byte[] larger = new byte[Math.Max(2 * (length + needed), smallest)];
            _rest.CopyTo(larger.AsSpan(larger.Length - length));
            _buffer = larger;
        }
        int start = _buffer.Length - length - needed;
        text.CopyTo(_buffer.AsSpan(start));
        _buffer[start + text.Length] = (byte)'/';
        _rest = _buffer.AsSpan(start);
    }

    private void SkipSlashes()
    {
        int count = _rest.IndexOfAnyExcept((byte)'/');
        _rest = count < 0 ? default : _rest[count..];
    }
}
