using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>An interest list with the files that became ready: epoll(7).</summary>
/// <remarks>
/// Locks, outermost first: the personality's <see cref="EpollNesting"/>, this file's <see cref="_lock"/>, a watched
/// file's own locks, a wait queue's lock, this file's <see cref="_readyLock"/>, its own wait queue's lock. Nesting is
/// acyclic, so chains through nested instances end. Files are never released under any of these locks.
/// </remarks>
public sealed class EpollFile : OpenFile
{
    private const uint PrivateBits = EPOLLET | (uint)EPOLLONESHOT | (uint)EPOLLWAKEUP | (uint)EPOLLEXCLUSIVE;

    private readonly Lock _lock = new();
    private readonly Lock _readyLock = new();
    private readonly WaitQueue _waiters = new();
    private readonly Dictionary<(OpenFile File, int Descriptor), EpollItem> _items = [];
    private readonly KernelMemory _memory;
    private readonly AnonymousInode _inode;
    private readonly EpollNesting _nesting;
    private EpollItem? _firstReady;
    private EpollItem? _lastReady;

    /// <summary>How many instances this host thread is polling, one inside the other.</summary>
    [ThreadStatic]
    private static int t_depth;

    /// <summary>Files polled meanwhile, whose last other reference may have gone away.</summary>
    [ThreadStatic]
    private static Queue<OpenFile>? t_polled;

    /// <param name="memory">
    /// Charged <see cref="KernelMemory.ObjectCost"/> by the creator; given back at the end.
    /// </param>
    public EpollFile(KernelMemory memory, AnonymousInode inode, EpollNesting nesting) : base(O_RDWR)
    {
        _memory = memory;
        _inode = inode;
        _nesting = nesting;
    }

    public override string DisplayName => "anon_inode:[eventpoll]";

    public override WaitQueue? Waiters => _waiters;

    internal int Count
    {
        get
        {
            lock (_lock)
                return _items.Count;
        }
    }

    public override long GetStatus(out stat status)
    {
        status = _inode.Status(0x180, 4096);
        return 0;
    }

    /// <summary>EPOLL_CTL_ADD.</summary>
    public long Add(GuestThread? thread, OpenFile file, int descriptor, in epoll_event wanted)
    {
        WaitQueue? queue = thread is null ? file.Waiters : file.GetWaiters(thread);
        if (queue is null)
            return -EPERM;
        t_depth++;
        long result = file is EpollFile inner
            ? InsertNested(thread, inner, queue, descriptor, wanted)
            : Insert(thread, file, queue, descriptor, wanted);
        ReleaseFiles();
        return result;
    }

    private long InsertNested(
        GuestThread? thread, EpollFile inner, WaitQueue queue, int descriptor, in epoll_event wanted)
    {
        if ((wanted.events & EPOLLEXCLUSIVE) != 0)
            return -EINVAL;
        lock (_nesting.Lock)
        {
            if (!_nesting.MayContain(this, inner))
                return -ELOOP;
            long result = Insert(thread, inner, queue, descriptor, wanted);
            if (result == 0)
                _nesting.Add(this, inner);
            return result;
        }
    }

    private long Insert(GuestThread? thread, OpenFile file, WaitQueue queue, int descriptor, in epoll_event wanted)
    {
        if (!_memory.TryReserve(EpollItem.Cost))
            return -ENOSPC;
        EpollItem item = new(this, file, descriptor);
        item.Set(wanted);
        lock (_lock)
        {
            if (!_items.TryAdd((file, descriptor), item))
            {
                _memory.Release(EpollItem.Cost);
                return -EEXIST;
            }
            file.AddWatcher(item.Watch);
            queue.Add(item);
            PollEvents ready = thread is null ? file.Poll() : file.Poll(thread);
            if ((ready & item.Interest) != 0)
                MakeReady(item);
        }
        return 0;
    }

    /// <summary>EPOLL_CTL_MOD.</summary>
    public long Modify(GuestThread? thread, OpenFile file, int descriptor, in epoll_event wanted)
    {
        if ((wanted.events & EPOLLEXCLUSIVE) != 0)
            return -EINVAL;
        t_depth++;
        long result = Change(thread, file, descriptor, wanted);
        ReleaseFiles();
        return result;
    }

    private long Change(GuestThread? thread, OpenFile file, int descriptor, in epoll_event wanted)
    {
        lock (_lock)
        {
            if (!_items.TryGetValue((file, descriptor), out EpollItem? item))
                return -ENOENT;
            if ((item.Events & EPOLLEXCLUSIVE) != 0)
                return -EINVAL;
            item.Set(wanted);
            PollEvents ready = thread is null ? file.Poll() : file.Poll(thread);
            if ((ready & item.Interest) != 0)
                MakeReady(item);
        }
        return 0;
    }

    /// <summary>EPOLL_CTL_DEL.</summary>
    public long Remove(OpenFile file, int descriptor)
    {
        lock (_lock)
        {
            if (!_items.Remove((file, descriptor), out EpollItem? item))
                return -ENOENT;
            file.RemoveWatcher(item.Watch);
            Forget(item);
        }
        return 0;
    }

    /// <summary>The last reference to a watched file is gone.</summary>
    internal void OnFileClosed(EpollItem item)
    {
        lock (_lock)
        {
            if (_items.Remove((item.File, item.Descriptor)))
                Forget(item);
        }
    }

