using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Ipc;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

// open(2) and its relatives.
public sealed partial class VirtualFileSystem
{
    /// <summary>O_TMPFILE without the O_DIRECTORY that is part of it.</summary>
    private const int TemporaryFileFlag = O_TMPFILE & ~O_DIRECTORY;

    private const int PathFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

    /// <summary>openat(2) for a guest thread.</summary>
    /// <param name="file">With one reference for the caller.</param>
    public long Open(
        GuestThread thread, int directory, ReadOnlySpan<byte> path, int flags, uint mode, out OpenFile? file)
    {
        file = null;
        long result = Start(thread, directory, path, out Dentry start);
        return result < 0 ? result : Open(Caller.Of(thread), start, path, flags, mode, WalkFlags.None, out file);
    }

    public long Open(
        in Caller caller, Dentry start, ReadOnlySpan<byte> path, int flags, uint mode, WalkFlags restrictions,
        out OpenFile? file)
    {
        file = null;
        // Looked at first, so that a file is not made or cut for an open that then fails.
        if (_kernelMemory is { } budget && budget.Used + KernelMemory.ObjectCost > budget.Limit)
            return -ENFILE;
        long result = OpenUncharged(caller, start, path, flags, mode, restrictions, out file);
        if (result == 0)
            result = Charge(ref file);
        if (result == 0 && file is InodeFile opened and not PathFile)
            opened.ReportOpened();
        return result;
    }

    private long Charge(ref OpenFile? file)
    {
        if (_kernelMemory is null)
            return 0;
        long result = file!.ChargeTo(_kernelMemory);
        if (result < 0)
        {
            file.Release();
            file = null;
        }
        return result;
    }

    private static long OpenUncharged(
        in Caller caller, Dentry start, ReadOnlySpan<byte> path, int flags, uint mode, WalkFlags restrictions,
        out OpenFile? file)
    {
        file = null;
        if ((flags & O_PATH) != 0)
            flags &= PathFlags;
        bool unnamed = (flags & TemporaryFileFlag) != 0;
        if (unnamed && ((flags & O_TMPFILE) != O_TMPFILE || (flags & O_CREAT) != 0 || (flags & O_ACCMODE) == O_RDONLY))
            return -EINVAL;
        if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
            return -EINVAL;
        if ((flags & O_CREAT) != 0)
            return OpenOrCreate(caller, start, path, flags, mode, restrictions, out file);

        WalkFlags walk = restrictions;
        if ((flags & O_NOFOLLOW) == 0)
            walk |= WalkFlags.Follow;
        if ((flags & O_DIRECTORY) != 0)
            walk |= WalkFlags.Directory;
        long result = PathWalk.Resolve(caller, start, path, walk, out Dentry? target);
        if (result < 0)
            return result;
        return unnamed
            ? OpenUnnamed(caller, target!, flags, mode, out file)
            : OpenExisting(caller, target!, flags, out file);
    }

    private static long OpenOrCreate(
        in Caller caller, Dentry start, ReadOnlySpan<byte> path, int flags, uint mode, WalkFlags restrictions,
        out OpenFile? file)
    {
        const int MaximumRaces = 16;
        file = null;
        bool exclusive = (flags & O_EXCL) != 0;
        PathWalk walk = new(caller, start, restrictions);
        long result = walk.Begin(path);
        bool followed = false;
        for (int races = 0; result == 0;)
        {
            if (!walk.IsAtLast)
            {
                result = walk.ToLast();
                if (result < 0)
                    return result;
            }
            if (walk.Last == LastComponent.None && followed)
                return OpenExisting(caller, walk.Current, flags & ~O_CREAT, out file);
            if (walk.Last != LastComponent.Name)
                return exclusive ? -EEXIST : -EISDIR;
            if (walk.TrailingSlash)
                return -EISDIR;
            result = walk.LookupLast(out Dentry? child);
            if (result == -ENOENT)
            {
                result = MayChange(caller, walk.Current, walk.Name, PathAccess.Create);
                if (result == 0)
                    result = PathGuard.Check(walk.Current, walk.Name, PathAccess.Create | AccessOf(flags));
                if (result == 0)
                    result = CreateAndOpen(caller, walk, flags, mode, out file);
                // Somebody else made it in between: it is found the next time.
                if (result == -EEXIST && !exclusive && ++races < MaximumRaces)
                {
                    result = 0;
                    continue;
                }
                if (result == 0)
                    walk.Current.Mount.Watches.ReportCreated(walk.Current, walk.Name, isDirectory: false);
                return result;
            }
            if (result < 0)
                return result;
            if (exclusive)
                return -EEXIST;
            if (child!.Inode.IsSymlink)
            {
                if ((flags & O_NOFOLLOW) != 0)
                    return -ELOOP;
                result = walk.FollowLast(child);
                followed = true;
                continue;
            }
            result = walk.ToFound(child);
            if (result < 0)
                return result;
            if (child.Inode.IsDirectory)
                return -EISDIR;
            return OpenExisting(caller, child, flags & ~O_CREAT, out file);
        }
        return result;
    }

