using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// Making, removing, linking and moving names.
static partial class DirectoryCalls
{
    private static void RegisterNames(SystemCallTable table)
    {
        table.Add(SYS_mkdir, "mkdir", Mkdir, "path mode");
        table.Add(SYS_mkdirat, "mkdirat", Mkdirat, "dirfd path mode");
        table.Add(SYS_mknod, "mknod", Mknod, "path mode hex");
        table.Add(SYS_mknodat, "mknodat", Mknodat, "dirfd path mode hex");
        table.Add(SYS_rmdir, "rmdir", Rmdir, "path");
        table.Add(SYS_unlink, "unlink", Unlink, "path");
        table.Add(SYS_unlinkat, "unlinkat", Unlinkat, "dirfd path flags:UNLINK");
        table.Add(SYS_rename, "rename", Rename, "path path");
        table.Add(SYS_renameat, "renameat", Renameat, "dirfd path dirfd path");
        table.Add(SYS_renameat2, "renameat2", Renameat2, "dirfd path dirfd path flags:RENAME");
        table.Add(SYS_link, "link", Link, "path path");
        table.Add(SYS_linkat, "linkat", Linkat, "dirfd path dirfd path flags:AT");
        table.Add(SYS_symlink, "symlink", Symlink, "path path");
        table.Add(SYS_symlinkat, "symlinkat", Symlinkat, "path dirfd path");
        table.Add(SYS_readlink, "readlink", Readlink, "path ptr size");
        table.Add(SYS_readlinkat, "readlinkat", Readlinkat, "dirfd path ptr size");
    }

    private static long Mkdir(GuestThread thread, in SystemCallArguments a) =>
        MakeDirectory(thread, AT_FDCWD, a.A0, (uint)a.A1);

    private static long Mkdirat(GuestThread thread, in SystemCallArguments a) =>
        MakeDirectory(thread, a.Int0, a.A1, (uint)a.A2);

    private static long MakeDirectory(GuestThread thread, int directory, ulong address, uint mode)
    {
        long result = ReadPath(thread, directory, address, out ReadOnlySpan<byte> path, out Dentry start);
        return result < 0 ? result : VirtualFileSystem.MakeDirectory(Caller.Of(thread), start, path, mode);
    }

    private static long Mknod(GuestThread thread, in SystemCallArguments a) =>
        MakeNode(thread, AT_FDCWD, a.A0, (uint)a.A1);

    private static long Mknodat(GuestThread thread, in SystemCallArguments a) =>
        MakeNode(thread, a.Int0, a.A1, (uint)a.A2);

    private static long MakeNode(GuestThread thread, int directory, ulong address, uint mode)
    {
        uint type = mode & S_IFMT;
        switch (type)
        {
            case 0:
                type = S_IFREG;
                break;
            case S_IFREG or S_IFIFO or S_IFSOCK:
                break;
            // Device nodes would lead to devices, and there are none to lead to: as without CAP_MKNOD.
            case S_IFCHR or S_IFBLK or S_IFDIR:
                return -EPERM;
            default:
                return -EINVAL;
        }
        long result = ReadPath(thread, directory, address, out ReadOnlySpan<byte> path, out Dentry start);
        return result < 0
            ? result
            : VirtualFileSystem.MakeNode(Caller.Of(thread), start, path, type | (mode & 0xfff), out _);
    }

    private static long Rmdir(GuestThread thread, in SystemCallArguments a) =>
        Remove(thread, AT_FDCWD, a.A0, AT_REMOVEDIR);

    private static long Unlink(GuestThread thread, in SystemCallArguments a) => Remove(thread, AT_FDCWD, a.A0, 0);

    private static long Unlinkat(GuestThread thread, in SystemCallArguments a) =>
        (a.Int2 & ~AT_REMOVEDIR) != 0 ? -EINVAL : Remove(thread, a.Int0, a.A1, a.Int2);

    private static long Remove(GuestThread thread, int directory, ulong address, int flags)
    {
        long result = ReadPath(thread, directory, address, out ReadOnlySpan<byte> path, out Dentry start);
        if (result < 0)
            return result;
        Caller caller = Caller.Of(thread);
        return (flags & AT_REMOVEDIR) != 0
            ? VirtualFileSystem.RemoveDirectory(caller, start, path)
            : VirtualFileSystem.Unlink(caller, start, path);
    }

    private static long Rename(GuestThread thread, in SystemCallArguments a) =>
        Rename(thread, AT_FDCWD, a.A0, AT_FDCWD, a.A1, 0);

    private static long Renameat(GuestThread thread, in SystemCallArguments a) =>
        Rename(thread, a.Int0, a.A1, a.Int2, a.A3, 0);

