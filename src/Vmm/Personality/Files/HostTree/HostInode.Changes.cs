using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

// Changes to a writable host tree. The caller has refused read-only mounts and moves between mounts.
sealed partial class HostInode
{
    private const uint ForbiddenBits = S_ISUID | S_ISGID;

    public override long CreateNode(Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner, out Dentry? child)
    {
        child = null;
        // Fifos and sockets belong to the guest's kernel, not to the host's: they live in the in-memory trees.
        if ((mode & S_IFMT) != S_IFREG)
            return -EPERM;
        long result = CreateHostFile(self, name, mode, O_RDWR, out HostContent? content, out _);
        if (result < 0)
            return result;
        content!.Dispose();
        return Found(self, name, out child);
    }

    public override long CreateAndOpen(
        in Caller caller, Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner, int flags, out OpenFile? file)
    {
        file = null;
        if (!_fileSystem.Cache.TryReserveFile())
            return -ENFILE;
        long result = CreateReserved(self, name, mode, flags, out file);
        if (result < 0)
            _fileSystem.Cache.ReleaseFile();
        return result;
    }

    private long CreateReserved(Dentry self, ReadOnlySpan<byte> name, uint mode, int flags, out OpenFile? file)
    {
        file = null;
        long result = CreateHostFile(self, name, mode, flags, out HostContent? content, out HostInode? inode);
        if (result < 0)
            return result;
        Dentry child = new(self, name.ToArray(), inode!, self.Mount);
        _fileSystem.Cache.Put(self, name, child);
        file = new HostFile(child, flags, content!, ownsContent: true);
        return 0;
    }

    private long CreateHostFile(
        Dentry self, ReadOnlySpan<byte> name, uint mode, int flags, out HostContent? content, out HostInode? inode)
    {
        content = null;
        inode = null;
        long result = Acquire(self, out DirectoryLease lease);
        if (result < 0)
            return result;
        using (lease)
            return CreateHostFile(
                lease.Descriptor, name, HostFlags(flags) | O_CREAT | O_EXCL | O_NOCTTY, mode, out content, out inode);
    }

    /// <param name="flags">With O_CREAT and O_EXCL, or O_TMPFILE.</param>
    private long CreateHostFile(
        int directory, ReadOnlySpan<byte> name, int flags, uint mode, out HostContent? content, out HostInode? inode)
    {
        content = null;
        inode = null;
        HostQuota? quota = _fileSystem.Quota;
        long result = NewName.Begin(quota, directory, quota?.Budget, out NewName added);
        if (result < 0)
            return result;
        try
        {
            int fd = HostCalls.Open(directory, name, flags, mode & 0xfff & ~ForbiddenBits);
            if (fd < 0)
                return fd;
            added.SetThere();
            return Adopt(fd, out content, out inode);
        }
        finally
        {
            added.Dispose();
        }
    }

    /// <summary>A host file that has just been made.</summary>
    private long Adopt(int fd, out HostContent? content, out HostInode? inode)
    {
        content = null;
        inode = null;
        FileDescriptor descriptor = new(fd);
        GrowthRecord? growth = null;
        ulong device = 0;
        long result = HostCalls.GetStatus(fd, out statx status);
        if (result == 0 && !_fileSystem.TryMapDevice(status, out device))
            result = -EACCES;
        if (result == 0 && _fileSystem.Quota is { } quota && (growth = quota.Made(status)) is null)
            result = -ENOSPC;
        if (result < 0)
        {
            descriptor.Dispose();
            return result;
        }
        content = new HostContent(descriptor, growth);
        inode = new HostInode(_fileSystem, status, device);
        return 0;
    }

    public override long CreateUnnamed(
        in Caller caller, Dentry self, uint mode, in Owner owner, int flags, out OpenFile? file)
    {
        file = null;
        if (!_fileSystem.Cache.TryReserveFile())
            return -ENFILE;
        long result = CreateUnnamedReserved(self, mode, flags, out file);
        if (result < 0)
            _fileSystem.Cache.ReleaseFile();
        return result;
    }

