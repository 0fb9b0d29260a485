using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// chmod, chown, utimes and the mask for new files.
static partial class FileCalls
{
    private static void RegisterAttributes(SystemCallTable table)
    {
        table.Add(SYS_chmod, "chmod", Chmod, "path mode");
        table.Add(SYS_fchmod, "fchmod", Fchmod, "fd mode");
        table.Add(SYS_fchmodat, "fchmodat", Fchmodat, "dirfd path mode");
        table.Add(SYS_fchmodat2, "fchmodat2", Fchmodat2, "dirfd path mode flags:AT");
        table.Add(SYS_chown, "chown", Chown, "path uint uint");
        table.Add(SYS_lchown, "lchown", Lchown, "path uint uint");
        table.Add(SYS_fchown, "fchown", Fchown, "fd uint uint");
        table.Add(SYS_fchownat, "fchownat", Fchownat, "dirfd path uint uint flags:AT");
        table.Add(SYS_utime, "utime", Utime, "path ptr");
        table.Add(SYS_utimes, "utimes", Utimes, "path ptr");
        table.Add(SYS_futimesat, "futimesat", Futimesat, "dirfd path ptr");
        table.Add(SYS_utimensat, "utimensat", Utimensat, "dirfd path ptr flags:AT");
        table.Add(SYS_umask, "umask", Umask, "mode");
    }

    private static long Chmod(GuestThread thread, in SystemCallArguments a) =>
        ChangeMode(thread, AT_FDCWD, a.A0, (uint)a.A1, 0);

    private static long Fchmodat(GuestThread thread, in SystemCallArguments a) =>
        ChangeMode(thread, a.Int0, a.A1, (uint)a.A2, 0);

