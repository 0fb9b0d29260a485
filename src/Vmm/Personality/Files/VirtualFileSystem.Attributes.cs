using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

// Attributes: chmod, chown, utimensat, truncate. The same checks for a path and for an open file.
public sealed partial class VirtualFileSystem
{
    public static long ChangeMode(in Caller caller, Dentry target, InodeFile? file, uint mode)
    {
        using NameLock.Scope held = target.Mount.Names.Hold();
        long result = BeginChange(target, file, out InodeStatus status);
        if (result < 0)
            return result;
        if (target.Inode.IsSymlink)
            return -EOPNOTSUPP;
        if (!Permissions.IsOwner(status, caller.Credentials))
            return -EPERM;
        mode &= 0xfff;
        // Not for a group that the owner is not in (setattr_copy).
        if (caller.Credentials.FileSystemUid != 0 && !Permissions.IsMember(caller.Credentials, status.Gid))
            mode &= ~(uint)S_ISGID;
        return Apply(target, file, new StatusChange { Permissions = mode });
    }

    /// <param name="uid">uint.MaxValue leaves it.</param>
    /// <param name="gid">uint.MaxValue leaves it.</param>
    public static long ChangeOwner(in Caller caller, Dentry target, InodeFile? file, uint uid, uint gid)
    {
        using NameLock.Scope held = target.Mount.Names.Hold();
        long result = BeginChange(target, file, out InodeStatus status);
        if (result < 0)
            return result;
        StatusChange change = default;
        if (uid != uint.MaxValue)
            change.Uid = uid;
        if (gid != uint.MaxValue)
            change.Gid = gid;
        Credentials credentials = caller.Credentials;
        if (credentials.FileSystemUid != 0)
        {
            bool owner = credentials.FileSystemUid == status.Uid;
            if (change.Uid is { } newUid && (!owner || newUid != status.Uid))
                return -EPERM;
            if (change.Gid is { } newGid && (!owner || !(newGid == status.Gid || Permissions.IsMember(credentials, newGid))))
                return -EPERM;
        }
        if (change.Uid is null && change.Gid is null)
            return 0;
        if (target.Inode.IsRegular && (status.Mode & (S_ISUID | S_ISGID)) != 0)
            change.Permissions = status.Mode & 0xfff & ~(uint)(S_ISUID | S_ISGID);
        return Apply(target, file, change);
    }

    /// <param name="access">Null leaves it.</param>
    /// <param name="toNow">Both are set to the current time: writing permission is then enough.</param>
    public static long ChangeTimes(
        in Caller caller, Dentry target, InodeFile? file, timespec? access, timespec? modify, bool toNow)
    {
        if (access is null && modify is null)
            return 0;
        using NameLock.Scope held = target.Mount.Names.Hold();
        long result = BeginChange(target, file, out InodeStatus status);
        if (result < 0)
            return result;
        if (!Permissions.IsOwner(status, caller.Credentials))
        {
            if (!toNow)
                return -EPERM;
            result = target.Inode.CheckAccess(target, caller.Credentials, W_OK);
            if (result < 0)
                return result;
        }
        return Apply(target, file, new StatusChange { AccessTime = access, ModifyTime = modify });
    }

    /// <summary>truncate(2).</summary>
    public static long Truncate(in Caller caller, Dentry target, long length)
    {
        Inode inode = target.Inode;
        if (inode.IsDirectory)
            return -EISDIR;
        if (!inode.IsRegular)
            return -EINVAL;
        long result = CheckAccess(caller, target, W_OK);
        if (result == 0)
            result = inode.SetLength(caller, target, length);
        if (result == 0)
            target.Mount.Watches.Report(target, IN_MODIFY);
        return result;
    }

    private static long BeginChange(Dentry target, InodeFile? file, out InodeStatus status)
    {
        if (target.Mount.IsReadOnly)
        {
            status = default;
            return PathGuard.RefuseReadOnly(target, default, PathAccess.Write);
        }
        long result = PathGuard.Check(target, PathAccess.Write);
        if (result < 0)
        {
            status = default;
            return result;
        }
        return file is not null ? file.GetStatus(out status) : target.Inode.GetStatus(target, out status);
    }

    private static long Apply(Dentry target, InodeFile? file, in StatusChange change)
    {
        long result = file is not null ? file.SetStatus(change) : target.Inode.SetStatus(target, change);
        if (result == 0)
            target.Mount.Watches.Report(target, EventOf(change));
        return result;
    }

    /// <summary>As fsnotify_change of the kernel: one time alone counts as what would have set it.</summary>
    private static uint EventOf(in StatusChange change)
    {
        bool access = change.AccessTime is not null, modify = change.ModifyTime is not null;
        if (change.Uid is not null || change.Gid is not null || change.Permissions is not null || access == modify)
            return IN_ATTRIB;
        return access ? (uint)IN_ACCESS : IN_MODIFY;
    }
}