    private long CreateUnnamedReserved(Dentry self, uint mode, int flags, out OpenFile? file)
    {
        file = null;
        long result = Acquire(self, out DirectoryLease lease);
        if (result < 0)
            return result;
        HostContent? content;
        HostInode? inode;
        using (lease)
            result = CreateHostFile(lease.Descriptor, "."u8, O_TMPFILE | HostFlags(flags), mode, out content, out inode);
        if (result < 0)
            return result;
        Dentry child = new(self, System.Text.Encoding.ASCII.GetBytes($"#{inode!.Number}"), inode, self.Mount)
        {
            IsUnlinked = true,
        };
        file = new HostFile(child, flags, content!, ownsContent: true);
        return 0;
    }

    public override long MakeDirectory(Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner)
    {
        long result = Acquire(self, out DirectoryLease lease);
        if (result < 0)
            return result;
        using (lease)
        {
            HostQuota? quota = _fileSystem.Quota;
            result = NewName.Begin(quota, lease.Descriptor, quota?.Budget, out NewName added);
            if (result < 0)
                return result;
            try
            {
                return Made(
                    HostCalls.MakeDirectory(lease.Descriptor, name, mode & 0xfff & ~(uint)S_ISUID),
                    ref added, lease.Descriptor, name);
            }
            finally
            {
                added.Dispose();
            }
        }
    }

    public override long MakeSymlink(Dentry self, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in Owner owner)
    {
        long result = Acquire(self, out DirectoryLease lease);
        if (result < 0)
            return result;
        using (lease)
        {
            HostQuota? quota = _fileSystem.Quota;
            result = NewName.Begin(quota, lease.Descriptor, quota?.Budget, out NewName added);
            if (result < 0)
                return result;
            try
            {
                return Made(
                    HostCalls.MakeSymlink(lease.Descriptor, name, target), ref added, lease.Descriptor, name);
            }
            finally
            {
                added.Dispose();
            }
        }
    }

    /// <summary>A directory or link is there, or is not.</summary>
    private long Made(long result, ref NewName added, int directory, ReadOnlySpan<byte> name)
    {
        if (result < 0)
            return result;
        added.SetThere();
        if (_fileSystem.Quota is { } quota && HostCalls.GetStatus(directory, name, out statx status) == 0)
            quota.MadeWhole(status);
        return 0;
    }

    public override long Link(Dentry self, ReadOnlySpan<byte> name, Dentry existing)
    {
        if (existing.Inode is not HostInode)
            return -EXDEV;
        // Only what a name in the tree leads to: an open file without one could be linked only through /proc.
        if (existing.IsUnlinked || existing.Parent is null)
            return -ENOENT;
        DentryPlace place = existing.Place;
        long result = Acquire(place.Parent!, out DirectoryLease from);
        if (result < 0)
            return result;
        using (from)
        {
            result = Acquire(self, out DirectoryLease to);
            if (result < 0)
                return result;
            using (to)
            {
                if (_fileSystem.Quota is not { } quota)
                    return LinkSame(existing, from.Descriptor, place.Name, to.Descriptor, name);
                lock (quota.Names)
                    return LinkCharged(quota, existing, from.Descriptor, place.Name, to.Descriptor, name);
            }
        }
    }

    /// <summary>
    /// No second name for what the host, or another mount of the same folder, has put in the file's place: the rules
    /// were not asked about that.
    /// </summary>
    private static long LinkSame(Dentry existing, int from, byte[] oldName, int to, ReadOnlySpan<byte> newName)
    {
        long result = HostCalls.Link(from, oldName, to, newName);
        if (result < 0)
            return result;
        result = HostCalls.GetStatus(to, newName, out statx status);
        if (result == 0 && ((HostInode)existing.Inode).IsSame(status))
            return 0;
        HostCalls.Remove(to, newName, isDirectory: false);
        return -ENOENT;
    }

