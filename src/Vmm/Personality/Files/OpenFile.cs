using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// An open file description (open(2)): what descriptors, dup and fork share. It sees only the VMM's own buffers,
/// never guest memory (but see <see cref="MovesBytesOnly"/>), and never blocks: a call that would have to wait answers -EAGAIN, and the system call layer
/// waits on <see cref="Waiters"/> (see <see cref="Blocking"/>).
/// </summary>
/// <remarks>Each implementation guards its own state; calls may come from several guest threads at once.</remarks>
public abstract partial class OpenFile
{
    private int _references = 1;

    /// <param name="flags">Access mode and status flags of open(2); creation flags are dropped.</param>
    protected OpenFile(int flags) => StatusFlags = flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);

    /// <summary>O_ACCMODE, O_APPEND, O_NONBLOCK and the like: what F_GETFL answers.</summary>
    public int StatusFlags { get; set; }

    public bool CanRead => (StatusFlags & O_PATH) == 0 && (StatusFlags & O_ACCMODE) != O_WRONLY;

    public bool CanWrite => (StatusFlags & O_PATH) == 0 && (StatusFlags & O_ACCMODE) is O_WRONLY or O_RDWR;

    public bool IsNonBlocking => (StatusFlags & O_NONBLOCK) != 0;

    /// <summary>What readlink(/proc/self/fd/N) shows, such as "/tmp/a" or "pipe:[12]".</summary>
    public abstract string DisplayName { get; }

    /// <summary>Its place in the tree, where /proc/self/fd/N leads; null for what has none.</summary>
    public virtual Dentry? Place => null;

    /// <summary>Reads at the file's position and advances it. Bytes read, 0 at the end, or a negative errno.</summary>
    public virtual long Read(Span<byte> buffer) => -EINVAL;

    /// <summary>Writes at the file's position (its end under O_APPEND) and advances it.</summary>
    public virtual long Write(ReadOnlySpan<byte> buffer) => -EINVAL;

    public virtual long ReadAt(Span<byte> buffer, long offset) => -ESPIPE;

    public virtual long WriteAt(ReadOnlySpan<byte> buffer, long offset) => -ESPIPE;

    public virtual long Seek(long offset, int whence) => -ESPIPE;

    /// <summary>One call moves one whole message (a datagram, a counter): transfers are never split or joined.</summary>
    public virtual bool IsMessageBased => false;

    /// <summary>
    /// Bytes pass through without being looked at, and a read or write may be given guest memory itself: it can change
    /// while it is read.
    /// </summary>
    public virtual bool MovesBytesOnly => false;

    /// <summary>What is ready now. Files that never wait are always readable and writable.</summary>
    public virtual PollEvents Poll() => PollEvents.Readable | PollEvents.Writable;

    /// <summary>Whom to tell when <see cref="Poll"/> changes; null for files that never wait.</summary>
    public virtual WaitQueue? Waiters => null;

    /// <summary>fstat(2).</summary>
    public abstract long GetStatus(out stat status);

    /// <summary>
    /// The same for a caller that matters: a terminal's job control, a signalfd that shows the reader's own signals.
    /// The system call layer always calls these.
    /// </summary>
    public virtual long Read(GuestThread thread, Span<byte> buffer) => Read(buffer);

    public virtual long Write(GuestThread thread, ReadOnlySpan<byte> buffer) => Write(buffer);

    public virtual PollEvents Poll(GuestThread thread) => Poll();

    public virtual WaitQueue? GetWaiters(GuestThread thread) => Waiters;

    /// <summary>When a blocking read that began at <paramref name="startedAt"/> gives up (SO_RCVTIMEO, VTIME).</summary>
    /// <param name="startedAt">Host CLOCK_MONOTONIC nanoseconds, as is the result.</param>
    public virtual long ReadDeadline(long startedAt) => Parker.Forever;

    public virtual long WriteDeadline(long startedAt) => Parker.Forever;

    /// <summary>What a wait that has such a deadline answers when a signal ends it.</summary>
    public virtual long Interrupted(long deadline) => Restart.System;

    /// <summary>What a read answers when <see cref="ReadDeadline"/> has passed.</summary>
    public virtual long ReadTimedOut(Span<byte> buffer) => -EAGAIN;

    public virtual long Ioctl(GuestThread thread, uint request, ulong argument) => -ENOTTY;

    /// <summary>
    /// open(2) of /proc/PID/fd/N or /dev/stdout when this file has no name in the tree. A pipe or terminal is shared,
    /// as dup(2) would, for what it is open for already; sockets and others answer -ENXIO.
    /// </summary>
    public virtual long Reopen(GuestThread thread, int flags, out OpenFile? file)
    {
        file = null;
        long result = GetStatus(out stat status);
        if (result < 0)
            return result;
        if ((status.st_mode & S_IFMT) is not (S_IFIFO or S_IFCHR or S_IFREG))
            return -ENXIO;
        if (!IsOpenFor(flags))
            return -EACCES;
        if (!TryAcquire())
            return -ENXIO;
        file = this;
        return 0;
    }

    /// <summary>Whether this description is open for what the access mode of <paramref name="flags"/> asks.</summary>
    protected bool IsOpenFor(int flags)
    {
        int access = flags & O_ACCMODE;
        return (access == O_WRONLY || CanRead) && (access == O_RDONLY || CanWrite);
    }

    /// <summary>F_SETOWN: whom SIGIO would go to; a positive pid or a negative process group.</summary>
    public int SignalOwner { get; set; }

    public virtual long Truncate(long length) => -EINVAL;

    public virtual long Synchronize(bool dataOnly) => -EINVAL;

    /// <summary>What mmap(2) maps, or null for -ENODEV.</summary>
    public virtual IMappable? Mappable => null;

    /// <summary>
    /// A reference for one more descriptor or one more call in flight; pair with <see cref="Release"/>.
    /// False when the last one is gone.
    /// </summary>
    public bool TryAcquire()
    {
        int count = Volatile.Read(ref _references);
        while (count > 0)
        {
            int seen = Interlocked.CompareExchange(ref _references, count + 1, count);
            if (seen == count)
                return true;
            count = seen;
        }
        return false;
    }

    public void Release()
    {
        if (Interlocked.Decrement(ref _references) != 0)
            return;
        DropWatchers();
        ReleaseFileLocks();
        Close();
        _budget?.Release(_charged);
    }

    private KernelMemory? _budget;
    private long _charged;

    /// <summary>Bytes that this open file holds beside itself from the start.</summary>
    protected virtual long HeldBytes => 0;

    /// <summary>
    /// Counts the open file against what the guest may make the VMM hold, until it is closed. Once, however often it is
    /// asked: opening may give what is open already (<see cref="Reopen"/>).
    /// </summary>
    /// <returns>0 or -ENFILE.</returns>
    internal long ChargeTo(KernelMemory budget)
    {
        long bytes = KernelMemory.ObjectCost + HeldBytes;
        if (!budget.TryReserve(bytes))
            return -ENFILE;
        if (Interlocked.CompareExchange(ref _budget, budget, null) is null)
            Interlocked.Add(ref _charged, bytes);
        else
            budget.Release(bytes);
        return 0;
    }

    /// <summary>Counts what it has come to hold since. False when there is no room; nothing is counted then.</summary>
    protected bool TryHold(long bytes)
    {
        if (_budget is null)
            return true;
        if (!_budget.TryReserve(bytes))
            return false;
        Interlocked.Add(ref _charged, bytes);
        return true;
    }

    protected void LetGo(long bytes)
    {
        if (_budget is null)
            return;
        Interlocked.Add(ref _charged, -bytes);
        _budget.Release(bytes);
    }

    private LinkedList<IFileWatcher>? _watchers;

    /// <summary>Adds one that hears when the last reference goes away: an epoll item. It holds no reference.</summary>
    internal void AddWatcher(LinkedListNode<IFileWatcher> watcher)
    {
        LinkedList<IFileWatcher> watchers =
            _watchers ?? Interlocked.CompareExchange(ref _watchers, new(), null) ?? _watchers;
        lock (watchers)
            watchers.AddLast(watcher);
    }

    internal void RemoveWatcher(LinkedListNode<IFileWatcher> watcher)
    {
        if (_watchers is not { } watchers)
            return;
        lock (watchers)
        {
            if (watcher.List == watchers)
                watchers.Remove(watcher);
        }
    }

    private void DropWatchers()
    {
        if (_watchers is not { } watchers)
            return;
        // The watcher's own lock is outside this list's: told one by one, without it.
        while (true)
        {
            IFileWatcher watcher;
            lock (watchers)
            {
                if (watchers.First is not { } first)
                    return;
                watcher = first.Value;
                watchers.RemoveFirst();
            }
            watcher.OnFileClosed();
        }
    }

    /// <summary>The last reference is gone.</summary>
    protected virtual void Close()
    {
    }
}

/// <summary>Hears about the end of an open file that it does not keep open.</summary>
interface IFileWatcher
{
    void OnFileClosed();
}
