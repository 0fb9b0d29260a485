using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Time;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>System V shared memory (shm_overview(7) has the newer kind): segments by number and by key.</summary>
/// <remarks>
/// The table holds each segment's pages until IPC_RMID; after that its mappings alone do, and the number is good as long
/// as there is one. The lock is never held across an access to memory or a mapping.
/// </remarks>
sealed class SharedSegments(LinuxPersonality personality)
{
    private const uint AccessBits = 0x1ff;

    private readonly Lock _lock = new();
    private readonly Dictionary<int, SharedSegment> _segments = [];
    private readonly HashSet<PagedObject> _pages = [];
    private int _lastId = -1;

    /// <summary>shmget(2).</summary>
    /// <returns>A number, or -EACCES, -EEXIST, -EINVAL, -ENOENT, -ENOMEM or -ENOSPC.</returns>
    public long Get(GuestThread thread, int key, ulong size, int flags)
    {
        Credentials credentials = thread.Process.Credentials;
        lock (_lock)
        {
            Sweep();
            SharedSegment? segment = key == IPC_PRIVATE ? null : FindKey(key);
            if (segment is null)
                return key != IPC_PRIVATE && (flags & IPC_CREAT) == 0 ? -ENOENT : Make(thread, key, size, flags);
            if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
                return -EEXIST;
            if (size > segment.Size)
                return -EINVAL;
            return segment.Allows(credentials, (uint)flags & AccessBits) ? segment.Id : -EACCES;
        }
    }

    private SharedSegment? FindKey(int key)
    {
        foreach (SharedSegment segment in _segments.Values)
            if (segment.Key == key && !segment.IsRemoved)
                return segment;
        return null;
    }

    private long Make(GuestThread thread, int key, ulong size, int flags)
    {
        if (size is 0 or > PagedObject.MaximumLength)
            return -EINVAL;
        // There are no huge pages to be had, as /proc/meminfo says.
        if ((flags & SHM_HUGETLB) != 0)
            return -ENOMEM;
        if (_segments.Count == SHMMNI || !personality.KernelMemory.TryReserve(KernelMemory.ObjectCost))
            return -ENOSPC;
        do
            _lastId = (_lastId + 1) & int.MaxValue;
        while (_segments.ContainsKey(_lastId));
        PagedObject pages = personality.Memory.CreateObject(
            $"/SYSV{key:x8} (deleted)", AnonymousDevices.Segments, (ulong)_lastId, quota: null);
        pages.SetLength((long)Page.RoundUp(size));
        _segments.Add(_lastId, new SharedSegment(_lastId, key, size, pages, thread.Process.Credentials)
        {
            Mode = (uint)flags & AccessBits, CreatedBy = thread.Process.Pid, ChangedAt = Now,
        });
        _pages.Add(pages);
        return _lastId;
    }

    /// <summary>The time in seconds, as the calls tell it.</summary>
    private long Now => personality.Clock.Realtime / GuestClock.NanosecondsPerSecond;

    /// <summary>Those that were removed and are mapped no more are gone.</summary>
    private void Sweep()
    {
        foreach (SharedSegment segment in _segments.Values)
            if (segment.IsRemoved && segment.Pages.References == 0)
            {
                _segments.Remove(segment.Id);
                _pages.Remove(segment.Pages);
                personality.KernelMemory.Release(KernelMemory.ObjectCost);
            }
    }

    /// <summary>shmat(2).</summary>
    /// <returns>The address, or -EACCES, -EIDRM, -EINVAL or -ENOMEM.</returns>
    public long Attach(GuestThread thread, int id, ulong address, int flags)
    {
        bool isReadOnly = (flags & SHM_RDONLY) != 0, isExecutable = (flags & SHM_EXEC) != 0;
        int where = MAP_SHARED;
        if (address != 0)
        {
            if ((flags & SHM_RND) != 0)
                address &= ~(ulong)(Page.Size - 1);
            if (!Page.IsAligned(address) || address == 0)
                return -EINVAL;
            where |= (flags & SHM_REMAP) != 0 ? MAP_FIXED : MAP_FIXED_NOREPLACE;
        }
        else if ((flags & SHM_REMAP) != 0)
        {
            return -EINVAL;
        }
        uint wanted = 0x124u | (isReadOnly ? 0 : 0x92u) | (isExecutable ? 0x49u : 0);
        SharedSegment? segment;
        lock (_lock)
        {
            if (!_segments.TryGetValue(id, out segment))
                return -EINVAL;
            if (!segment.Allows(thread.Process.Credentials, wanted))
                return -EACCES;
            if (!segment.Pages.TryAcquire())
                return -EIDRM;
        }
        Protection protection = Protection.Read | (isReadOnly ? 0 : Protection.Write)
            | (isExecutable ? Protection.Execute : 0);
        long result = thread.Memory.Map(new VirtualAddress(address), (ulong)segment.Pages.Length, protection, where,
            segment.Pages, 0, mayWrite: !isReadOnly);
        segment.Pages.Release();
        if (result < 0)
            return result is -EEXIST or -EPERM ? -EINVAL : result;
        lock (_lock)
            (segment.LastUser, segment.AttachedAt) = (thread.Process.Pid, Now);
        return result;
    }

