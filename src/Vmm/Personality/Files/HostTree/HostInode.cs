using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>A file or directory of a host tree, known by its directory and its name there.</summary>
sealed partial class HostInode : Inode
{
    private readonly HostFileSystem _fileSystem;
    private readonly ulong _hostDevice;
    private readonly ulong _device;
    private LiveDirectories? _directories;
    private volatile KnownStatus _known;
    private byte[]? _linkTarget;

    /// <summary>
    /// Directories below one another that the guest can enter; as many as PATH_MAX has room for. A dentry holds all
    /// those above it.
    /// </summary>
    private const int MaximumDepth = PATH_MAX / 2;

    private sealed record KnownStatus(InodeStatus Status);

    public HostInode(HostFileSystem fileSystem, in statx status, ulong device)
        : base(fileSystem, status.stx_ino, (uint)status.stx_mode & S_IFMT)
    {
        _fileSystem = fileSystem;
        _hostDevice = HostFileSystem.DeviceOf(status);
        _device = device;
        _known = new(fileSystem.ToGuest(status, device));
    }

    /// <summary>Guarded by the cache's lock.</summary>
    internal DirectoryHandle? OpenHandle { get; set; }

    public override FileIdentity Identity => new(_device, Number);

    internal HostFileSystem HostFileSystem => _fileSystem;

    internal bool IsSame(in statx status) =>
        status.stx_ino == Number && HostFileSystem.DeviceOf(status) == _hostDevice
        && ((uint)status.stx_mode & S_IFMT) == Type;

    internal InodeStatus Remember(in statx status)
    {
        InodeStatus guest = _fileSystem.ToGuest(status, _device);
        _known = new(guest);
        return guest;
    }

    public override long GetStatus(Dentry self, out InodeStatus status)
    {
        if (_fileSystem.IsStable)
        {
            status = _known.Status;
            return 0;
        }
        long result;
        statx fresh;
        if (self.IsMountRoot)
        {
            result = HostCalls.GetStatus(_fileSystem.RootDescriptor.Value, out fresh);
        }
        else if (IsDirectory)
        {
            // The directory itself, even when the host has renamed it.
            result = Acquire(self, out DirectoryLease own);
            fresh = default;
            if (result == 0)
                using (own)
                    result = HostCalls.GetStatus(own.Descriptor, out fresh);
        }
        else
        {
            DentryPlace place = self.Place;
            result = Acquire(place.Parent!, out DirectoryLease parent);
            fresh = default;
            if (result == 0)
                using (parent)
                    result = HostCalls.GetStatus(parent.Descriptor, place.Name, out fresh);
        }
        if (result == 0 && !IsSame(fresh))
            result = -ESTALE;
        status = result == 0 ? Remember(fresh) : _known.Status;
        return result;
    }

    // The walk has just looked at every component, so what is known is as fresh as a check can be; the host checks
    // again when something is really opened.
    public override long CheckAccess(Dentry self, Credentials credentials, int mask) =>
        Permissions.Check(_known.Status, credentials, mask);

    public override long Lookup(Dentry self, ReadOnlySpan<byte> name, in Caller caller, out Dentry? child)
    {
        child = null;
        if (!IsDirectory)
            return -ENOTDIR;
        if (self.IsAsDeepAs(MaximumDepth))
            return -ENAMETOOLONG;
        HostTreeCache cache = _fileSystem.Cache;
        bool known = cache.TryGet(self, name, out child);
        if (known && _fileSystem.IsStable)
            return child is null ? -ENOENT : 0;

        cache.CountHostLookup();
        long result = Acquire(self, out DirectoryLease lease);
        statx status = default;
        if (result == 0)
            using (lease)
                result = HostCalls.GetStatus(lease.Descriptor, name, out status);
        if (result == -ENOENT)
        {
            if (_fileSystem.IsStable)
                cache.Put(self, name, null);
            else if (known)
                cache.Forget(self, name);
        }
        if (result < 0)
        {
            child = null;
            return result;
        }
        if (child?.Inode is HostInode before && before.IsSame(status))
        {
            before.Remember(status);
            return 0;
        }
        child = null;
        if (_fileSystem.IsForeign(status) || !_fileSystem.TryMapDevice(status, out ulong device))
            return -EACCES;
        Dentry found = new(self, name.ToArray(), new HostInode(_fileSystem, status, device), self.Mount);
        child = found.Inode.IsDirectory ? InUse(found) : found;
        if (child != found)
            ((HostInode)child.Inode).Remember(status);
        cache.Put(self, name, child);
        return 0;
    }

    private static Dentry InUse(Dentry directory)
    {
        HostInode parent = (HostInode)directory.Parent!.Inode;
        return LazyInitializer.EnsureInitialized(ref parent._directories).FindOrAdd(directory);
    }

