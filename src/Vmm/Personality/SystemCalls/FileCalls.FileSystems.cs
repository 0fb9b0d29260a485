using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// File systems as wholes. The set of mounts is the plan's: no guest user, root included, may change it.
static partial class FileCalls
{
    private static void RegisterFileSystems(SystemCallTable table)
    {
        table.Add(SYS_statfs, "statfs", Statfs, "path ptr");
        table.Add(SYS_fstatfs, "fstatfs", Fstatfs, "fd ptr");
        table.Add(SYS_name_to_handle_at, "name_to_handle_at", NameToHandleAt, "dirfd path ptr ptr flags:AT");
        table.Add(SYS_open_by_handle_at, "open_by_handle_at", Forbidden, "fd ptr flags:O");
        table.Add(SYS_mount, "mount", Forbidden, "path path str hex ptr");
        table.Add(SYS_umount2, "umount2", Forbidden, "path hex");
        table.Add(SYS_pivot_root, "pivot_root", Forbidden, "path path");
        table.Add(SYS_fsopen, "fsopen", Forbidden, "str hex");
        table.Add(SYS_fspick, "fspick", Forbidden, "dirfd path hex");
        table.Add(SYS_open_tree, "open_tree", Forbidden, "dirfd path hex");
        table.Add(SYS_move_mount, "move_mount", Forbidden, "dirfd path dirfd path hex");
        table.Add(SYS_mount_setattr, "mount_setattr", Forbidden, "dirfd path hex ptr size");
        table.Add(SYS_swapon, "swapon", Forbidden, "path hex");
        table.Add(SYS_swapoff, "swapoff", Forbidden, "path");
    }

    private static long Statfs(GuestThread thread, in SystemCallArguments a)
    {
        long result = Located.ByPath(thread, AT_FDCWD, a.A0, 0, out Located located);
        if (result < 0)
            return result;
        using (located)
            return WriteStatfs(thread, located, a.A1);
    }

    private static long Fstatfs(GuestThread thread, in SystemCallArguments a)
    {
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: true, out Located located);
        if (result < 0)
            return result;
        using (located)
            return WriteStatfs(thread, located, a.A1);
    }

    private static long WriteStatfs(GuestThread thread, Located located, ulong address)
    {
        statfs statistics;
        long result;
        if (located.Dentry is { } dentry)
        {
            result = dentry.Inode.FileSystem.GetStatistics(out statistics);
            if (result < 0)
                return result;
        }
        else
        {
            result = located.GetStatus(out InodeStatus status);
            if (result < 0)
                return result;
            long magic = (status.Mode & S_IFMT) switch
            {
                S_IFIFO => PIPEFS_MAGIC,
                S_IFSOCK => SOCKFS_MAGIC,
                _ => ANON_INODE_FS_MAGIC,
            };
            statistics = new statfs { f_type = magic, f_bsize = Page.Size, f_frsize = Page.Size, f_namelen = NAME_MAX };
        }
        return thread.Memory.TryWrite(new VirtualAddress(address), statistics) ? 0 : -EFAULT;
    }

    private static long NameToHandleAt(GuestThread thread, in SystemCallArguments a) => -EOPNOTSUPP;

    private static long Forbidden(GuestThread thread, in SystemCallArguments a) => -EPERM;
}
