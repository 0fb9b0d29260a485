using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>An inotify(7) instance: events of watched files, to read in order.</summary>
/// <param name="memory">Charged <see cref="KernelMemory.ObjectCost"/> by the creator; given back at the end.</param>
public sealed class InotifyFile(KernelMemory memory, AnonymousInode inode, FileWatches watches, int flags)
    : OpenFile(O_RDONLY | (flags & IN_NONBLOCK))
{
    /// <summary>Then one IN_Q_OVERFLOW stands for what is lost: /proc/sys/fs/inotify/max_queued_events.</summary>
    public const int MaximumQueuedEvents = 16384;

    /// <summary>What an event is charged beside its name: its managed size, rounded up.</summary>
    private const int EventCost = 96;

    /// <summary>sizeof(struct inotify_event).</summary>
    private const int HeadBytes = 16;

    private readonly Lock _lock = new();
    private readonly Queue<Event> _events = new();
    private readonly WaitQueue _waiters = new();
    private Event _last;
    private bool _hasOverflowed;
    private int _lastWatch;

    private readonly record struct Event(int Watch, uint Mask, uint Cookie, byte[] Name)
    {
        /// <summary>Names are padded with NULs to whole heads; an event without a name has none.</summary>
        public int NameBytes => Name.Length == 0 ? 0 : (Name.Length + HeadBytes) / HeadBytes * HeadBytes;

        public int Size => HeadBytes + NameBytes;

        public bool Says(int watch, uint mask, ReadOnlySpan<byte> name) =>
            Watch == watch && Mask == mask && name.SequenceEqual(Name);
    }

    /// <summary>By descriptor; guarded by <see cref="FileWatches"/>' lock.</summary>
    internal Dictionary<int, FileWatch> Watches { get; } = [];

    /// <summary>The tree whose files it watches.</summary>
    internal FileWatches Tree => watches;

    public override string DisplayName => "anon_inode:inotify";

    public override bool IsMessageBased => true;

    public override WaitQueue? Waiters => _waiters;

    /// <summary>
    /// Under <see cref="FileWatches"/>' lock. Null when the guest's memory for kernel objects is used up.
    /// </summary>
    internal FileWatch? TryAddWatch(FileIdentity file, uint mask)
    {
        if (!memory.TryReserve(KernelMemory.ObjectCost))
            return null;
        FileWatch watch = new(this, ++_lastWatch, file, mask);
        Watches.Add(watch.Descriptor, watch);
        return watch;
    }

    /// <summary>Under <see cref="FileWatches"/>' lock.</summary>
    internal void RemoveWatch(FileWatch watch)
    {
        Watches.Remove(watch.Descriptor);
        memory.Release(KernelMemory.ObjectCost);
    }

    /// <summary>Puts an event behind the others, unless it says what the last one says.</summary>
    internal void Enqueue(int watch, uint mask, uint cookie, ReadOnlySpan<byte> name)
    {
        lock (_lock)
        {
            if (_events.Count > 0 && _last.Says(watch, mask, name))
                return;
            if (_events.Count < MaximumQueuedEvents && memory.TryReserve(EventCost + name.Length))
                _last = new(watch, mask, cookie, name.ToArray());
            else if (!_hasOverflowed)
                _last = new(-1, IN_Q_OVERFLOW, 0, []);
            else
                return;
            _hasOverflowed |= _last.Watch < 0;
            _events.Enqueue(_last);
        }
        _waiters.Notify(PollEvents.Readable);
    }

    /// <summary>As many whole events as fit. -EINVAL when not even the first does.</summary>
    public override long Read(Span<byte> buffer)
    {
        lock (_lock)
        {
            if (_events.Count == 0)
                return -EAGAIN;
            int count = 0;
            while (_events.TryPeek(out Event next) && next.Size <= buffer.Length - count)
            {
                Span<byte> record = buffer.Slice(count, next.Size);
                record.Clear();
                inotify_event head = new()
                {
                    wd = next.Watch, mask = next.Mask, cookie = next.Cookie, len = (uint)next.NameBytes,
                };
                MemoryMarshal.Write(record, head);
                next.Name.CopyTo(record[HeadBytes..]);
                count += next.Size;
                Take();
            }
            return count > 0 ? count : -EINVAL;
        }
    }

    // Under the lock.
    private void Take()
    {
        Event taken = _events.Dequeue();
        if (taken.Watch < 0)
            _hasOverflowed = false;
        else
            memory.Release(EventCost + taken.Name.Length);
    }

    // It has a position that never moves, as all files of this kind on Linux.
    public override long Seek(long offset, int whence) => 0;

    public override PollEvents Poll()
    {
        lock (_lock)
            return _events.Count > 0 ? PollEvents.Readable : PollEvents.None;
    }

    public override long Ioctl(GuestThread thread, uint request, ulong argument)
    {
        if (request != FIONREAD)
            return base.Ioctl(thread, request, argument);
        int bytes = 0;
        lock (_lock)
            foreach (Event waiting in _events)
                bytes += waiting.Size;
        return thread.Memory.TryWrite(new VirtualAddress(argument), bytes) ? 0 : -EFAULT;
    }

    public override long GetStatus(out stat status)
    {
        status = inode.Status(0x180, 4096);
        return 0;
    }

    protected override void Close()
    {
        watches.RemoveAll(this);
        memory.Release(Watches.Count * (long)KernelMemory.ObjectCost);
        while (_events.Count > 0)
            Take();
        memory.Release(KernelMemory.ObjectCost);
    }
}
