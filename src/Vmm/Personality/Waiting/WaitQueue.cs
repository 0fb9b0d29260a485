namespace Sandbox.Vmm.Personality.Waiting;

/// <summary>
/// Those who want to hear when something changes: blocked threads, epoll items, pollers. Adding and removing
/// allocate nothing: an entry is owned by the waiter and linked in place.
/// </summary>
/// <remarks>
/// The queue's lock is a leaf: nothing is locked under it, and <see cref="WaitEntry.Notify"/> runs with it held, so
/// a notification may only set flags, unpark a thread or forward to another queue (epoll), never call a file.
/// </remarks>
public sealed class WaitQueue
{
    private readonly Lock _lock = new();
    private WaitEntry? _first;

    public bool IsEmpty => Volatile.Read(ref _first) is null;

    public void Add(WaitEntry entry)
    {
        lock (_lock)
        {
            if (entry.Queue is not null)
                throw new InvalidOperationException("a wait entry can be in one queue at a time");
            entry.Queue = this;
            entry.Previous = null;
            entry.Next = _first;
            if (_first is not null)
                _first.Previous = entry;
            Volatile.Write(ref _first, entry);
        }
    }

    /// <summary>Takes the entry out; after the return no notification of it is running. Harmless when absent.</summary>
    public void Remove(WaitEntry entry)
    {
        lock (_lock)
        {
            if (entry.Queue != this)
                return;
            if (entry.Previous is null)
                Volatile.Write(ref _first, entry.Next);
            else
                entry.Previous.Next = entry.Next;
            if (entry.Next is not null)
                entry.Next.Previous = entry.Previous;
            entry.Queue = null;
            entry.Previous = entry.Next = null;
        }
    }

    /// <summary>Tells every entry interested in <paramref name="events"/>. Call after the change is visible.</summary>
    public void Notify(PollEvents events)
    {
        if (IsEmpty)
            return;
        lock (_lock)
        {
            for (WaitEntry? entry = _first; entry is not null;)
            {
                WaitEntry? next = entry.Next;
                if ((entry.Interest & events) != 0)
                    entry.Notify(events);
                entry = next;
            }
        }
    }
}

/// <summary>One waiter's place in a <see cref="WaitQueue"/>.</summary>
public abstract class WaitEntry
{
    internal WaitQueue? Queue;
    internal WaitEntry? Next;
    internal WaitEntry? Previous;

    public PollEvents Interest { get; set; } = PollEvents.All;

    /// <summary>Leaves the queue that it is in, if any. Only its owner adds and removes it.</summary>
    public void Leave() => Queue?.Remove(this);

    /// <summary>Runs under the queue's lock; see <see cref="WaitQueue"/> for what it may do.</summary>
    public abstract void Notify(PollEvents events);
}

/// <summary>Wakes a parked thread.</summary>
public sealed class ThreadWaitEntry(Parker parker) : WaitEntry
{
    public override void Notify(PollEvents events) => parker.Unpark();
}
