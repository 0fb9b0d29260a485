using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

// Names: making, removing, linking and moving them.
public sealed partial class VirtualFileSystem
{
    /// <summary>Walks to where a new name is to be. -EEXIST when something is there already.</summary>
    /// <param name="walk">Stands at the directory, with the name in <see cref="PathWalk.Name"/>.</param>
    private static long BeginCreate(ref PathWalk walk, in Caller caller, ReadOnlySpan<byte> path, bool directory)
    {
        long result = walk.Begin(path);
        if (result == 0)
            result = walk.ToLast();
        if (result < 0)
            return result;
        if (walk.Last != LastComponent.Name)
            return -EEXIST;
        result = walk.LookupLast(out _);
        if (result == 0)
            return -EEXIST;
        if (result != -ENOENT)
            return result;
        // Only a directory may be made under a name with a slash behind it.
        if (walk.TrailingSlash && !directory)
            return -ENOENT;
        result = MayChange(caller, walk.Current, walk.Name, PathAccess.Create);
        return result < 0 ? result : PathGuard.Check(walk.Current, walk.Name, PathAccess.Create);
    }

    /// <param name="mode">Type and permission bits; S_IFREG, S_IFIFO or S_IFSOCK.</param>
    public static long MakeNode(in Caller caller, Dentry start, ReadOnlySpan<byte> path, uint mode, out Dentry? node)
    {
        node = null;
        PathWalk walk = new(caller, start, WalkFlags.None);
        long result = BeginCreate(ref walk, caller, path, directory: false);
        if (result < 0)
            return result;
        uint permissions = mode & 0xfff & ~caller.Umask;
        using NameLock.Scope held = walk.Current.Mount.Names.Hold();
        result = walk.Current.Inode.CreateNode(
            walk.Current, walk.Name, (mode & S_IFMT) | permissions, caller.Owner, out node);
        return Created(walk, result, isDirectory: false);
    }

    private static long Created(in PathWalk walk, long result, bool isDirectory)
    {
        if (result == 0)
            walk.Current.Mount.Watches.ReportCreated(walk.Current, walk.Name, isDirectory);
        return result;
    }

    public static long MakeDirectory(in Caller caller, Dentry start, ReadOnlySpan<byte> path, uint mode)
    {
        PathWalk walk = new(caller, start, WalkFlags.None);
        long result = BeginCreate(ref walk, caller, path, directory: true);
        if (result < 0)
            return result;
        using NameLock.Scope held = walk.Current.Mount.Names.Hold();
        result = walk.Current.Inode.MakeDirectory(
            walk.Current, walk.Name, mode & (0x1ff | S_ISVTX) & ~caller.Umask, caller.Owner);
        return Created(walk, result, isDirectory: true);
    }

    public static long MakeSymlink(in Caller caller, ReadOnlySpan<byte> target, Dentry start, ReadOnlySpan<byte> path)
    {
        if (target.IsEmpty)
            return -ENOENT;
        if (target.Length >= PATH_MAX)
            return -ENAMETOOLONG;
        PathWalk walk = new(caller, start, WalkFlags.None);
        long result = BeginCreate(ref walk, caller, path, directory: false);
        if (result < 0)
            return result;
        using NameLock.Scope held = walk.Current.Mount.Names.Hold();
        result = walk.Current.Inode.MakeSymlink(walk.Current, walk.Name, target, caller.Owner);
        return Created(walk, result, isDirectory: false);
    }