    private static long Fchmodat2(GuestThread thread, in SystemCallArguments a)
    {
        if ((a.Int3 & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
            return -EINVAL;
        return ChangeMode(thread, a.Int0, a.A1, (uint)a.A2, a.Int3);
    }

    private static long ChangeMode(GuestThread thread, int directory, ulong path, uint mode, int flags)
    {
        long result = Located.ByPath(thread, directory, path, flags, out Located located);
        if (result < 0)
            return result;
        using (located)
            return ChangeMode(thread, located, mode);
    }

    private static long Fchmod(GuestThread thread, in SystemCallArguments a)
    {
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: false, out Located located);
        if (result < 0)
            return result;
        using (located)
            return ChangeMode(thread, located, (uint)a.A1);
    }

    // Pipes and sockets have no permissions here that could change.
    private static long ChangeMode(GuestThread thread, Located located, uint mode) => located.Dentry is null
        ? -EOPNOTSUPP
        : VirtualFileSystem.ChangeMode(Caller.Of(thread), located.Dentry, located.InodeFile, mode);

    private static long Chown(GuestThread thread, in SystemCallArguments a) =>
        ChangeOwner(thread, AT_FDCWD, a.A0, (uint)a.A1, (uint)a.A2, 0);

    private static long Lchown(GuestThread thread, in SystemCallArguments a) =>
        ChangeOwner(thread, AT_FDCWD, a.A0, (uint)a.A1, (uint)a.A2, AT_SYMLINK_NOFOLLOW);

    private static long Fchownat(GuestThread thread, in SystemCallArguments a)
    {
        if ((a.Int4 & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
            return -EINVAL;
        return ChangeOwner(thread, a.Int0, a.A1, (uint)a.A2, (uint)a.A3, a.Int4);
    }

    private static long ChangeOwner(GuestThread thread, int directory, ulong path, uint uid, uint gid, int flags)
    {
        long result = Located.ByPath(thread, directory, path, flags, out Located located);
        if (result < 0)
            return result;
        using (located)
            return ChangeOwner(thread, located, uid, gid);
    }

    private static long Fchown(GuestThread thread, in SystemCallArguments a)
    {
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: false, out Located located);
        if (result < 0)
            return result;
        using (located)
            return ChangeOwner(thread, located, (uint)a.A1, (uint)a.A2);
    }

    private static long ChangeOwner(GuestThread thread, Located located, uint uid, uint gid) => located.Dentry is null
        ? -EOPNOTSUPP
        : VirtualFileSystem.ChangeOwner(Caller.Of(thread), located.Dentry, located.InodeFile, uid, gid);

    private static long Utime(GuestThread thread, in SystemCallArguments a)
    {
        if (a.A1 == 0)
            return ChangeTimes(thread, AT_FDCWD, a.A0, null, null, true, 0);
        if (!thread.Memory.TryRead(new VirtualAddress(a.A1), out utimbuf times))
            return -EFAULT;
        return ChangeTimes(thread, AT_FDCWD, a.A0,
            new timespec { tv_sec = times.actime }, new timespec { tv_sec = times.modtime }, false, 0);
    }

    private static long Utimes(GuestThread thread, in SystemCallArguments a) =>
        ChangeTimes(thread, AT_FDCWD, a.A0, a.A1);

    private static long Futimesat(GuestThread thread, in SystemCallArguments a) =>
        ChangeTimes(thread, a.Int0, a.A1, a.A2);

    private static long ChangeTimes(GuestThread thread, int directory, ulong path, ulong address)
    {
        if (address == 0)
            return ChangeTimes(thread, directory, path, null, null, true, 0);
        if (!thread.Memory.TryRead(new VirtualAddress(address), out TimePair<timeval> times))
            return -EFAULT;
        if (times.Access.tv_usec is < 0 or >= 1_000_000 || times.Modify.tv_usec is < 0 or >= 1_000_000)
            return -EINVAL;
        return ChangeTimes(thread, directory, path, Convert(times.Access), Convert(times.Modify), false, 0);
    }

    private readonly record struct TimePair<T>(T Access, T Modify) where T : unmanaged;

    private static timespec Convert(timeval time) => new() { tv_sec = time.tv_sec, tv_nsec = time.tv_usec * 1000 };

    private static long Utimensat(GuestThread thread, in SystemCallArguments a)
    {
        if ((a.Int3 & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
            return -EINVAL;
        timespec? access = null, modify = null;
        bool toNow = a.A2 == 0;
        if (!toNow)
        {
            if (!thread.Memory.TryRead(new VirtualAddress(a.A2), out TimePair<timespec> times))
                return -EFAULT;
            toNow = times.Access.tv_nsec == UTIME_NOW && times.Modify.tv_nsec == UTIME_NOW;
            if (!toNow)
            {
                if (!TryChoose(times.Access, out access) || !TryChoose(times.Modify, out modify))
                    return -EINVAL;
                if (access is null && modify is null)
                    return 0;
            }
        }
        // futimens: no path at all.
        if (a.A1 == 0)
        {
            if (a.Int0 == AT_FDCWD)
                return -EFAULT;
            if (a.Int3 != 0)
                return -EINVAL;
            long result = Located.ByDescriptor(thread, a.Int0, allowPath: false, out Located located);
            if (result < 0)
                return result;
            using (located)
                return ChangeTimes(thread, located, access, modify, toNow);
        }
        return ChangeTimes(thread, a.Int0, a.A1, access, modify, toNow, a.Int3);
    }

    private static bool TryChoose(timespec wanted, out timespec? time)
    {
        time = wanted.tv_nsec switch
        {
            UTIME_NOW => TemporaryFileSystem.Now(),
            UTIME_OMIT => null,
            _ => wanted,
        };
        return time is not { tv_nsec: < 0 or >= 1_000_000_000 };
    }

    private static long ChangeTimes(
        GuestThread thread, int directory, ulong path, timespec? access, timespec? modify, bool toNow, int flags)
    {
        long result = Located.ByPath(thread, directory, path, flags, out Located located);
        if (result < 0)
            return result;
        using (located)
            return ChangeTimes(thread, located, access, modify, toNow);
    }

    private static long ChangeTimes(
        GuestThread thread, Located located, timespec? access, timespec? modify, bool toNow)
    {
        if (toNow)
            access = modify = TemporaryFileSystem.Now();
        return located.Dentry is null
            ? -EOPNOTSUPP
            : VirtualFileSystem.ChangeTimes(
                Caller.Of(thread), located.Dentry, located.InodeFile, access, modify, toNow);
    }

    private static long Umask(GuestThread thread, in SystemCallArguments a) =>
        thread.Process.FileSystem.ExchangeUmask((uint)a.A0);
}
