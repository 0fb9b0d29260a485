using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// A file-system object: what names refer to and open files work on. Methods answer 0 (or a count) or a negative
/// errno. The caller has checked permissions, read-only mounts and names; the inode checks only what it alone knows.
/// </summary>
/// <remarks>
/// Operations take the <see cref="Dentry"/> through which they were reached, because a host file has no other
/// handle than its directory and its name.
/// </remarks>
public abstract class Inode(FileSystem fileSystem, ulong number, uint type)
{
    public FileSystem FileSystem { get; } = fileSystem;

    public ulong Number { get; } = number;

    /// <summary>S_IFREG, S_IFDIR and so on; never changes.</summary>
    public uint Type { get; } = type;

    public bool IsDirectory => Type == S_IFDIR;

    public bool IsSymlink => Type == S_IFLNK;

    public bool IsRegular => Type == S_IFREG;

    /// <summary>A link that leads to an object rather than to a path, such as /proc/self/fd/0.</summary>
    public virtual bool IsMagicLink => false;

    /// <summary>Who holds locks on this file; equal for every name of the same file.</summary>
    public virtual FileIdentity Identity => new(FileSystem.Device, Number);

    public abstract long GetStatus(Dentry self, out InodeStatus status);

    /// <summary>Permission bits, owner and type as <see cref="Permissions.Check"/> needs them.</summary>
    public virtual long CheckAccess(Dentry self, Credentials credentials, int mask)
    {
        long result = GetStatus(self, out InodeStatus status);
        return result < 0 ? result : Permissions.Check(status, credentials, mask);
    }

    /// <summary>Finds a name in this directory: -ENOENT when there is none.</summary>
    public virtual long Lookup(Dentry self, ReadOnlySpan<byte> name, in Caller caller, out Dentry? child)
    {
        child = null;
        return -ENOTDIR;
    }

    /// <summary>mknod(2): a regular file, fifo or socket (the type in mode).</summary>
    public virtual long CreateNode(Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner, out Dentry? child)
    {
        child = null;
        return -EPERM;
    }

    /// <summary>open(2) with O_CREAT of a name that does not exist; permission bits do not apply to this open.</summary>
    public virtual long CreateAndOpen(
        in Caller caller, Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner, int flags, out OpenFile? file)
    {
        file = null;
        long result = CreateNode(self, name, S_IFREG | mode, owner, out Dentry? child);
        return result < 0 ? result : child!.Inode.Open(caller, child, flags, out file);
    }

    /// <summary>O_TMPFILE: a regular file without a name in this directory's file system.</summary>
    public virtual long CreateUnnamed(
        in Caller caller, Dentry self, uint mode, in Owner owner, int flags, out OpenFile? file)
    {
        file = null;
        return -EOPNOTSUPP;
    }

    public virtual long MakeDirectory(Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner) => -EPERM;

    public virtual long MakeSymlink(Dentry self, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in Owner owner) =>
        -EPERM;

    /// <summary>link(2): one more name here for a file of the same file system.</summary>
    public virtual long Link(Dentry self, ReadOnlySpan<byte> name, Dentry existing) => -EPERM;

    public virtual long Unlink(Dentry self, Dentry child) => -EPERM;

    public virtual long RemoveDirectory(Dentry self, Dentry child) => -EPERM;

    /// <summary>
    /// renameat2(2) inside one file system, called on the old directory. While the mount's names change.
    /// </summary>
    public virtual long Rename(
        Dentry self, Dentry child, Dentry newParent, ReadOnlySpan<byte> newName, Dentry? replaced, uint flags) => -EPERM;

    public virtual long ReadLink(Dentry self, in Caller caller, out byte[] target)
    {
        target = [];
        return -EINVAL;
    }

    /// <summary>Where a magic link leads.</summary>
    public virtual long FollowMagicLink(in Caller caller, out Dentry? target)
    {
        target = null;
        return -ENOENT;
    }

    public virtual long SetStatus(Dentry self, in StatusChange change) => -EPERM;

    /// <summary>truncate(2) by path.</summary>
    public virtual long SetLength(in Caller caller, Dentry self, long length) => IsDirectory ? -EISDIR : -EINVAL;

    /// <summary>Opens what the caller may open. Flags are those of open(2) without O_CREAT.</summary>
    public abstract long Open(in Caller caller, Dentry self, int flags, out OpenFile? file);

    private int _openFiles;
    private volatile bool _hasLostLastName;

    /// <summary>No name and no open file is left, as far as those who watch files are concerned.</summary>
    internal bool IsGone => _hasLostLastName && Volatile.Read(ref _openFiles) == 0;

    internal void LoseLastName() => _hasLostLastName = true;

    /// <param name="change">1 for an open file more, -1 for one less.</param>
    internal void CountOpenFile(int change) => Interlocked.Add(ref _openFiles, change);

    /// <summary>An open file or O_PATH descriptor now refers to this inode. False when it is already gone.</summary>
    public virtual bool TryAddUser() => true;

    public virtual void RemoveUser()
    {
    }
}

/// <summary>What two names or descriptors of the same file have in common.</summary>
public readonly record struct FileIdentity(ulong Device, ulong Number);

/// <summary>Who a new inode belongs to.</summary>
public readonly record struct Owner(uint Uid, uint Gid);