    public static long Link(in Caller caller, Dentry existing, Dentry start, ReadOnlySpan<byte> path)
    {
        PathWalk walk = new(caller, start, WalkFlags.None);
        long result = BeginCreate(ref walk, caller, path, directory: false);
        if (result < 0 && result != -EROFS && result != -EACCES)
            return result;
        if (existing.Mount != walk.Current.Mount)
            return -EXDEV;
        // What the rules are asked about is what gets the name.
        using NameLock.Scope held = existing.Mount.Names.Hold();
        if (result == 0)
            result = PathGuard.CheckMove(existing, walk.Current, walk.Name);
        if (result < 0)
            return result;
        if (existing.Inode.IsDirectory)
            return -EPERM;
        result = walk.Current.Inode.Link(walk.Current, walk.Name, existing);
        if (result == 0)
            walk.Current.Mount.Watches.ReportLinked(walk.Current, walk.Name, existing.Inode);
        return result;
    }

    public static long Unlink(in Caller caller, Dentry start, ReadOnlySpan<byte> path)
    {
        PathWalk walk = new(caller, start, WalkFlags.None);
        long result = walk.Begin(path);
        if (result == 0)
            result = walk.ToLast();
        if (result < 0)
            return result;
        if (walk.Last != LastComponent.Name)
            return -EISDIR;
        if (walk.Current.Mount.IsReadOnly && walk.Current.Inode.IsDirectory)
            return PathGuard.RefuseReadOnly(walk.Current, walk.Name, PathAccess.Delete);
        using NameLock.Scope held = walk.Current.Mount.Names.Hold();
        result = walk.LookupLast(out Dentry? child);
        if (result < 0)
            return result;
        if (walk.TrailingSlash)
            return child!.Inode.IsDirectory ? -EISDIR : -ENOTDIR;
        result = MayRemove(caller, walk.Current, child!);
        if (result < 0)
            return result;
        if (child!.Inode.IsDirectory)
            return -EISDIR;
        FileWatches watches = walk.Current.Mount.Watches;
        bool isLastName = watches.IsLastName(child);
        result = walk.Current.Inode.Unlink(walk.Current, child);
        if (result == 0)
            watches.ReportRemoved(walk.Current, child, isLastName);
        return result;
    }

    public static long RemoveDirectory(in Caller caller, Dentry start, ReadOnlySpan<byte> path)
    {
        PathWalk walk = new(caller, start, WalkFlags.None);
        long result = walk.Begin(path);
        if (result == 0)
            result = walk.ToLast();
        if (result < 0)
            return result;
        switch (walk.Last)
        {
            case LastComponent.Dot:
                return -EINVAL;
            case LastComponent.DotDot:
                return -ENOTEMPTY;
            case LastComponent.None:
                return -EBUSY;
        }
        if (walk.Current.Mount.IsReadOnly && walk.Current.Inode.IsDirectory)
            return PathGuard.RefuseReadOnly(walk.Current, walk.Name, PathAccess.Delete);
        using NameLock.Scope held = walk.Current.Mount.Names.Hold();
        result = walk.LookupLast(out Dentry? child);
        if (result < 0)
            return result;
        result = MayRemove(caller, walk.Current, child!);
        if (result < 0)
            return result;
        if (!child!.Inode.IsDirectory)
            return -ENOTDIR;
        result = walk.Current.Inode.RemoveDirectory(walk.Current, child);
        if (result == 0)
            walk.Current.Mount.Watches.ReportRemoved(walk.Current, child, wasLastName: true);
        return result;
    }