    public override long ReadLink(Dentry self, in Caller caller, out byte[] target)
    {
        target = [];
        if (!IsSymlink)
            return -EINVAL;
        if (_fileSystem.IsStable && _linkTarget is { } known)
        {
            target = known;
            return 0;
        }
        DentryPlace place = self.Place;
        long result = Acquire(place.Parent!, out DirectoryLease parent);
        if (result < 0)
            return result;
        using (parent)
            result = HostCalls.ReadLink(parent.Descriptor, place.Name, out target);
        // Something else has been put there since.
        if (result == -EINVAL)
            return -ESTALE;
        if (result == 0)
            _linkTarget = target;
        return result;
    }

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        if (!_fileSystem.Cache.TryReserveFile())
            return -ENFILE;
        long result = OpenReserved(self, flags, out file);
        if (file is not HostFile and not HostDirectoryFile)
            _fileSystem.Cache.ReleaseFile();
        return result;
    }

    private long OpenReserved(Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        if (IsDirectory)
            return OpenDirectory(self, flags, out file);
        if (!IsRegular)
            return Type == S_IFLNK ? -ELOOP : Type == S_IFSOCK ? -ENXIO : -EACCES;
        long result = OpenRegular(self, flags, out HostContent? content);
        if (result == 0 && (flags & O_TRUNC) != 0)
        {
            result = content!.SetLength(0);
            if (result < 0)
                content.Dispose();
        }
        if (result < 0)
            return result;
        file = new HostFile(self, flags, content!, ownsContent: true);
        return 0;
    }

    /// <summary>Opens the host file after its type is known, and makes sure that it is still the same file.</summary>
    internal long OpenRegular(Dentry self, int flags, out HostContent? content)
    {
        content = null;
        DentryPlace place = self.Place;
        long result = Acquire(place.Parent!, out DirectoryLease parent);
        if (result < 0)
            return result;
        using (parent)
        {
            if (_fileSystem.Quota is not { } quota)
                return OpenRegular(parent.Descriptor, place.Name, flags, out content);
            lock (quota.Names)
                return OpenRegular(parent.Descriptor, place.Name, flags, out content);
        }
    }

    private long OpenRegular(int directory, byte[] name, int flags, out HostContent? content)
    {
        content = null;
        // O_NONBLOCK: should the host swap in a fifo at this instant, the open does not hang.
        int fd = HostCalls.Open(directory, name, HostFlags(flags) | O_NONBLOCK | O_NOCTTY, 0);
        if (fd < 0)
            return fd == -ELOOP ? -ESTALE : fd;
        FileDescriptor opened = new(fd);
        GrowthRecord? growth = null;
        long result = HostCalls.GetStatus(fd, out statx status);
        if (result == 0 && !IsSame(status))
            result = -ESTALE;
        if (result == 0 && _fileSystem.Quota is { } quota)
            result = quota.Open(status, (flags & O_ACCMODE) != O_RDONLY, out growth);
        if (result < 0)
        {
            opened.Dispose();
            return result;
        }
        content = new HostContent(opened, growth);
        return 0;
    }

    private static int HostFlags(int flags) => flags & (O_ACCMODE | O_SYNC | O_DSYNC);

    private long OpenDirectory(Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        if (self.Pinned is not null)
        {
            file = new ListedDirectoryFile(self, flags, entries => ListWithPinned(self, entries));
            return 0;
        }
        if (_fileSystem.Quota is not { } quota)
        {
            long opened = OpenForReading(self, out FileDescriptor? plain);
            if (opened == 0)
                file = new HostDirectoryFile(self, flags, plain!, null);
            return opened;
        }
        lock (quota.Names)
        {
            long result = OpenForReading(self, out FileDescriptor? descriptor);
            if (result < 0)
                return result;
            GrowthRecord? growth = null;
            result = HostCalls.GetStatus(descriptor!.Value, out statx status);
            if (result == 0)
                result = quota.Open(status, forWriting: false, out growth);
            if (result < 0)
            {
                descriptor.Dispose();
                return result;
            }
            file = new HostDirectoryFile(self, flags, descriptor, growth);
            return 0;
        }
    }

    private long OpenForReading(Dentry self, out FileDescriptor? descriptor)
    {
        descriptor = null;
        long result = Acquire(self, out DirectoryLease own);
        if (result < 0)
            return result;
        int fd;
        using (own)
            fd = HostCalls.Open(own.Descriptor, "."u8, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
            return fd;
        descriptor = new(fd);
        return 0;
    }

    /// <summary>A directory over which the plan has put names: those, and the host's others.</summary>
    private long ListWithPinned(Dentry self, ListedDirectoryFile.Listing entries)
    {
        foreach (Dentry pinned in self.Pinned!.Values)
            entries.Add(pinned.Name, pinned.Inode.Number, pinned.Inode.Type);
        long result = OpenForReading(self, out FileDescriptor? descriptor);
        if (result < 0)
            return result;
        using (descriptor)
        {
            byte[] buffer = new byte[32768];
            var names = self.Pinned is Dictionary<byte[], Dentry> pinned
                ? pinned.GetAlternateLookup<ReadOnlySpan<byte>>()
                : default;
            while ((result = HostDirectoryFile.ReadHostEntries(descriptor!.Value, buffer)) > 0)
            {
                foreach (HostDirectoryFile.Record record in new HostDirectoryFile.Records(buffer.AsSpan(0, (int)result)))
                {
                    if (record.IsDotOrDotDot || names.ContainsKey(record.Name))
                        continue;
                    if (!entries.Add(record.Name.ToArray(), record.Inode, (uint)record.Type << 12))
                        return -ENOMEM;
                }
            }
        }
        return result;
    }
}