    /// <summary>shmdt(2).</summary>
    /// <returns>0 or -EINVAL.</returns>
    public long Detach(GuestThread thread, ulong address)
    {
        PagedObject? pages = Page.IsAligned(address) ? thread.Memory.Detach(new VirtualAddress(address), IsSegment) : null;
        if (pages is null)
            return -EINVAL;
        lock (_lock)
        {
            if (_segments.TryGetValue((int)pages.Identity.Inode, out SharedSegment? segment) && segment.Pages == pages)
                (segment.LastUser, segment.DetachedAt) = (thread.Process.Pid, Now);
            Sweep();
        }
        return 0;
    }

    private bool IsSegment(PagedObject pages)
    {
        lock (_lock)
            return _pages.Contains(pages);
    }

    /// <summary>IPC_STAT.</summary>
    /// <returns>0, -EACCES or -EINVAL.</returns>
    public long Describe(GuestThread thread, int id, out shmid64_ds status)
    {
        status = default;
        lock (_lock)
        {
            Sweep();
            if (!_segments.TryGetValue(id, out SharedSegment? segment))
                return -EINVAL;
            if (!segment.Allows(thread.Process.Credentials, 0x124))
                return -EACCES;
            status = segment.Status;
            return 0;
        }
    }

    /// <summary>IPC_SET and IPC_RMID: what its owner or its maker may do, or root.</summary>
    /// <param name="change">Null to remove it.</param>
    /// <returns>0, -EPERM or -EINVAL.</returns>
    public long Change(GuestThread thread, int id, ipc64_perm? change)
    {
        SharedSegment? segment;
        lock (_lock)
        {
            Sweep();
            if (!_segments.TryGetValue(id, out segment))
                return -EINVAL;
            uint user = thread.Process.Credentials.EffectiveUid;
            if (user != 0 && user != segment.Owner && user != segment.Maker)
                return -EPERM;
            if (change is ipc64_perm perm)
            {
                segment.Owner = perm.uid;
                segment.Group = perm.gid;
                segment.Mode = perm.mode & AccessBits;
                segment.ChangedAt = Now;
                return 0;
            }
            if (segment.IsRemoved)
                return 0;
            segment.IsRemoved = true;
        }
        // The table's own reference: the last of all gives the pages back.
        segment.Pages.Release();
        lock (_lock)
            Sweep();
        return 0;
    }
}

/// <summary>One segment. Guarded by its table's lock.</summary>
sealed class SharedSegment(int id, int key, ulong size, PagedObject pages, Credentials credentials)
{
    /// <summary>In what IPC_STAT calls the mode: removed, and there only as long as it is attached (shmctl(2)).</summary>
    private const uint Removed = 0x200;

    public int Id => id;

    public int Key => key;

    public ulong Size => size;

    public PagedObject Pages => pages;

    public uint Owner { get; set; } = credentials.EffectiveUid;

    public uint Group { get; set; } = credentials.EffectiveGid;

    public uint Maker => credentials.EffectiveUid;

    public uint Mode { get; set; }

    public bool IsRemoved { get; set; }

    public int CreatedBy { get; init; }

    public int LastUser { get; set; }

    public long AttachedAt { get; set; }

    public long DetachedAt { get; set; }

    public long ChangedAt { get; set; }

    /// <summary>ipcperms(): every kind of access that is asked for anywhere has to be allowed where the caller is.</summary>
    /// <param name="wanted">Permission bits.</param>
    public bool Allows(Credentials caller, uint wanted)
    {
        uint asked = (wanted >> 6 | wanted >> 3 | wanted) & 7, granted = Mode;
        if (caller.EffectiveUid == Owner || caller.EffectiveUid == Maker)
            granted >>= 6;
        else if (IsMember(caller, Group) || IsMember(caller, credentials.EffectiveGid))
            granted >>= 3;
        return (asked & ~granted & 7) == 0 || caller.IsSuperuser;
    }

    private static bool IsMember(Credentials caller, uint group) =>
        caller.EffectiveGid == group || caller.Groups.Contains(group);

    public shmid64_ds Status => new()
    {
        shm_perm = new()
        {
            key = IsRemoved ? IPC_PRIVATE : key, uid = Owner, gid = Group, cuid = Maker, cgid = credentials.EffectiveGid,
            mode = Mode | (IsRemoved ? Removed : 0),
        },
        shm_segsz = size,
        shm_atime = AttachedAt,
        shm_dtime = DetachedAt,
        shm_ctime = ChangedAt,
        shm_cpid = CreatedBy,
        shm_lpid = LastUser,
        shm_nattch = (ulong)Math.Max(pages.References - (IsRemoved ? 0 : 1), 0),
    };
}
