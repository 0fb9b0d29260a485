using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>Files: opening, status, access, attributes, contents, file systems.</summary>
static partial class FileCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_open, "open", Open, "path flags:O mode");
        table.Add(SYS_openat, "openat", Openat, "dirfd path flags:O mode");
        table.Add(SYS_openat2, "openat2", Openat2, "dirfd path ptr size");
        table.Add(SYS_creat, "creat", Creat, "path mode");
        table.Add(SYS_memfd_create, "memfd_create", MemfdCreate, "str flags:MFD");

        table.Add(SYS_stat, "stat", Stat, "path ptr");
        table.Add(SYS_lstat, "lstat", Lstat, "path ptr");
        table.Add(SYS_fstat, "fstat", Fstat, "fd ptr");
        table.Add(SYS_newfstatat, "newfstatat", Newfstatat, "dirfd path ptr flags:AT");
        table.Add(SYS_statx, "statx", Statx, "dirfd path flags:AT hex ptr");
        table.Add(SYS_access, "access", Access, "path flags:ACCESS");
        table.Add(SYS_faccessat, "faccessat", Faccessat, "dirfd path flags:ACCESS");
        table.Add(SYS_faccessat2, "faccessat2", Faccessat2, "dirfd path flags:ACCESS flags:AT");

        RegisterAttributes(table);
        RegisterContents(table);
        RegisterWatches(table);
        RegisterExtendedAttributes(table);
        RegisterFileSystems(table);
    }

    private static long Open(GuestThread thread, in SystemCallArguments a) =>
        Open(thread, AT_FDCWD, a.A0, a.Int1, (uint)a.A2, WalkFlags.None);

    private static long Openat(GuestThread thread, in SystemCallArguments a) =>
        Open(thread, a.Int0, a.A1, a.Int2, (uint)a.A3, WalkFlags.None);

    private static long Creat(GuestThread thread, in SystemCallArguments a) =>
        Open(thread, AT_FDCWD, a.A0, O_CREAT | O_WRONLY | O_TRUNC, (uint)a.A1, WalkFlags.None);

    private static long Open(
        GuestThread thread, int directory, ulong address, int flags, uint mode, WalkFlags restrictions)
    {
        long result = PathArgument.Read(thread, address, out ReadOnlySpan<byte> path);
        if (result < 0)
            return result;
        // Before anything is made or cut.
        result = InputOutputCalls.Reserve(thread, out InputOutputCalls.Reservation reservation);
        if (result < 0)
            return result;
        OpenFile? file = null;
        // Under RESOLVE_IN_ROOT an absolute path starts at the descriptor, too.
        result = VirtualFileSystem.Start(
            thread, directory, (restrictions & WalkFlags.InRoot) == 0 ? path : default, out Dentry start);
        if (result >= 0)
            result = thread.Personality.Files.Open(
                Caller.Of(thread), start, path, flags, mode, restrictions, out file);
        return reservation.Finish(result, file, (flags & O_CLOEXEC) != 0);
    }

    /// <summary>openat2(2): unknown flags and bits are errors here, where openat ignores them.</summary>
    private static long Openat2(GuestThread thread, in SystemCallArguments a)
    {
        const int KnownFlags = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC
            | O_DSYNC | 0x2000 /* FASYNC */ | O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC
            | O_PATH | O_TMPFILE;
        const ulong KnownResolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
            | RESOLVE_IN_ROOT | RESOLVE_CACHED;
        const ulong HowSize = 24;
        if (a.A3 < HowSize)
            return -EINVAL;
        if (a.A3 > Page.Size)
            return -E2BIG;
        if (!thread.Memory.TryRead(new VirtualAddress(a.A2), out open_how how))
            return -EFAULT;
        // A larger structure is fine as long as what this kernel does not know is zero (copy_struct_from_user).
        if (a.A3 > HowSize)
        {
            Span<byte> rest = stackalloc byte[Page.Size];
            rest = rest[..(int)(a.A3 - HowSize)];
            if (!thread.Memory.TryRead(new VirtualAddress(a.A2 + HowSize), rest))
                return -EFAULT;
            if (rest.ContainsAnyExcept((byte)0))
                return -E2BIG;
        }
        int flags = (int)how.flags;
        bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
        if ((how.flags & ~(ulong)(uint)KnownFlags) != 0 || (how.resolve & ~KnownResolve) != 0
            || (how.mode & ~0xfffUL) != 0 || (!creates && how.mode != 0)
            || (how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) == (RESOLVE_BENEATH | RESOLVE_IN_ROOT)
            || ((flags & O_PATH) != 0 && (flags & ~(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) != 0))
            return -EINVAL;
        // Nothing here is a cache of something slower: the caller is to try again without the flag.
        if ((how.resolve & RESOLVE_CACHED) != 0)
            return -EAGAIN;
        WalkFlags walk = WalkFlags.None;
        if ((how.resolve & RESOLVE_NO_XDEV) != 0)
            walk |= WalkFlags.NoCrossing;
        if ((how.resolve & RESOLVE_NO_MAGICLINKS) != 0)
            walk |= WalkFlags.NoMagicLinks;
        if ((how.resolve & RESOLVE_NO_SYMLINKS) != 0)
            walk |= WalkFlags.NoSymlinks;
        if ((how.resolve & RESOLVE_BENEATH) != 0)
            walk |= WalkFlags.Beneath;
        if ((how.resolve & RESOLVE_IN_ROOT) != 0)
            walk |= WalkFlags.InRoot;
        return Open(thread, a.Int0, a.A1, flags, (uint)how.mode, walk);
    }

    private static long MemfdCreate(GuestThread thread, in SystemCallArguments a)
    {
        const int MaximumName = NAME_MAX - 6;
        uint flags = (uint)a.A1;
        if ((flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)) != 0
            || (flags & (MFD_NOEXEC_SEAL | MFD_EXEC)) == (MFD_NOEXEC_SEAL | MFD_EXEC))
            return -EINVAL;
        long result = PathArgument.Read(thread, a.A0, out ReadOnlySpan<byte> name);
        if (result < 0)
            return result == -ENAMETOOLONG ? -EINVAL : result;
        if (name.Length > MaximumName)
            return -EINVAL;
        result = thread.Personality.Files.CreateMemoryFile(Caller.Of(thread), name, flags, out OpenFile? file);
        return result < 0 ? result : InputOutputCalls.Install(thread, file!, (flags & MFD_CLOEXEC) != 0);
    }

    private static long Stat(GuestThread thread, in SystemCallArguments a) =>
        Stat(thread, AT_FDCWD, a.A0, a.A1, 0);

    private static long Lstat(GuestThread thread, in SystemCallArguments a) =>
        Stat(thread, AT_FDCWD, a.A0, a.A1, AT_SYMLINK_NOFOLLOW);

    private static long Newfstatat(GuestThread thread, in SystemCallArguments a)
    {
        if ((a.Int3 & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) != 0)
            return -EINVAL;
        return Stat(thread, a.Int0, a.A1, a.A2, a.Int3);
    }

    private static long Stat(GuestThread thread, int directory, ulong path, ulong buffer, int flags)
    {
        long result = Located.ByPath(thread, directory, path, flags, out Located located);
        if (result < 0)
            return result;
        using (located)
            return WriteStat(thread, located, buffer);
    }

    private static long Fstat(GuestThread thread, in SystemCallArguments a)
    {
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: true, out Located located);
        if (result < 0)
            return result;
        using (located)
            return WriteStat(thread, located, a.A1);
    }

    private static long WriteStat(GuestThread thread, Located located, ulong buffer)
    {
        long result = located.GetStatus(out InodeStatus status);
        if (result < 0)
            return result;
        status.ToStat(out stat answer);
        return thread.Memory.TryWrite(new VirtualAddress(buffer), answer) ? 0 : -EFAULT;
    }

    private static long Statx(GuestThread thread, in SystemCallArguments a)
    {
        int flags = a.Int2;
        if (((uint)a.A3 & STATX__RESERVED) != 0 || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE
            || (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)) != 0)
            return -EINVAL;
        long result = Located.ByPath(thread, a.Int0, a.A1, flags, out Located located);
        if (result < 0)
            return result;
        using (located)
        {
            result = located.GetStatus(out InodeStatus status);
            if (result < 0)
                return result;
            status.ToStatx(located.Dentry?.Mount.Id ?? 0, out statx answer);
            answer.stx_attributes_mask = STATX_ATTR_MOUNT_ROOT;
            if (located.Dentry?.IsMountRoot == true)
                answer.stx_attributes = STATX_ATTR_MOUNT_ROOT;
            return thread.Memory.TryWrite(new VirtualAddress(a.A4), answer) ? 0 : -EFAULT;
        }
    }

    private static long Access(GuestThread thread, in SystemCallArguments a) =>
        Access(thread, AT_FDCWD, a.A0, a.Int1, 0);

    private static long Faccessat(GuestThread thread, in SystemCallArguments a) =>
        Access(thread, a.Int0, a.A1, a.Int2, 0);

    private static long Faccessat2(GuestThread thread, in SystemCallArguments a)
    {
        if ((a.Int3 & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
            return -EINVAL;
        return Access(thread, a.Int0, a.A1, a.Int2, a.Int3);
    }

    private static long Access(GuestThread thread, int directory, ulong address, int mode, int flags)
    {
        if ((mode & ~(R_OK | W_OK | X_OK)) != 0)
            return -EINVAL;
        Caller caller = Caller.Of(thread);
        Credentials credentials = caller.Credentials;
        if ((flags & AT_EACCESS) == 0
            && (credentials.RealUid != credentials.FileSystemUid || credentials.RealGid != credentials.FileSystemGid))
        {
            caller = caller with
            {
                Credentials = credentials with
                {
                    FileSystemUid = credentials.RealUid,
                    FileSystemGid = credentials.RealGid,
                },
            };
        }
        long result = Located.ByPath(thread, directory, address, flags, out Located located);
        if (result < 0)
            return result;
        using (located)
            return located.Dentry is null ? 0 : VirtualFileSystem.CheckAccess(caller, located.Dentry, mode);
    }
}
