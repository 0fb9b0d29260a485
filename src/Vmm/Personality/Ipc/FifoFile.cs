using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.SystemCalls;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>An open FIFO: a pipe that a name in the file tree leads to (fifo(7)).</summary>
sealed class FifoFile : PipeEnd
{
    /// <summary>Guards which pipe an inode has: one lock for all FIFOs, held for moments.</summary>
    private static readonly Lock s_attachments = new();

    private readonly Dentry _dentry;

    private FifoFile(Pipe pipe, Dentry dentry, int flags) : base(pipe, flags) => _dentry = dentry;

    /// <summary>Opens a FIFO; waits for the other end unless O_NONBLOCK or O_RDWR say otherwise.</summary>
    /// <returns>0, -ENXIO, -ENFILE, -ESTALE or a restart code.</returns>
    public static long Open(GuestThread thread, Dentry dentry, int flags, out OpenFile? file)
    {
        file = null;
        if (dentry.Inode is not ISpecialInode inode)
            return -ENXIO;
        // Others see who opens it, if only for a moment: an open that might wait is begun where it can.
        if ((flags & O_NONBLOCK) == 0 && (flags & O_ACCMODE) != O_RDWR && thread.MayWait() == Restart.AtExit)
            return Restart.AtExit;
        if (!dentry.Inode.TryAddUser())
            return -ESTALE;
        FifoFile end;
        lock (s_attachments)
        {
            Pipe? pipe = inode.Attachment as Pipe ?? Pipe.TryCreate(thread.Personality.KernelMemory);
            if (pipe is null)
            {
                dentry.Inode.RemoveUser();
                return -ENFILE;
            }
            inode.Attachment = pipe;
            end = new FifoFile(pipe, dentry, flags);
        }
        long result = end.AwaitPeer(thread);
        if (result == 0)
            file = end;
        else
            end.Release();
        return result;
    }

    public override string DisplayName => _dentry.ToString();

    public override Dentry? Place => _dentry;

    public override long GetStatus(out stat status)
    {
        long result = _dentry.Inode.GetStatus(_dentry, out InodeStatus full);
        full.ToStat(out status);
        return result;
    }

    protected override void Close()
    {
        lock (s_attachments)
        {
            base.Close();
            if (!Pipe.HasReaders && !Pipe.HasWriters)
            {
                ((ISpecialInode)_dentry.Inode).Attachment = null;
                Pipe.Free();
            }
        }
        _dentry.Inode.RemoveUser();
    }
}
