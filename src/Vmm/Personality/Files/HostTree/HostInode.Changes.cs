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
        long result = CreateHostFile(self, name, mode, O_RDWR, out FileDescriptor? descriptor);
        if (result < 0)
            return result;
        descriptor!.Dispose();
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
        long result = CreateHostFile(self, name, mode, flags, out FileDescriptor? descriptor);
        if (result < 0)
            return result;
        result = HostCalls.GetStatus(descriptor!.Value, out statx status);
        if (result == 0 && !_fileSystem.TryMapDevice(status, out _))
            result = -EACCES;
        if (result < 0)
        {
            descriptor.Dispose();
            return result;
        }
        _fileSystem.TryMapDevice(status, out ulong device);
        Dentry child = new(self, name.ToArray(), new HostInode(_fileSystem, status, device), self.Mount);
        _fileSystem.Cache.Put(self, name, child);
        file = new HostFile(child, flags, descriptor, ownsDescriptor: true);
        return 0;
    }

    private static long CreateHostFile(
        Dentry self, ReadOnlySpan<byte> name, uint mode, int flags, out FileDescriptor? descriptor)
    {
        descriptor = null;
        long result = Acquire(self, out DirectoryLease lease);
        if (result < 0)
            return result;
        int fd;
        using (lease)
            fd = HostCalls.Open(
                lease.Descriptor, name, HostFlags(flags) | O_CREAT | O_EXCL | O_NOCTTY, mode & 0xfff & ~ForbiddenBits);
        if (fd < 0)
            return fd;
        descriptor = new FileDescriptor(fd);
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
        int fd;
        using (lease)
            fd = HostCalls.Open(
                lease.Descriptor, "."u8, O_TMPFILE | HostFlags(flags), mode & 0xfff & ~ForbiddenBits);
        if (fd < 0)
            return fd;
        FileDescriptor descriptor = new(fd);
        result = HostCalls.GetStatus(fd, out statx status);
        if (result == 0 && !_fileSystem.TryMapDevice(status, out _))
            result = -EACCES;
        if (result < 0)
        {
            descriptor.Dispose();
            return result;
        }
        _fileSystem.TryMapDevice(status, out ulong device);
        Dentry child = new(self, System.Text.Encoding.ASCII.GetBytes($"#{status.stx_ino}"),
            new HostInode(_fileSystem, status, device), self.Mount) { IsUnlinked = true };
        file = new HostFile(child, flags, descriptor, ownsDescriptor: true);
        return 0;
    }

    public override long MakeDirectory(Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner)
    {
        long result = Acquire(self, out DirectoryLease lease);
        if (result < 0)
            return result;
        using (lease)
            result = HostCalls.MakeDirectory(lease.Descriptor, name, mode & 0xfff & ~(uint)S_ISUID);
        return result;
    }

    public override long MakeSymlink(Dentry self, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in Owner owner)
    {
        long result = Acquire(self, out DirectoryLease lease);
        if (result < 0)
            return result;
        using (lease)
            result = HostCalls.MakeSymlink(lease.Descriptor, name, target);
        return result;
    }

    public override long Link(Dentry self, ReadOnlySpan<byte> name, Dentry existing)
    {
        if (existing.Inode is not HostInode)
            return -EXDEV;
        // Only what a name in the tree leads to: an open file without one could be linked only through /proc.
        if (existing.IsUnlinked || existing.Parent is null)
            return -ENOENT;
        long result = Acquire(existing.Parent, out DirectoryLease from);
        if (result < 0)
            return result;
        using (from)
        {
            result = Acquire(self, out DirectoryLease to);
            if (result < 0)
                return result;
            using (to)
                result = HostCalls.Link(from.Descriptor, existing.Name, to.Descriptor, name);
        }
        return result;
    }

    public override long Unlink(Dentry self, Dentry child) => Remove(self, child, isDirectory: false);

    public override long RemoveDirectory(Dentry self, Dentry child) => Remove(self, child, isDirectory: true);

    private long Remove(Dentry self, Dentry child, bool isDirectory)
    {
        long result = Acquire(self, out DirectoryLease lease);
        if (result < 0)
            return result;
        using (lease)
            result = HostCalls.Remove(lease.Descriptor, child.Name, isDirectory);
        if (result < 0)
            return result;
        _fileSystem.Cache.Forget(self, child.Name);
        child.IsUnlinked = true;
        return 0;
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
                result = HostCalls.Rename(from.Descriptor, child.Name, to.Descriptor, newName, flags);
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
        cache.Put(newParent, name, child);
        if (replaced is null)
            return 0;
        if ((flags & RENAME_EXCHANGE) != 0)
        {
            replaced.Move(self, oldName);
            cache.Put(self, oldName, replaced);
        }
        else
        {
            replaced.IsUnlinked = true;
        }
        return 0;
    }

    public override long SetLength(in Caller caller, Dentry self, long length)
    {
        if (!IsRegular)
            return IsDirectory ? -EISDIR : -EINVAL;
        long result = OpenRegular(self, O_WRONLY, out FileDescriptor? descriptor);
        if (result < 0)
            return result;
        using (descriptor)
            return ftruncate(descriptor!.Value, length) == 0 ? 0 : -errno;
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
        FileDescriptor? descriptor;
        if (IsDirectory)
        {
            result = OpenForReading(self, out descriptor);
        }
        else
        {
            result = OpenRegular(self, O_RDONLY, out descriptor);
            if (result == -EACCES)
                result = OpenRegular(self, O_WRONLY, out descriptor);
        }
        if (result < 0)
            return result;
        using (descriptor)
            return fchmod(descriptor!.Value, mode) == 0 ? 0 : -errno;
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