    private static long LinkCharged(
        HostQuota quota, Dentry existing, int from, byte[] oldName, int to, ReadOnlySpan<byte> newName)
    {
        long result = HostCalls.GetStatus(from, oldName, out statx status);
        if (result < 0)
            return result;
        result = NewName.Begin(quota, to, quota.Growth.BudgetOf(status) ?? quota.Budget, out NewName added);
        if (result < 0)
            return result;
        try
        {
            result = LinkSame(existing, from, oldName, to, newName);
            if (result < 0)
                return result;
            added.SetThere();
            quota.Linked(status);
            return 0;
        }
        finally
        {
            added.Dispose();
        }
    }

    public override long Unlink(Dentry self, Dentry child) => Remove(self, child, isDirectory: false);

    public override long RemoveDirectory(Dentry self, Dentry child) => Remove(self, child, isDirectory: true);

    private long Remove(Dentry self, Dentry child, bool isDirectory)
    {
        long result = Acquire(self, out DirectoryLease lease);
        if (result < 0)
            return result;
        using (lease)
        {
            if (_fileSystem.Quota is { } quota)
            {
                lock (quota.Names)
                    result = RemoveCharged(quota, lease.Descriptor, child.Name, isDirectory);
            }
            else
            {
                result = HostCalls.Remove(lease.Descriptor, child.Name, isDirectory);
            }
        }
        if (result < 0)
            return result;
        // Kept open it would keep its blocks.
        if (child.Inode is HostInode { IsDirectory: true } directory)
            _fileSystem.Cache.Drop(directory);
        _fileSystem.Cache.Forget(self, child.Name);
        child.IsUnlinked = true;
        return 0;
    }

    private static long RemoveCharged(HostQuota quota, int directory, byte[] name, bool isDirectory)
    {
        long known = HostCalls.GetStatus(directory, name, out statx status);
        long result = HostCalls.Remove(directory, name, isDirectory);
        if (result == 0 && known == 0)
            quota.Growth.RemoveName(status, isDirectory || status.stx_nlink <= 1);
        return result;
    }

    public override long Rename(
        Dentry self, Dentry child, Dentry newParent, ReadOnlySpan<byte> newName, Dentry? replaced, uint flags)
    {
        long result = Acquire(self, out DirectoryLease from);
        if (result < 0)
            return result;
        using (from)
        {
            result = Acquire(newParent, out DirectoryLease to);
            if (result < 0)
                return result;
            using (to)
            {
                if (_fileSystem.Quota is { } quota)
                {
                    lock (quota.Names)
                        result = RenameCharged(quota, from.Descriptor, child.Name, to.Descriptor, newName, flags);
                }
                else
                {
                    result = HostCalls.Rename(from.Descriptor, child.Name, to.Descriptor, newName, flags);
                }
            }
        }
        if (result < 0)
            return result;
        HostTreeCache cache = _fileSystem.Cache;
        byte[] oldName = child.Name;
        byte[] name = newName.ToArray();
        if (replaced is not null && child.Inode.Number == replaced.Inode.Number && (flags & RENAME_EXCHANGE) == 0
            && child.Inode.Identity == replaced.Inode.Identity)
            return 0;
        cache.Forget(self, oldName);
        cache.Forget(newParent, name);
        child.Move(newParent, name);
        Remember(child);
        if (replaced is null)
            return 0;
        if ((flags & RENAME_EXCHANGE) != 0)
        {
            replaced.Move(self, oldName);
            Remember(replaced);
        }
        else
        {
            replaced.IsUnlinked = true;
        }
        return 0;
    }

    /// <summary>In the place that a rename has given it.</summary>
    private void Remember(Dentry moved)
    {
        if (moved.Inode.IsDirectory)
            InUse(moved);
        _fileSystem.Cache.Put(moved.Parent!, moved.Name, moved);
    }

