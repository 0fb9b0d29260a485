using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// One end of a pipe, or both (a FIFO opened O_RDWR). A FIFO's open file derives from this, names itself and shows
/// its inode's status; its pipe belongs to the inode.
/// </summary>
public class PipeEnd : OpenFile
{
    private readonly AnonymousInode? _inode;
    private readonly int _writerOpeningsBefore;

    /// <summary>An end of an anonymous pipe; the last end to close frees the pipe.</summary>
    public PipeEnd(Pipe pipe, int flags, AnonymousInode inode) : this(pipe, flags)
    {
        _inode = inode;
        _writerOpeningsBefore = -1;
    }

    /// <summary>An end of a FIFO.</summary>
    protected PipeEnd(Pipe pipe, int flags) : base(flags)
    {
        Pipe = pipe;
        _writerOpeningsBefore = pipe.WriterOpenings;
        pipe.Attach(CanRead, CanWrite);
    }

    public Pipe Pipe { get; }

    public override string DisplayName => $"pipe:[{_inode!.Number}]";

    public override WaitQueue? Waiters => Pipe.Waiters;

    /// <summary>
    /// The rest of open(2) on a FIFO: waits until the other end is open too, or refuses. On a failure the caller
    /// releases this end.
    /// </summary>
    /// <returns>0, -ENXIO (O_WRONLY | O_NONBLOCK without a reader) or a restart code.</returns>
    public long AwaitPeer(GuestThread thread)
    {
        if (CanRead && CanWrite)
            return 0;
        if (CanWrite && IsNonBlocking)
            return Pipe.HasReaders ? 0 : -ENXIO;
        if (IsNonBlocking || HasPeer)
            return 0;

        int openings = PeerOpenings;
        using Blocking wait = new(thread, Pipe.Waiters, PollEvents.All);
        while (!HasPeer && PeerOpenings == openings)
        {
            long slept = wait.Sleep();
            if (slept != 0)
                return slept;
        }
        return 0;
    }

    private bool HasPeer => CanRead ? Pipe.HasWriters : Pipe.HasReaders;

    private int PeerOpenings => CanRead ? Pipe.WriterOpenings : Pipe.ReaderOpenings;

    public override long Read(Span<byte> buffer) => Pipe.Read(buffer);

    public override long Write(ReadOnlySpan<byte> buffer) => Pipe.Write(buffer);

    public override PollEvents Poll() =>
        Pipe.Poll(CanRead, CanWrite, everHadWriter: Pipe.WriterOpenings != _writerOpeningsBefore);

    /// <summary>open(2) of /proc/self/fd/N: an end of its own, in any direction, that waits for nobody.</summary>
    public override long Reopen(GuestThread thread, int flags, out OpenFile? file)
    {
        _inode!.AddReference();
        file = new PipeEnd(Pipe, flags, _inode);
        return 0;
    }

    public override long GetStatus(out stat status)
    {
        status = _inode!.Status(S_IFIFO | 0x180, 4096);
        return 0;
    }

    public override long Ioctl(GuestThread thread, uint request, ulong argument)
    {
        if (request != FIONREAD)
            return -ENOTTY;
        return thread.Memory.TryWrite(new VirtualAddress(argument), Pipe.Count) ? 0 : -EFAULT;
    }

    protected override long ControlFile(GuestThread thread, int command, ulong argument) => command switch
    {
        F_GETPIPE_SZ => Pipe.Capacity,
        F_SETPIPE_SZ => Pipe.SetCapacity((uint)argument),
        _ => -EINVAL,
    };

    protected override void Close()
    {
        Pipe.Detach(CanRead, CanWrite);
        if (_inode is not null && _inode.Release())
            Pipe.Free();
    }
}