    /// <summary>Takes up to the span's length of events; 0 when nothing is ready.</summary>
    public int Harvest(GuestThread? thread, Span<epoll_event> events)
    {
        int count = 0;
        t_depth++;
        lock (_lock)
        {
            // What becomes ready from here on is told to those who wait.
            EpollItem? last = LastReady;
            while (last is not null && count < events.Length && TakeReady() is { } item)
            {
                PollEvents ready = PollItem(thread, item);
                if (ready != PollEvents.None)
                {
                    events[count++] = new epoll_event { events = (uint)ready, data = item.Data };
                    if ((item.Events & EPOLLONESHOT) != 0)
                        item.Disable();
                    else if ((item.Events & EPOLLET) == 0)
                        MakeReady(item);
                }
                // Level-triggered items went back to the end: one round is enough.
                if (item == last)
                    break;
            }
        }
        ReleaseFiles();
        return count;
    }

    public override PollEvents Poll() => PollReady(null);

    public override PollEvents Poll(GuestThread thread) => PollReady(thread);

    private PollEvents PollReady(GuestThread? thread)
    {
        PollEvents result = PollEvents.None;
        t_depth++;
        lock (_lock)
        {
            EpollItem? last = LastReady;
            while (last is not null && TakeReady() is { } item)
            {
                if (PollItem(thread, item) != PollEvents.None)
                {
                    PutBackFirst(item);
                    result = PollEvents.Readable;
                    break;
                }
                if (item == last)
                    break;
            }
        }
        ReleaseFiles();
        return result;
    }

    private PollEvents PollItem(GuestThread? thread, EpollItem item)
    {
        if (item.Interest == PollEvents.None || !item.File.TryAcquire())
            return PollEvents.None;
        PollEvents ready = (thread is null ? item.File.Poll() : item.File.Poll(thread)) & item.Interest;
        (t_polled ??= new Queue<OpenFile>()).Enqueue(item.File);
        return ready;
    }

    /// <summary>Files that close because of this do so outside every lock of every instance.</summary>
    private static void ReleaseFiles()
    {
        if (--t_depth > 0)
            return;
        while (t_polled is not null && t_polled.TryDequeue(out OpenFile? file))
            file.Release();
    }

    protected override void Close()
    {
        lock (_lock)
        {
            foreach (EpollItem item in _items.Values)
            {
                item.File.RemoveWatcher(item.Watch);
                Forget(item);
            }
            _items.Clear();
        }
        _memory.Release(KernelMemory.ObjectCost);
    }

    private void Forget(EpollItem item)
    {
        item.Leave();
        item.Disable();
        lock (_readyLock)
            Unlink(item);
        if (item.File is EpollFile inner)
            _nesting.Remove(this, inner);
        _memory.Release(EpollItem.Cost);
    }

    // The ready list: linked through the items, so that a notification allocates nothing.

    /// <summary>
    /// Runs in notifications too, under a wait queue's lock. An item that is ready already was told when it became so,
    /// and has not been looked at since: were it told again, an event would go through instances that watch each other
    /// under many descriptors as often as there are ways through them.
    /// </summary>
    internal void MakeReady(EpollItem item)
    {
        lock (_readyLock)
        {
            if (item.IsReady)
                return;
            item.IsReady = true;
            item.PreviousReady = _lastReady;
            item.NextReady = null;
            if (_lastReady is null)
                _firstReady = item;
            else
                _lastReady.NextReady = item;
            _lastReady = item;
        }
        _waiters.Notify(PollEvents.Readable);
    }

    private EpollItem? LastReady
    {
        get
        {
            lock (_readyLock)
                return _lastReady;
        }
    }

    private EpollItem? TakeReady()
    {
        lock (_readyLock)
        {
            EpollItem? item = _firstReady;
            if (item is not null)
                Unlink(item);
            return item;
        }
    }

    private void PutBackFirst(EpollItem item)
    {
        lock (_readyLock)
        {
            if (item.IsReady)
                return;
            item.IsReady = true;
            item.PreviousReady = null;
            item.NextReady = _firstReady;
            if (_firstReady is null)
                _lastReady = item;
            else
                _firstReady.PreviousReady = item;
            _firstReady = item;
        }
    }

    private void Unlink(EpollItem item)
    {
        if (!item.IsReady)
            return;
        item.IsReady = false;
        if (item.PreviousReady is null)
            _firstReady = item.NextReady;
        else
            item.PreviousReady.NextReady = item.NextReady;
        if (item.NextReady is null)
            _lastReady = item.PreviousReady;
        else
            item.NextReady.PreviousReady = item.PreviousReady;
        item.NextReady = item.PreviousReady = null;
    }

    /// <summary>One entry of the interest list.</summary>
    internal sealed class EpollItem : WaitEntry, IFileWatcher
    {
        private readonly EpollFile _owner;

        public EpollItem(EpollFile owner, OpenFile file, int descriptor)
        {
            _owner = owner;
            File = file;
            Descriptor = descriptor;
            Watch = new LinkedListNode<IFileWatcher>(this);
        }

        /// <summary>What an entry is charged to the sandbox's budget.</summary>
        public const int Cost = 256;

        /// <summary>Not a counted reference: a watched file can be closed, and then leaves the list.</summary>
        public OpenFile File { get; }

        public int Descriptor { get; }

        /// <summary>This entry's place among those who hear that the file was closed.</summary>
        public LinkedListNode<IFileWatcher> Watch { get; }

        public uint Events { get; private set; }

        public ulong Data { get; private set; }

        public bool IsReady;
        public EpollItem? NextReady;
        public EpollItem? PreviousReady;

        public void Set(in epoll_event wanted)
        {
            Events = wanted.events;
            Data = wanted.data;
            Interest = (PollEvents)(wanted.events & ~PrivateBits) | PollEvents.Error | PollEvents.HangUp;
        }

        /// <summary>EPOLLONESHOT has fired: nothing is reported until EPOLL_CTL_MOD.</summary>
        public void Disable() => Interest = PollEvents.None;

        public override void Notify(PollEvents events) => _owner.MakeReady(this);

        public void OnFileClosed() => _owner.OnFileClosed(this);
    }
}