    private static long CreateAndOpen(
        in Caller caller, in PathWalk walk, int flags, uint mode, out OpenFile? file)
    {
        using NameLock.Scope held = walk.Current.Mount.Names.Hold();
        return walk.Current.Inode.CreateAndOpen(
            caller, walk.Current, walk.Name, mode & 0xfff & ~caller.Umask, caller.Owner,
            flags & ~(O_CREAT | O_EXCL | O_TRUNC), out file);
    }

    private static PathAccess AccessOf(int flags) => (flags & O_ACCMODE) switch
    {
        O_RDONLY => PathAccess.Read,
        O_WRONLY => PathAccess.Write,
        _ => PathAccess.Read | PathAccess.Write,
    };

    private static long OpenUnnamed(in Caller caller, Dentry directory, int flags, uint mode, out OpenFile? file)
    {
        file = null;
        long result = MayChange(caller, directory, default, PathAccess.Create);
        if (result == 0)
            result = PathGuard.Check(directory, PathAccess.Create | AccessOf(flags));
        return result < 0
            ? result
            : directory.Inode.CreateUnnamed(
                caller, directory, mode & 0xfff & ~caller.Umask, caller.Owner, flags & ~TemporaryFileFlag & ~O_DIRECTORY,
                out file);
    }

    /// <summary>Opens what a walk has found.</summary>
    internal static long OpenExisting(in Caller caller, Dentry target, int flags, out OpenFile? file)
    {
        file = null;
        Inode inode = target.Inode;
        if ((flags & O_PATH) != 0)
        {
            long visible = PathGuard.CheckVisible(target);
            if (visible < 0)
                return visible;
            if (!inode.TryAddUser())
                return -ESTALE;
            file = new PathFile(target, flags);
            return 0;
        }
        if (inode.IsSymlink)
            return -ELOOP;
        int mask = Permissions.OpenMask(flags);
        if (inode.IsDirectory && (mask & W_OK) != 0)
            return -EISDIR;
        long result = CheckAccess(caller, target, mask);
        if (result < 0)
            return result;
        if ((flags & O_NOATIME) != 0)
        {
            result = inode.GetStatus(target, out InodeStatus status);
            if (result == 0 && !Permissions.IsOwner(status, caller.Credentials))
                result = -EPERM;
            if (result < 0)
                return result;
        }
        if (!inode.IsRegular)
            flags &= ~O_TRUNC;
        result = inode.Open(caller, target, flags, out file);
        if (result == 0 && (flags & O_TRUNC) != 0)
            target.Mount.Watches.Report(target, IN_MODIFY);
        return result;
    }

    /// <summary>
    /// execveat(2)'s open: a regular file that may be executed, readable by the VMM whatever its mode says. -EISDIR,
    /// which is EACCES to the guest, for a folder.
    /// </summary>
    /// <param name="flags">AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW.</param>
    public long OpenExecutable(
        GuestThread thread, int directory, ReadOnlySpan<byte> path, int flags, out OpenFile? file)
    {
        file = null;
        if ((flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) != 0)
            return -EINVAL;
        long result = Start(thread, directory, path, out Dentry start);
        if (result < 0)
            return result == -ENOTDIR && path.IsEmpty ? -EACCES : result;
        WalkFlags walk = (flags & AT_SYMLINK_NOFOLLOW) != 0 ? WalkFlags.None : WalkFlags.Follow;
        if ((flags & AT_EMPTY_PATH) != 0)
            walk |= WalkFlags.AllowEmpty;
        return OpenExecutable(Caller.Of(thread), start, path, walk, out file);
    }

    public long OpenExecutable(
        in Caller caller, Dentry start, ReadOnlySpan<byte> path, WalkFlags walk, out OpenFile? file)
    {
        file = null;
        long result = PathWalk.Resolve(caller, start, path, walk, out Dentry? target);
        if (result < 0)
            return result;
        if (target!.Inode.IsSymlink)
            return -ELOOP;
        if (!target.Inode.IsRegular)
            return target.Inode.IsDirectory ? -EISDIR : -EACCES;
        result = CheckAccess(caller, target, X_OK);
        if (result == 0)
            result = target.Inode.Open(caller, target, O_RDONLY, out file);
        if (result == 0)
            result = Charge(ref file);
        if (result == 0 && file is InodeFile opened)
            opened.ReportOpened();
        return result;
    }
}