    private static long RenameCharged(
        HostQuota quota, int from, byte[] oldName, int to, ReadOnlySpan<byte> newName, uint flags)
    {
        long moved = HostCalls.GetStatus(from, oldName, out statx status);
        long replaced = HostCalls.GetStatus(to, newName, out statx old);
        // Nobody pays for a name that moves, but either directory may get larger.
        long result = NewName.Begin(quota, from, null, out NewName first);
        if (result < 0)
            return result;
        try
        {
            result = NewName.Begin(quota, to, null, out NewName second);
            if (result < 0)
                return result;
            try
            {
                result = HostCalls.Rename(from, oldName, to, newName, flags);
            }
            finally
            {
                second.Dispose();
            }
        }
        finally
        {
            first.Dispose();
        }
        bool isGone = result == 0 && replaced == 0 && (flags & RENAME_EXCHANGE) == 0
            && !(moved == 0 && FileKey.Of(status) == FileKey.Of(old));
        if (isGone)
            quota.Growth.RemoveName(old, S_ISDIR(old.stx_mode) || old.stx_nlink <= 1);
        return result;
    }

    public override long SetLength(in Caller caller, Dentry self, long length)
    {
        if (!IsRegular)
            return IsDirectory ? -EISDIR : -EINVAL;
        long result = OpenRegular(self, O_WRONLY, out HostContent? content);
        if (result < 0)
            return result;
        using (content)
            return content!.SetLength(length);
    }

    public override long SetStatus(Dentry self, in StatusChange change)
    {
        long result = GetStatus(self, out InodeStatus now);
        if (result < 0)
            return result;
        // The VMM can give files to nobody: only a change that changes nothing succeeds.
        if ((change.Uid ?? now.Uid) != now.Uid || (change.Gid ?? now.Gid) != now.Gid)
            return -EPERM;
        if (change.Permissions is { } mode)
        {
            result = SetMode(self, mode & 0xfff & ~(IsDirectory ? (uint)S_ISUID : ForbiddenBits));
            if (result < 0)
                return result;
        }
        if (change.AccessTime is null && change.ModifyTime is null)
            return 0;
        timespec omit = new() { tv_nsec = UTIME_OMIT };
        timespec access = change.AccessTime ?? omit, modify = change.ModifyTime ?? omit;
        result = AcquireParentOrSelf(self, out DirectoryLease lease, out bool itself);
        if (result < 0)
            return result;
        using (lease)
        {
            return itself
                ? SetOwnTimes(self, access, modify)
                : HostCalls.SetTimes(lease.Descriptor, self.Name, access, modify);
        }
    }

    private long SetMode(Dentry self, uint mode)
    {
        long result;
        if (!IsDirectory)
        {
            result = Acquire(self.Parent!, out DirectoryLease parent);
            if (result < 0)
                return result;
            using (parent)
                result = HostCalls.SetMode(parent.Descriptor, self.Name, mode);
            if (result != -ENOSYS)
                return result;
        }
        // Before Linux 6.6 chmod cannot be told to leave links alone: open what is certainly the file instead.
        if (IsDirectory)
        {
            result = OpenForReading(self, out FileDescriptor? directory);
            if (result < 0)
                return result;
            using (directory)
                return fchmod(directory!.Value, mode) == 0 ? 0 : -errno;
        }
        result = OpenRegular(self, O_RDONLY, out HostContent? content);
        if (result == -EACCES)
            result = OpenRegular(self, O_WRONLY, out content);
        if (result < 0)
            return result;
        using (content)
            return fchmod(content!.Descriptor.Value, mode) == 0 ? 0 : -errno;
    }

    private long SetOwnTimes(Dentry self, timespec access, timespec modify)
    {
        long result = OpenForReading(self, out FileDescriptor? descriptor);
        if (result < 0)
            return result;
        using (descriptor)
            return HostCalls.SetTimes(descriptor!.Value, access, modify);
    }

    private static long AcquireParentOrSelf(Dentry self, out DirectoryLease lease, out bool itself)
    {
        itself = self.IsMountRoot || self.Parent is null;
        return Acquire(itself ? self : self.Parent!, out lease);
    }

    private long Found(Dentry self, ReadOnlySpan<byte> name, out Dentry? child) =>
        Lookup(self, name, default, out child);
}
