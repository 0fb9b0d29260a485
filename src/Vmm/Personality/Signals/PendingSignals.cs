using Sandbox.Host;

namespace Sandbox.Vmm.Personality.Signals;

/// <summary>Hears that a signal which it sent was taken, and may complete its siginfo_t. Runs under TaskLock.</summary>
public interface ISignalSource
{
    void OnDequeued(ref siginfo_t info);
}

/// <summary>One queued signal.</summary>
public sealed class QueuedSignal
{
    public siginfo_t Info;
    internal QueuedSignal? Next;

    /// <summary>Set for nodes that belong to a timer: they return to it, not to the pool.</summary>
    public ISignalSource? Source;

    /// <summary>In a pending queue right now.</summary>
    public bool IsQueued;
}

/// <summary>
/// The queued signals of the whole guest, recycled: sending allocates nothing once the guest has warmed up.
/// Guarded by TaskLock.
/// </summary>
public sealed class QueuedSignalPool(int capacity)
{
    private QueuedSignal? _free;

    /// <summary>Signals with a siginfo_t that may wait at once in the guest: RLIMIT_SIGPENDING's hard limit.</summary>
    public int Capacity { get; } = capacity;

    public int InUse { get; private set; }

    /// <summary>Accounts for a node that somebody keeps for itself: a POSIX timer's.</summary>
    public bool TryReserve(int limit)
    {
        if (InUse >= Math.Min(limit, Capacity))
            return false;
        InUse++;
        return true;
    }

    public void Unreserve() => InUse--;

    public QueuedSignal? Rent(int limit)
    {
        if (!TryReserve(limit))
            return null;
        QueuedSignal? node = _free;
        if (node is null)
            return new QueuedSignal();
        _free = node.Next;
        node.Next = null;
        return node;
    }

    public void Return(QueuedSignal node)
    {
        InUse--;
        node.Info = default;
        node.Next = _free;
        _free = node;
    }
}

/// <summary>Signals sent to a thread or a process and not yet taken (struct sigpending). Guarded by TaskLock.</summary>
public sealed class PendingSignals(QueuedSignalPool pool)
{
    private QueuedSignal? _first;
    private QueuedSignal? _last;

    /// <summary>Which signals are pending. A bit may be set without a queue entry: its siginfo_t was dropped.</summary>
    public ulong Set { get; private set; }

    public void Enqueue(QueuedSignal node)
    {
        node.Next = null;
        node.IsQueued = true;
        if (_last is null)
            _first = node;
        else
            _last.Next = node;
        _last = node;
        Set |= SignalSet.Of(node.Info.si_signo);
    }

    /// <summary>Pending without information, as when the queue is full.</summary>
    public void EnqueueBare(int signal) => Set |= SignalSet.Of(signal);

    /// <summary>Takes the first of <paramref name="allowed"/>; its number, or 0.</summary>
    public int Dequeue(ulong allowed, out siginfo_t info)
    {
        int signal = SignalSet.First(Set & allowed);
        if (signal == 0)
        {
            info = default;
            return 0;
        }
        Take(signal, out info);
        return signal;
    }

    private void Take(int signal, out siginfo_t info)
    {
        QueuedSignal? found = null, foundPrevious = null, previous = null;
        bool more = false;
        for (QueuedSignal? node = _first; node is not null; previous = node, node = node.Next)
        {
            if (node.Info.si_signo != signal)
                continue;
            if (found is not null)
            {
                more = true;
                break;
            }
            found = node;
            foundPrevious = previous;
        }
        if (!more)
            Set &= ~SignalSet.Of(signal);
        if (found is null)
        {
            info = SignalInfo.User(signal, 0, 0);
            return;
        }
        info = found.Info;
        Unlink(found, foundPrevious);
        if (found.Source is { } source)
            source.OnDequeued(ref info);
        else
            pool.Return(found);
    }

    /// <summary>Forgets what is pending of a set of signals.</summary>
    public void Discard(ulong set)
    {
        if ((Set & set) == 0)
            return;
        Set &= ~set;
        QueuedSignal? previous = null;
        for (QueuedSignal? node = _first; node is not null;)
        {
            QueuedSignal? next = node.Next;
            if (SignalSet.Contains(set, node.Info.si_signo))
            {
                Unlink(node, previous);
                if (node.Source is null)
                    pool.Return(node);
            }
            else
            {
                previous = node;
            }
            node = next;
        }
    }

    /// <summary>Takes one certain node out, as when its timer is deleted.</summary>
    public void Remove(QueuedSignal node)
    {
        bool others = false;
        QueuedSignal? previous = null, nodePrevious = null;
        bool found = false;
        for (QueuedSignal? at = _first; at is not null; previous = at, at = at.Next)
        {
            if (at == node)
            {
                found = true;
                nodePrevious = previous;
            }
            else if (at.Info.si_signo == node.Info.si_signo)
            {
                others = true;
            }
        }
        if (!found)
            return;
        Unlink(node, nodePrevious);
        if (!others)
            Set &= ~SignalSet.Of(node.Info.si_signo);
    }

    private void Unlink(QueuedSignal node, QueuedSignal? previous)
    {
        if (previous is null)
            _first = node.Next;
        else
            previous.Next = node.Next;
        if (_last == node)
            _last = previous;
        node.Next = null;
        node.IsQueued = false;
    }
}
