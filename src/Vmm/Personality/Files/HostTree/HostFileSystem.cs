using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// A granted host directory (or single file) as a file system of the guest. Holds one descriptor for the root;
/// everything else is reached from there by names of one component, with openat2(2) under
/// RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV.
/// </summary>
/// <remarks>
/// Host mounts below the granted directory are not part of the grant: entering one is -EACCES. Device nodes, fifos
/// and sockets are seen but never opened. Set-id bits are never set on the host.
/// </remarks>
public sealed class HostFileSystem : FileSystem, IDisposable
{
    internal const ulong ResolveFlags =
        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

    /// <summary>Host devices below one grant (subvolumes have their own); more than a few is no real tree.</summary>
    private const int MaximumDevices = 256;

    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, ulong> _devices = [];
    private readonly Func<ulong> _newDevice;
    private readonly Owner? _grantor;

    /// <param name="root">A directory (O_PATH is enough) or a regular file opened for what the grant allows.</param>
    /// <param name="isStable">
    /// The host does not change these files while a guest runs (system directories): names and attributes may be
    /// remembered.
    /// </param>
    /// <param name="quota">What the guest may add; null for what the host has room for.</param>
    internal HostFileSystem(
        ulong device, FileDescriptor root, bool isReadOnly, bool isStable, HostIdentities identities,
        HostTreeCache cache, Func<ulong> newDevice, HostQuota? quota = null)
        : base(device, "host", ANON_INODE_FS_MAGIC)
    {
        RootDescriptor = root;
        IsReadOnly = isReadOnly;
        IsStable = isReadOnly && isStable;
        Identities = identities;
        Cache = cache;
        Quota = quota;
        _newDevice = newDevice;
        long result = HostCalls.GetStatus(root.Value, out statx status);
        if (result < 0)
            throw new HostException((int)-result, "statx", "a granted directory");
        RootStatus = status;
        _grantor = IsStable ? null : new Owner(status.stx_uid, status.stx_gid);
        _devices.Add(DeviceOf(status), device);
        HasMountIds = (status.stx_mask & STATX_MNT_ID) != 0;
    }

    internal FileDescriptor RootDescriptor { get; }

    internal statx RootStatus { get; }

    public bool IsReadOnly { get; }

    public bool IsStable { get; }

    internal HostIdentities Identities { get; }

    internal HostTreeCache Cache { get; }

    internal HostQuota? Quota { get; }

    private bool HasMountIds { get; }

    /// <exception cref="HostException">The holes of a single file are more than its quota.</exception>
    public Inode CreateRoot()
    {
        if (S_ISDIR(RootStatus.stx_mode))
            return new HostInode(this, RootStatus, Device);
        GrowthRecord? growth = null;
        if (Quota?.Open(RootStatus, forWriting: true, out growth) is long result and < 0)
            throw new HostException((int)-result, "open", "a granted file", "its quota is less than what its holes can take");
        return new HostGrantedFile(this, RootStatus, new HostContent(RootDescriptor, growth));
    }

    /// <summary>Whether something of the host is mounted there: outside the grant.</summary>
    internal bool IsForeign(in statx status) =>
        HasMountIds && (status.stx_mask & STATX_MNT_ID) != 0 && status.stx_mnt_id != RootStatus.stx_mnt_id;

    /// <summary>The guest's number for a host device, so that inode numbers of subvolumes do not collide.</summary>
    internal bool TryMapDevice(in statx status, out ulong device)
    {
        lock (_lock)
        {
            ulong host = DeviceOf(status);
            if (_devices.TryGetValue(host, out device))
                return true;
            if (_devices.Count >= MaximumDevices)
                return false;
            _devices.Add(host, device = _newDevice());
            return true;
        }
    }

    internal InodeStatus ToGuest(in statx status, ulong device)
    {
        Owner owner = Identities.ToGuest(status.stx_uid, status.stx_gid, _grantor);
        return new InodeStatus
        {
            Device = device,
            Number = status.stx_ino,
            Mode = status.stx_mode & ~(uint)(S_ISUID | S_ISGID),
            Links = status.stx_nlink,
            Uid = owner.Uid,
            Gid = owner.Gid,
            Size = (long)status.stx_size,
            BlockSize = status.stx_blksize,
            Blocks = (long)status.stx_blocks,
            AccessTime = Convert(status.stx_atime),
            ModifyTime = Convert(status.stx_mtime),
            ChangeTime = Convert(status.stx_ctime),
            BirthTime = (status.stx_mask & STATX_BTIME) != 0 ? Convert(status.stx_btime) : default,
        };
    }

    public override unsafe long GetStatistics(out statfs statistics)
    {
        fixed (statfs* buffer = &statistics)
        {
            long result = Errands.Call(SYS_fstatfs, RootDescriptor.Value, (nint)buffer);
            if (result < 0)
                return result;
        }
        // Where nothing can be written, how full the host's disk is is nobody's business.
        if (IsReadOnly)
            statistics.f_blocks = statistics.f_bfree = statistics.f_bavail = statistics.f_files = statistics.f_ffree = 0;
        else if (Quota is not null)
            Narrow(ref statistics, Quota.Budget);
        statistics.f_flags = IsReadOnly ? ST_RDONLY | ST_NOSUID | ST_NODEV : ST_NOSUID | ST_NODEV;
        statistics.f_fsid[0] = (int)Device;
        statistics.f_fsid[1] = 0;
        return 0;
    }

    /// <summary>As if the quota were the disk's size; what is free is not more than the host has.</summary>
    private static void Narrow(ref statfs statistics, StorageBudget quota)
    {
        long available = (long)Int128.Min((Int128)statistics.f_bavail * statistics.f_frsize / Page.Size, quota.Pages.Free);
        statistics.f_bsize = statistics.f_frsize = Page.Size;
        statistics.f_blocks = quota.Pages.Limit;
        statistics.f_bfree = statistics.f_bavail = available;
        long inodes = Math.Min(quota.FreeInodes, quota.Pages.Free * (quota.MaximumInodes / Math.Max(quota.Pages.Limit, 1)));
        // Zero is a file system without a fixed number of inodes.
        statistics.f_ffree = statistics.f_files == 0 ? inodes : Math.Min(statistics.f_ffree, inodes);
        statistics.f_files = quota.MaximumInodes;
    }

    /// <summary>Flushes the host's file system that the grant lies on: syncfs(2).</summary>
    public override long Synchronize()
    {
        if (!S_ISDIR(RootStatus.stx_mode))
            return fsync(RootDescriptor.Value) == 0 ? 0 : -errno;
        int fd = HostCalls.Open(RootDescriptor.Value, "."u8, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
            return fd;
        using FileDescriptor directory = new(fd);
        return syncfs(directory.Value) == 0 ? 0 : -errno;
    }

    public void Dispose() => RootDescriptor.Dispose();

    internal static ulong DeviceOf(in statx status) => makedev(status.stx_dev_major, status.stx_dev_minor);

    private static timespec Convert(in statx_timestamp time) => new() { tv_sec = time.tv_sec, tv_nsec = time.tv_nsec };
}
