using Sandbox.Vmm.Personality.Ipc;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// Who wants to hear of changes to which files: inotify(7). One for a file tree. Told of what guests do, in the places
/// where the kernel calls fsnotify; what the host changes in a mounted folder is not seen.
/// </summary>
/// <remarks>
/// Its lock is inside the tree's locks and outside that of an instance's queue. As long as nothing is watched, every
/// report costs one look at a field.
/// </remarks>
public sealed class FileWatches
{
    /// <summary>What a watch remembers of inotify_add_watch(2)'s mask.</summary>
    private const uint Kept = IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK;

    private readonly Lock _lock = new();
    private readonly Dictionary<FileIdentity, List<FileWatch>> _byFile = [];
    private int _count;
    private uint _lastCookie;

    /// <summary>False means that no report reaches anybody.</summary>
    public bool IsInUse => Volatile.Read(ref _count) > 0;

    /// <summary>inotify_add_watch(2) once the path has led to a file.</summary>
    /// <returns>A watch descriptor above 0, or -EEXIST (IN_MASK_CREATE) or -ENOSPC.</returns>
    internal long Add(InotifyFile instance, Dentry target, uint mask)
    {
        FileIdentity file = target.Inode.Identity;
        uint wanted = mask & Kept;
        lock (_lock)
        {
            List<FileWatch>? watches = _byFile.GetValueOrDefault(file);
            if (watches?.Find(watch => watch.Owner == instance) is { } known)
            {
                if ((mask & IN_MASK_CREATE) != 0)
                    return -EEXIST;
                known.Mask = (mask & IN_MASK_ADD) != 0 ? known.Mask | wanted : wanted;
                return known.Descriptor;
            }
            FileWatch? added = instance.TryAddWatch(file, wanted);
            if (added is null)
                return -ENOSPC;
            if (watches is null)
                _byFile.Add(file, watches = []);
            watches.Add(added);
            _count++;
            return added.Descriptor;
        }
    }

    /// <summary>inotify_rm_watch(2). -EINVAL when the instance has no such watch.</summary>
    internal long Remove(InotifyFile instance, int descriptor)
    {
        lock (_lock)
        {
            if (!instance.Watches.TryGetValue(descriptor, out FileWatch? watch))
                return -EINVAL;
            End(watch);
            return 0;
        }
    }

    /// <summary>The instance is being closed: nothing is reported to it any more.</summary>
    internal void RemoveAll(InotifyFile instance)
    {
        lock (_lock)
            foreach (FileWatch watch in instance.Watches.Values)
                Forget(watch);
    }

    /// <summary>Bytes were read or written, or would have been: as fsnotify_access and fsnotify_modify.</summary>
    /// <param name="count">What the transfer answers; only a positive number is reported.</param>
    internal static void Transferred(OpenFile file, long count, bool write)
    {
        if (count > 0 && file is InodeFile opened)
            opened.Dentry.Mount.Watches.Report(opened.Dentry, write ? IN_MODIFY : (uint)IN_ACCESS);
    }

    /// <summary>Something happened to a file: told to those who watch it, and its directory with its name.</summary>
    internal void Report(Dentry subject, uint mask)
    {
        if (!IsInUse)
            return;
        if (subject.Inode.IsDirectory)
            mask |= IN_ISDIR;
        lock (_lock)
        {
            if (subject.Parent is { } parent && !subject.IsMountRoot)
                Tell(parent.Inode.Identity, mask, 0, subject.Name, subject.IsUnlinked);
            Tell(subject.Inode.Identity, mask);
        }
    }

    /// <summary>Whether a file that loses this name has none left. False, too, as long as nobody watches.</summary>
    internal bool IsLastName(Dentry name) => IsInUse
        && (name.Inode.IsDirectory || (name.Inode.GetStatus(name, out InodeStatus status) == 0 && status.Links <= 1));

    /// <summary>A name appeared in a directory.</summary>
    internal void ReportCreated(Dentry directory, ReadOnlySpan<byte> name, bool isDirectory)
    {
        if (!IsInUse)
            return;
        lock (_lock)
            Tell(directory.Inode.Identity, IN_CREATE | DirectoryBit(isDirectory), 0, name);
    }

