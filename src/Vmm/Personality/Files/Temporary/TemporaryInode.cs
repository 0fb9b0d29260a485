using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>What all inodes of a tmpfs have: attributes, guarded by the file system's lock.</summary>
public abstract class TemporaryInode : Inode
{
    private uint _mode;
    private uint _uid;
    private uint _gid;
    private timespec _accessTime;
    private timespec _modifyTime;
    private timespec _changeTime;
    private readonly timespec _birthTime;
    private int _users;
    private bool _isDead;

    protected TemporaryInode(TemporaryFileSystem fileSystem, uint mode, Owner owner)
        : base(fileSystem, fileSystem.NextNumber(), mode & S_IFMT)
    {
        FileSystem = fileSystem;
        _mode = mode;
        _uid = owner.Uid;
        _gid = owner.Gid;
        _accessTime = _modifyTime = _changeTime = _birthTime = TemporaryFileSystem.Now();
    }

    public new TemporaryFileSystem FileSystem { get; }

    protected Lock Lock => FileSystem.Lock;

    /// <summary>Names; a directory's also counts its own '.' and its children's '..'. Under the lock.</summary>
    internal uint Links { get; set; }

    /// <summary>Made with O_TMPFILE without O_EXCL: may get its first name by linkat.</summary>
    internal bool MayGetFirstName { get; set; }

    internal uint Mode => _mode;

    internal uint Gid => _gid;

    protected virtual long Size => 0;

    protected virtual long Pages => 0;

    public override long GetStatus(Dentry self, out InodeStatus status)
    {
        long size = Size, pages = Pages;
        lock (Lock)
        {
            status = new InodeStatus
            {
                Device = FileSystem.Device,
                Number = Number,
                Mode = _mode,
                Links = Links,
                Uid = _uid,
                Gid = _gid,
                Size = size,
                BlockSize = 4096,
                Blocks = pages * 8,
                AccessTime = _accessTime,
                ModifyTime = _modifyTime,
                ChangeTime = _changeTime,
                BirthTime = _birthTime,
            };
            // Its content is gone, and was there when the path led here.
            return _isDead && IsRegular ? -ESTALE : 0;
        }
    }

    public override long CheckAccess(Dentry self, Credentials credentials, int mask)
    {
        lock (Lock)
            return Permissions.Check(_mode, _uid, _gid, credentials, mask);
    }

    public override long SetStatus(Dentry self, in StatusChange change)
    {
        lock (Lock)
        {
            if (change.Uid is { } uid)
                _uid = uid;
            if (change.Gid is { } gid)
                _gid = gid;
            if (change.Permissions is { } mode)
                _mode = Type | (mode & 0xfff);
            if (change.AccessTime is { } access)
                _accessTime = access;
            if (change.ModifyTime is { } modify)
                _modifyTime = modify;
            _changeTime = TemporaryFileSystem.Now();
        }
        return 0;
    }

    /// <summary>Read: moves the access time as relatime does. Under no lock.</summary>
    internal void TouchAccess()
    {
        timespec now = TemporaryFileSystem.Now();
        lock (Lock)
        {
            bool stale = Compare(_accessTime, _modifyTime) <= 0 || Compare(_accessTime, _changeTime) <= 0
                || now.tv_sec - _accessTime.tv_sec >= 86400;
            if (stale)
                _accessTime = now;
        }
    }

    internal void TouchModify()
    {
        timespec now = TemporaryFileSystem.Now();
        lock (Lock)
            _modifyTime = _changeTime = now;
    }

    /// <summary>Under the lock.</summary>
    internal void TouchModifyLocked() => _modifyTime = _changeTime = TemporaryFileSystem.Now();

    /// <summary>Under the lock.</summary>
    internal void TouchChangeLocked() => _changeTime = TemporaryFileSystem.Now();

    public override bool TryAddUser()
    {
        lock (Lock)
        {
            if (_isDead)
                return false;
            _users++;
            return true;
        }
    }

    public override void RemoveUser()
    {
        bool die;
        lock (Lock)
        {
            _users--;
            die = MarkIfDead();
        }
        if (die)
            Die();
    }

    /// <summary>After a name went away. Call under the lock; when true, call <see cref="Die"/> outside it.</summary>
    internal bool MarkIfDead()
    {
        if (_isDead || Links > 0 || _users > 0)
            return false;
        _isDead = true;
        return true;
    }

    /// <summary>No name and no user is left.</summary>
    internal void Die()
    {
        ReleaseContent();
        FileSystem.Budget?.UnchargeInode();
    }

    protected virtual void ReleaseContent()
    {
    }

    private static int Compare(timespec a, timespec b) =>
        a.tv_sec != b.tv_sec ? a.tv_sec.CompareTo(b.tv_sec) : a.tv_nsec.CompareTo(b.tv_nsec);
}

/// <summary>A symbolic link's text.</summary>
sealed class TemporarySymlink(TemporaryFileSystem fileSystem, byte[] target, Owner owner)
    : TemporaryInode(fileSystem, S_IFLNK | 0x1ff, owner)
{
    /// <summary>A longer text costs a page; a shorter one goes with the inode.</summary>
    public const int ShortText = 256;

    protected override long Size => target.Length;

    public override long ReadLink(Dentry self, in Caller caller, out byte[] text)
    {
        text = target;
        return 0;
    }

    protected override void ReleaseContent()
    {
        if (target.Length > ShortText)
            FileSystem.Budget?.Pages.Uncharge(1);
    }

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        return -ELOOP;
    }
}

/// <summary>A named pipe or socket: the name is here, what it leads to belongs to inter-process communication.</summary>
public sealed class TemporarySpecial(TemporaryFileSystem fileSystem, uint mode, Owner owner)
    : TemporaryInode(fileSystem, mode, owner), ISpecialInode
{
    /// <summary>The pipe of a fifo while it is open, the bound socket of a socket. Guarded by its user.</summary>
    public object? Attachment { get; set; }

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        if (Type == S_IFSOCK || caller.Thread is not { } thread)
            return -ENXIO;
        SpecialFileOpener? opener = thread.Personality.Files.FifoOpener;
        return opener is null ? -ENXIO : opener(thread, self, flags, out file);
    }
}

/// <summary>An inode to which another subsystem ties its object.</summary>
public interface ISpecialInode
{
    object? Attachment { get; set; }
}

/// <summary>Opens what another subsystem implements: fifos, terminals. May wait; 0 or a negative errno.</summary>
public delegate long SpecialFileOpener(GuestThread thread, Dentry dentry, int flags, out OpenFile? file);
