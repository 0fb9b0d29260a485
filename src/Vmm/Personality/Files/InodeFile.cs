using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// An open file of the file tree. Takes over one use of its inode (<see cref="Inode.TryAddUser"/>), so an unlinked
/// file lives as long as somebody has it open.
/// </summary>
public abstract class InodeFile : OpenFile
{
    private bool _isReported;

    protected InodeFile(Dentry dentry, int flags)
        : base(flags)
    {
        Dentry = dentry;
        Inode.CountOpenFile(1);
    }

    /// <summary>The name it was opened by, which rename moves along.</summary>
    public Dentry Dentry { get; }

    public Inode Inode => Dentry.Inode;

    public override string DisplayName => Dentry.ToString();

    public override Dentry? Place => Dentry;

    protected override FileIdentity LockIdentity => Inode.Identity;

    public sealed override long GetStatus(out stat status)
    {
        long result = GetStatus(out InodeStatus full);
        full.ToStat(out status);
        return result;
    }

    public virtual long GetStatus(out InodeStatus status) => Inode.GetStatus(Dentry, out status);

    /// <summary>fchmod, fchown, futimens.</summary>
    public virtual long SetStatus(in StatusChange change) => Inode.SetStatus(Dentry, change);

    /// <summary>fallocate(2); the range has been checked.</summary>
    public virtual long Allocate(int mode, long offset, long length) => -EOPNOTSUPP;

    /// <summary>Tells those who watch the file that it was opened, and later that it was closed.</summary>
    internal void ReportOpened()
    {
        _isReported = true;
        Dentry.Mount.Watches.Report(Dentry, IN_OPEN);
    }

    protected override void Close()
    {
        FileWatches watches = Dentry.Mount.Watches;
        if (_isReported)
            watches.Report(Dentry, CanWrite ? IN_CLOSE_WRITE : (uint)IN_CLOSE_NOWRITE);
        Inode.CountOpenFile(-1);
        watches.ReportReleased(Inode);
        Inode.RemoveUser();
    }
}

/// <summary>O_PATH: a place in the tree and nothing more. Every use but the few of open(2) is -EBADF.</summary>
public sealed class PathFile(Dentry dentry, int flags) : InodeFile(dentry, flags)
{
    public override long Read(Span<byte> buffer) => -EBADF;

    public override long Write(ReadOnlySpan<byte> buffer) => -EBADF;

    public override long ReadAt(Span<byte> buffer, long offset) => -EBADF;

    public override long WriteAt(ReadOnlySpan<byte> buffer, long offset) => -EBADF;

    public override long Seek(long offset, int whence) => -EBADF;

    public override long Ioctl(GuestThread thread, uint request, ulong argument) => -EBADF;

    public override long Truncate(long length) => -EBADF;

    public override long Synchronize(bool dataOnly) => -EBADF;

    public override long SetStatus(in StatusChange change) => -EBADF;

    public override long Allocate(int mode, long offset, long length) => -EBADF;
}
