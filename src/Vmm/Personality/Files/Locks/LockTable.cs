using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// Advisory locks of all files: record locks (fcntl_locking(2): POSIX locks belong to a process, OFD locks to an
/// open file description) and whole-file locks (flock(2)). They hold among guest processes; the host does not see
/// them. Record locks are bounded.
/// </summary>
public sealed class LockTable(int maximumRecords = 65536)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<FileIdentity, FileLocks> _files = [];
    private readonly Dictionary<object, object> _waitsFor = [];
    private int _records;

    /// <summary>A lock on bytes First to Last, inclusive; long.MaxValue as Last is "to the end, however far".</summary>
    public readonly record struct RecordLock(object Owner, int Pid, bool Exclusive, long First, long Last)
    {
        internal bool Overlaps(long first, long last) => First <= last && first <= Last;
    }

    private sealed class FileLocks
    {
        public List<RecordLock> Records { get; } = [];

        public List<(object Owner, bool Exclusive)> Whole { get; } = [];

        public WaitQueue Waiters { get; } = new();

        public int Users { get; set; }
    }

    /// <summary>No lock of any kind exists: closing a file needs no look.</summary>
    public bool IsEmpty => Volatile.Read(ref _count) == 0;

    private int _count;

    /// <summary>
    /// Sets, changes or (with <paramref name="exclusive"/> null) removes a record lock.
    /// </summary>
    /// <returns>0, -EAGAIN when another owner's lock is in the way, -ENOLCK at the bound.</returns>
    public long SetRecord(FileIdentity file, object owner, int pid, bool? exclusive, long first, long last)
    {
        WaitQueue? woken;
        lock (_lock)
        {
            if (!_files.TryGetValue(file, out FileLocks? locks))
            {
                if (exclusive is null)
                    return 0;
                _files.Add(file, locks = new());
            }
            if (exclusive is { } wanted && Conflict(locks, owner, wanted, first, last) is not null)
                return -EAGAIN;
            // Cutting a hole into one lock makes two of it, and the new one is a third.
            if (_records + 2 > maximumRecords && exclusive is not null)
            {
                DropIfUnused(file, locks);
                return -ENOLCK;
            }
            Cut(locks, owner, first, last);
            if (exclusive is { } kind)
                Add(locks, new RecordLock(owner, pid, kind, first, last));
            woken = locks.Waiters;
            DropIfUnused(file, locks);
        }
        woken.Notify(PollEvents.All);
        return 0;
    }

    /// <summary>F_GETLK: the first lock in the way, or null.</summary>
    public RecordLock? FindConflict(FileIdentity file, object owner, bool exclusive, long first, long last)
    {
        lock (_lock)
            return _files.TryGetValue(file, out FileLocks? locks) ? Conflict(locks, owner, exclusive, first, last) : null;
    }

    /// <summary>flock(2); with <paramref name="exclusive"/> null it unlocks.</summary>
    /// <returns>0 or -EAGAIN. A conversion that has to wait has lost the old lock, as on Linux.</returns>
    public long SetWhole(FileIdentity file, object owner, bool? exclusive)
    {
        WaitQueue? woken = null;
        long result = 0;
        lock (_lock)
        {
            if (!_files.TryGetValue(file, out FileLocks? locks))
            {
                if (exclusive is null)
                    return 0;
                _files.Add(file, locks = new());
            }
            int mine = locks.Whole.FindIndex(held => held.Owner == owner);
            if (mine >= 0 && locks.Whole[mine].Exclusive == exclusive)
                return 0;
            if (mine >= 0)
            {
                locks.Whole.RemoveAt(mine);
                _count--;
                woken = locks.Waiters;
            }
            if (exclusive is { } wanted)
            {
                if (locks.Whole.Exists(held => held.Exclusive || wanted))
                {
                    result = -EAGAIN;
                }
                else
                {
                    locks.Whole.Add((owner, wanted));
                    _count++;
                }
            }
            DropIfUnused(file, locks);
        }
        woken?.Notify(PollEvents.All);
        return result;
    }

    /// <summary>Everything that an owner holds on a file, of both kinds.</summary>
    public void Release(FileIdentity file, object owner)
    {
        if (IsEmpty)
            return;
        WaitQueue? woken;
        lock (_lock)
        {
            if (!_files.TryGetValue(file, out FileLocks? locks))
                return;
            int removed = locks.Records.RemoveAll(held => held.Owner == owner);
            _records -= removed;
            int whole = locks.Whole.RemoveAll(held => held.Owner == owner);
            _count -= removed + whole;
            if (removed + whole == 0)
                return;
            woken = locks.Waiters;
            DropIfUnused(file, locks);
        }
        woken.Notify(PollEvents.All);
    }

    /// <summary>
    /// Joins the waiters of a file. For a record lock, -EDEADLK when the holder waits for this owner already.
    /// Pair with <see cref="EndWait"/> when 0.
    /// </summary>
    public long BeginWait(FileIdentity file, WaitEntry entry)
    {
        lock (_lock)
        {
            if (!_files.TryGetValue(file, out FileLocks? locks))
                _files.Add(file, locks = new());
            locks.Users++;
            locks.Waiters.Add(entry);
            return 0;
        }
    }

    public void EndWait(FileIdentity file, WaitEntry entry)
    {
        lock (_lock)
        {
            FileLocks locks = _files[file];
            locks.Waiters.Remove(entry);
            locks.Users--;
            DropIfUnused(file, locks);
        }
    }

    /// <summary>Notes whom an owner is about to wait for; -EDEADLK when that closes a circle.</summary>
    public long NoteWait(FileIdentity file, object owner, bool exclusive, long first, long last)
    {
        lock (_lock)
        {
            if (!_files.TryGetValue(file, out FileLocks? locks)
                || Conflict(locks, owner, exclusive, first, last) is not { } conflict)
            {
                _waitsFor.Remove(owner);
                return 0;
            }
            object? next = conflict.Owner;
            for (int steps = 0; next is not null && steps <= _waitsFor.Count; steps++)
            {
                if (next == owner)
                    return -EDEADLK;
                _waitsFor.TryGetValue(next, out next);
            }
            _waitsFor[owner] = conflict.Owner;
            return 0;
        }
    }

    public void EndNote(object owner)
    {
        lock (_lock)
            _waitsFor.Remove(owner);
    }

    private static RecordLock? Conflict(FileLocks locks, object owner, bool exclusive, long first, long last)
    {
        foreach (RecordLock held in locks.Records)
        {
            if (held.Owner != owner && (held.Exclusive || exclusive) && held.Overlaps(first, last))
                return held;
        }
        return null;
    }

    private void Cut(FileLocks locks, object owner, long first, long last)
    {
        for (int i = locks.Records.Count - 1; i >= 0; i--)
        {
            RecordLock held = locks.Records[i];
            if (held.Owner != owner || !held.Overlaps(first, last))
                continue;
            Remove(locks, i);
            if (held.First < first)
                Append(locks, held with { Last = first - 1 });
            if (held.Last > last)
                Append(locks, held with { First = last + 1 });
        }
    }

    /// <summary>Adds a lock, joined with the owner's neighbours of the same kind, so that walking a file keeps one.</summary>
    private void Add(FileLocks locks, RecordLock added)
    {
        for (int i = locks.Records.Count - 1; i >= 0; i--)
        {
            RecordLock held = locks.Records[i];
            if (held.Owner != added.Owner || held.Exclusive != added.Exclusive)
                continue;
            if (held.Last != long.MaxValue && held.Last + 1 == added.First)
                added = added with { First = held.First };
            else if (added.Last != long.MaxValue && added.Last + 1 == held.First)
                added = added with { Last = held.Last };
            else
                continue;
            Remove(locks, i);
        }
        Append(locks, added);
    }

    private void Append(FileLocks locks, RecordLock added)
    {
        locks.Records.Add(added);
        _records++;
        _count++;
    }

    private void Remove(FileLocks locks, int index)
    {
        locks.Records.RemoveAt(index);
        _records--;
        _count--;
    }

    private void DropIfUnused(FileIdentity file, FileLocks locks)
    {
        if (locks.Records.Count == 0 && locks.Whole.Count == 0 && locks.Users == 0)
            _files.Remove(file);
    }
}