    public static long Rename(
        in Caller caller, Dentry oldStart, ReadOnlySpan<byte> oldPath, Dentry newStart, ReadOnlySpan<byte> newPath,
        uint flags)
    {
        bool noReplace = (flags & RENAME_NOREPLACE) != 0, exchange = (flags & RENAME_EXCHANGE) != 0;
        if ((flags & ~(uint)(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0 || (noReplace && exchange))
            return -EINVAL;
        PathWalk from = new(caller, oldStart, WalkFlags.None);
        long result = from.Begin(oldPath);
        if (result == 0)
            result = from.ToLast();
        if (result < 0)
            return result;
        PathWalk to = new(caller, newStart, WalkFlags.None);
        result = to.Begin(newPath);
        if (result == 0)
            result = to.ToLast();
        if (result < 0)
            return result;
        if (from.Current.Mount != to.Current.Mount)
            return -EXDEV;
        if (from.Last != LastComponent.Name)
            return -EBUSY;
        if (to.Last != LastComponent.Name)
            return noReplace ? -EEXIST : -EBUSY;
        if (from.Current.Mount.IsReadOnly)
            return PathGuard.RefuseReadOnly(from.Current, from.Name, PathAccess.Delete);

        using NameLock.Scope changing = from.Current.Mount.Names.Change();
        result = from.LookupLast(out Dentry? child);
        if (result < 0)
            return result;
        result = to.LookupLast(out Dentry? replaced);
        if (result < 0 && result != -ENOENT)
            return result;
        if (replaced is not null && noReplace)
            return -EEXIST;
        if (replaced is null && exchange)
            return -ENOENT;
        bool directory = child!.Inode.IsDirectory;
        if (!directory && (from.TrailingSlash || (!exchange && to.TrailingSlash)))
            return -ENOTDIR;
        if (exchange && to.TrailingSlash && !replaced!.Inode.IsDirectory)
            return -ENOTDIR;
        if (child.IsAncestorOf(to.Current))
            return -EINVAL;
        if (replaced is not null && replaced.IsAncestorOf(from.Current))
            return exchange ? -EINVAL : -ENOTEMPTY;
        result = MayMove(caller, from.Current, child, to.Current);
        if (result < 0)
            return result;
        if (replaced is null)
        {
            result = MayChange(caller, to.Current, to.Name, PathAccess.Create);
        }
        else
        {
            result = exchange
                ? MayMove(caller, to.Current, replaced, from.Current)
                : MayRemove(caller, to.Current, replaced);
            if (result == 0 && !exchange && directory != replaced.Inode.IsDirectory)
                result = directory ? -ENOTDIR : -EISDIR;
        }
        if (result < 0)
            return result;
        result = CheckRenameRules(from.Current, child, to.Current, to.Name, exchange ? replaced : null);
        if (result < 0)
            return result;
        // Two dentries of one name: the same file, already where it is to go.
        if (child == replaced)
            return 0;
        FileWatches watches = from.Current.Mount.Watches;
        byte[] oldName = child.Name;
        bool isLastName = replaced is not null && !exchange && watches.IsLastName(replaced);
        result = from.Current.Inode.Rename(from.Current, child, to.Current, to.Name, replaced, flags);
        // Two names of one file: rename(2) leaves both as they are.
        if (result < 0 || (!exchange && replaced?.Inode.Identity == child.Inode.Identity))
            return result;
        watches.ReportMoved(
            from.Current, oldName, to.Current, to.Name, child.Inode, exchange ? null : replaced?.Inode, isLastName);
        if (exchange)
            watches.ReportMoved(to.Current, to.Name, from.Current, oldName, replaced!.Inode, null, false);
        return result;
    }

    private static long CheckRenameRules(
        Dentry oldDirectory, Dentry child, Dentry newDirectory, ReadOnlySpan<byte> newName, Dentry? exchanged)
    {
        long result = PathGuard.Check(newDirectory, newName, PathAccess.Create);
        if (result == 0)
            result = PathGuard.CheckMove(child, newDirectory, newName);
        if (result == 0 && exchanged is not null)
            result = PathGuard.Check(oldDirectory, child.Name, PathAccess.Create);
        if (result == 0 && exchanged is not null)
            result = PathGuard.CheckMove(exchanged, oldDirectory, child.Name);
        return result;
    }

    private static long MayMove(in Caller caller, Dentry from, Dentry child, Dentry to)
    {
        long result = MayRemove(caller, from, child);
        // A directory that changes its parent has its '..' rewritten.
        if (result == 0 && child.Inode.IsDirectory && from != to)
            result = child.Inode.CheckAccess(child, caller.Credentials, W_OK);
        return result;
    }
}