    /// <summary>One more name for a file.</summary>
    internal void ReportLinked(Dentry directory, ReadOnlySpan<byte> name, Inode inode)
    {
        if (!IsInUse)
            return;
        lock (_lock)
        {
            Tell(inode.Identity, IN_ATTRIB);
            Tell(directory.Inode.Identity, IN_CREATE, 0, name);
        }
    }

    /// <summary>A name went away, and perhaps the file with it.</summary>
    /// <param name="wasLastName">From <see cref="IsLastName"/>, asked before the name went.</param>
    internal void ReportRemoved(Dentry directory, Dentry child, bool wasLastName)
    {
        if (!IsInUse)
            return;
        if (wasLastName)
            child.Inode.LoseLastName();
        lock (_lock)
        {
            bool isDirectory = child.Inode.IsDirectory;
            if (!isDirectory)
                Tell(child.Inode.Identity, IN_ATTRIB);
            EndIfGone(child.Inode);
            Tell(directory.Inode.Identity, IN_DELETE | DirectoryBit(isDirectory), 0, child.Name);
        }
    }

    /// <summary>A file has a new name; what had that name before, if anything, has lost it.</summary>
    /// <param name="wasLastName">Of the replaced file, from <see cref="IsLastName"/>, asked before.</param>
    internal void ReportMoved(
        Dentry from, ReadOnlySpan<byte> oldName, Dentry to, ReadOnlySpan<byte> newName, Inode moved, Inode? replaced,
        bool wasLastName)
    {
        if (!IsInUse)
            return;
        if (wasLastName)
            replaced!.LoseLastName();
        lock (_lock)
        {
            uint bit = DirectoryBit(moved.IsDirectory), cookie = ++_lastCookie;
            Tell(from.Inode.Identity, IN_MOVED_FROM | bit, cookie, oldName);
            Tell(to.Inode.Identity, IN_MOVED_TO | bit, cookie, newName);
            if (replaced is not null)
                Tell(replaced.Identity, IN_ATTRIB);
            Tell(moved.Identity, IN_MOVE_SELF);
            if (replaced is not null)
                EndIfGone(replaced);
        }
    }

    /// <summary>An open file was closed. The last one takes a file without a name away.</summary>
    internal void ReportReleased(Inode inode)
    {
        if (!IsInUse)
            return;
        lock (_lock)
            EndIfGone(inode);
    }

    private static uint DirectoryBit(bool isDirectory) => isDirectory ? IN_ISDIR : 0u;

    // Below: under the lock.

    private void EndIfGone(Inode inode)
    {
        if (!inode.IsGone || !_byFile.TryGetValue(inode.Identity, out List<FileWatch>? watches))
            return;
        foreach (FileWatch watch in watches.ToArray())
        {
            if ((watch.Mask & IN_DELETE_SELF) != 0)
                watch.Owner.Enqueue(watch.Descriptor, IN_DELETE_SELF, 0, []);
            End(watch);
        }
    }

    private void Tell(
        FileIdentity file, uint mask, uint cookie = 0, ReadOnlySpan<byte> name = default, bool isUnlinked = false)
    {
        if (!_byFile.TryGetValue(file, out List<FileWatch>? watches))
            return;
        for (int i = watches.Count - 1; i >= 0; i--)
        {
            FileWatch watch = watches[i];
            if ((watch.Mask & mask & IN_ALL_EVENTS) == 0 || (isUnlinked && (watch.Mask & IN_EXCL_UNLINK) != 0))
                continue;
            watch.Owner.Enqueue(watch.Descriptor, mask, cookie, name);
            if ((watch.Mask & IN_ONESHOT) != 0)
                End(watch);
        }
    }

    /// <summary>Tells the owner that the watch is over.</summary>
    private void End(FileWatch watch)
    {
        watch.Owner.Enqueue(watch.Descriptor, IN_IGNORED, 0, []);
        watch.Owner.RemoveWatch(watch);
        Forget(watch);
    }

    private void Forget(FileWatch watch)
    {
        List<FileWatch> watches = _byFile[watch.File];
        watches.Remove(watch);
        if (watches.Count == 0)
            _byFile.Remove(watch.File);
        _count--;
    }
}