    private static long Renameat2(GuestThread thread, in SystemCallArguments a) =>
        Rename(thread, a.Int0, a.A1, a.Int2, a.A3, (uint)a.A4);

    private static long Rename(
        GuestThread thread, int oldDirectory, ulong oldAddress, int newDirectory, ulong newAddress, uint flags)
    {
        long result = ReadPath(thread, oldDirectory, oldAddress, out ReadOnlySpan<byte> oldPath, out Dentry oldStart);
        if (result < 0)
            return result;
        result = ReadSecondPath(thread, newDirectory, newAddress, out ReadOnlySpan<byte> newPath, out Dentry newStart);
        return result < 0
            ? result
            : VirtualFileSystem.Rename(Caller.Of(thread), oldStart, oldPath, newStart, newPath, flags);
    }

    private static long Link(GuestThread thread, in SystemCallArguments a) =>
        Link(thread, AT_FDCWD, a.A0, AT_FDCWD, a.A1, 0);

    private static long Linkat(GuestThread thread, in SystemCallArguments a) =>
        Link(thread, a.Int0, a.A1, a.Int2, a.A3, a.Int4);

    private static long Link(
        GuestThread thread, int oldDirectory, ulong oldAddress, int newDirectory, ulong newAddress, int flags)
    {
        if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0)
            return -EINVAL;
        int locate = (flags & AT_EMPTY_PATH) | ((flags & AT_SYMLINK_FOLLOW) != 0 ? 0 : AT_SYMLINK_NOFOLLOW);
        long result = Located.ByPath(thread, oldDirectory, oldAddress, locate, out Located existing);
        if (result < 0)
            return result;
        using (existing)
        {
            if (existing.Dentry is null)
                return -EXDEV;
            result = ReadSecondPath(thread, newDirectory, newAddress, out ReadOnlySpan<byte> path, out Dentry start);
            return result < 0 ? result : VirtualFileSystem.Link(Caller.Of(thread), existing.Dentry, start, path);
        }
    }

    private static long Symlink(GuestThread thread, in SystemCallArguments a) =>
        MakeSymlink(thread, a.A0, AT_FDCWD, a.A1);

    private static long Symlinkat(GuestThread thread, in SystemCallArguments a) =>
        MakeSymlink(thread, a.A0, a.Int1, a.A2);

    private static long MakeSymlink(GuestThread thread, ulong targetAddress, int directory, ulong address)
    {
        long result = PathArgument.Read(thread, targetAddress, out ReadOnlySpan<byte> target);
        if (result < 0)
            return result;
        result = ReadSecondPath(thread, directory, address, out ReadOnlySpan<byte> path, out Dentry start);
        return result < 0 ? result : VirtualFileSystem.MakeSymlink(Caller.Of(thread), target, start, path);
    }

    private static long Readlink(GuestThread thread, in SystemCallArguments a) =>
        ReadLink(thread, AT_FDCWD, a.A0, a.A1, a.Int2);

    private static long Readlinkat(GuestThread thread, in SystemCallArguments a) =>
        ReadLink(thread, a.Int0, a.A1, a.A2, a.Int3);

    private static long ReadLink(GuestThread thread, int directory, ulong address, ulong buffer, int size)
    {
        if (size <= 0)
            return -EINVAL;
        // An O_PATH descriptor of a link may be read with an empty path.
        long result = Located.ByPath(
            thread, directory, address, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, out Located located);
        if (result < 0)
            return result;
        using (located)
        {
            if (located.Dentry is not { Inode.IsSymlink: true } link)
                return thread.PathBuffer[0] == 0 ? -ENOENT : -EINVAL;
            result = PathGuard.Check(link, PathAccess.Read);
            if (result < 0)
                return result;
            result = link.Inode.ReadLink(link, Caller.Of(thread), out byte[] target);
            if (result < 0)
                return result;
            int count = Math.Min(target.Length, size);
            return thread.Memory.TryWrite(new VirtualAddress(buffer), target.AsSpan(0, count)) ? count : -EFAULT;
        }
    }

    private static long ReadPath(
        GuestThread thread, int directory, ulong address, out ReadOnlySpan<byte> path, out Dentry start)
    {
        start = null!;
        long result = PathArgument.Read(thread, address, out path);
        return result < 0 ? result : VirtualFileSystem.Start(thread, directory, path, out start);
    }

    private static long ReadSecondPath(
        GuestThread thread, int directory, ulong address, out ReadOnlySpan<byte> path, out Dentry start)
    {
        start = null!;
        long result = PathArgument.ReadSecond(thread, address, out path);
        return result < 0 ? result : VirtualFileSystem.Start(thread, directory, path, out start);
    }
}
