using System.Collections.Concurrent;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Audit;

/// <summary>
/// Writes events to a log on a thread of its own, many at a time, and does what the policy says when they come faster
/// than they can be written, or cannot be written.
/// </summary>
/// <param name="stop">
/// Ends the guest because of a log that cannot be written; from any thread, perhaps more than once.
/// </param>
sealed class AuditWriter(IAuditLog log, WhenFull whenFull, Func<long, AuditEvent> droppedEvent, Action stop)
    : IDisposable
{
    /// <summary>Events that wait at most.</summary>
    public const int Capacity = 8192;

    /// <summary>As many as one request of the guest's can cause, with something to spare.</summary>
    const int Room = 64;

    /// <summary>Events that are written at once at most.</summary>
    const int MaximumBatch = 512;

    const int RetryMilliseconds = 50;

    readonly BlockingCollection<AuditEvent> _waiting = new(Capacity);
    Thread? _thread;
    long _dropped;
    volatile bool _givesUp;
    volatile string? _failure;

    /// <summary>Why the log cannot be written; null while it can.</summary>
    public string? Failure => _failure;

    /// <summary>How many events were dropped in all.</summary>
    public long Dropped { get; private set; }

    public void Start()
    {
        _thread = new Thread(Run, 256 << 10) { IsBackground = true, Name = "audit log" };
        _thread.Start();
    }

    /// <summary>Adds an event, waiting while there is no room.</summary>
    public void Add(AuditEvent line) => _waiting.Add(line);

    /// <summary>False while whoever can wait with what he would record should do so.</summary>
    public bool HasRoom => whenFull != WhenFull.Block || _waiting.Count <= Capacity - Room;

    /// <summary>Adds an event without waiting, or does what the policy says when there is no room.</summary>
    /// <returns>False when what it tells of must not take effect: never, or not now.</returns>
    public bool Offer(AuditEvent line)
    {
        if (Failure is not null && whenFull != WhenFull.Drop)
            return false;
        if (!_waiting.TryAdd(line))
        {
            if (whenFull == WhenFull.Block)
                return false;
            if (whenFull == WhenFull.Stop)
            {
                _failure ??= "records came faster than they could be written";
                stop();
                return false;
            }

            Interlocked.Increment(ref _dropped);
        }

        return true;
    }

    /// <summary>From now on a full disk is a failure: the guest has ended.</summary>
    public void GiveUpWhenFull() => _givesUp = true;

    /// <summary>Writes what waits, and ends.</summary>
    public void Close()
    {
        _waiting.CompleteAdding();
        _thread?.Join();
        if (Interlocked.Exchange(ref _dropped, 0) is > 0 and var rest && Failure is null)
        {
            Dropped += rest;
            TryWrite([droppedEvent(rest)]);
        }
    }

    public void Dispose() => _waiting.Dispose();

    void Run()
    {
        var batch = new List<AuditEvent>();
        foreach (AuditEvent first in _waiting.GetConsumingEnumerable())
        {
            batch.Clear();
            batch.Add(first);
            while (batch.Count < MaximumBatch && _waiting.TryTake(out AuditEvent? next))
                batch.Add(next);
            WriteBatch(batch);
        }
    }

    void WriteBatch(List<AuditEvent> batch)
    {
        // After a failure the rest is taken and left, so that nobody waits for room for ever.
        if (Failure is not null)
            return;
        long dropped = Interlocked.Exchange(ref _dropped, 0);
        if (dropped > 0)
            batch.Insert(0, droppedEvent(dropped));
        if (TryWrite(batch))
            Dropped += dropped;
        else
            Interlocked.Add(ref _dropped, dropped + batch.Count - (dropped > 0 ? 1 : 0));
    }

    /// <returns>False when the events are to be dropped, or are lost with the log.</returns>
    bool TryWrite(List<AuditEvent> batch)
    {
        while (true)
        {
            try
            {
                log.Append(batch);
                return true;
            }
            catch (HostException full) when (full.Errno is ENOSPC or EDQUOT && whenFull != WhenFull.Stop && !_givesUp)
            {
                if (whenFull == WhenFull.Drop)
                    return false;
                Thread.Sleep(RetryMilliseconds);
            }
            catch (Exception failure) when (failure is HostException or UsageException)
            {
                _failure = failure.Message;
                stop();
                return false;
            }
        }
    }
}
