using Sandbox.Vmm.Personality.Waiting;

namespace Sandbox.Vmm.Personality.Time;

/// <summary>Hears that a timer is due. Runs on the timer thread, outside its lock: be brief, never park.</summary>
public interface ITimerCallback
{
    void OnTimer();
}

/// <summary>One scheduled call. The default value is none.</summary>
public readonly struct TimerHandle(int slot, uint generation)
{
    internal readonly int Slot = slot;
    internal readonly uint Generation = generation;

    public bool IsNone => Generation == 0;
}

/// <summary>
/// Calls back at points of CLOCK_MONOTONIC. One host thread and a heap serve every timer of the guest: sleepers with
/// callbacks, timerfd, interval and POSIX timers, limits.
/// </summary>
public sealed class TimerQueue(GuestClock clock)
{
    /// <summary>Timers scheduled at once; more than any sane guest has, and about 20 MiB when hostile.</summary>
    public const int Capacity = 1 << 19;

    private readonly Lock _lock = new();
    private readonly Parker _parker = new();
    private readonly GuestClock _clock = clock;
    private Slot[] _slots = new Slot[64];
    private int[] _heap = new int[64];
    private int _count;
    private int _slotsUsed;
    private int _freeSlot = -1;
    private uint _nextGeneration = 1;
    private long _sleepingUntil;
    private bool _isDeferred;
    private bool _started;
    private volatile bool _stopping;

    private struct Slot
    {
        public long Deadline;
        public ITimerCallback? Callback;
        public uint Generation;
        /// <summary>Place in the heap, or the next free slot.</summary>
        public int Link;
    }

    public int Count
    {
        get
        {
            lock (_lock)
                return _count;
        }
    }

    /// <summary>Calls back once at a deadline, at once when it has passed.</summary>
    /// <param name="monotonicDeadline">Nanoseconds; <see cref="long.MaxValue"/> is never and takes no place.</param>
    /// <returns>None when <see cref="Capacity"/> is reached (answer ENOMEM) or the deadline is never.</returns>
    public TimerHandle Schedule(long monotonicDeadline, ITimerCallback callback)
    {
        if (monotonicDeadline == long.MaxValue)
            return default;
        bool wake;
        TimerHandle handle;
        lock (_lock)
        {
            if (_count == Capacity)
                return default;
            int slot = TakeSlot();
            uint generation = _nextGeneration++;
            if (_nextGeneration == 0)
                _nextGeneration = 1;
            if (_count == _heap.Length)
                Array.Resize(ref _heap, _count * 2);
            _slots[slot] = new Slot
            {
                Deadline = monotonicDeadline, Callback = callback, Generation = generation, Link = _count,
            };
            _heap[_count++] = slot;
            SiftUp(_count - 1);
            handle = new(slot, generation);
            StartLocked();
            wake = monotonicDeadline < _sleepingUntil;
        }
        if (wake)
            _parker.Unpark();
        return handle;
    }

    /// <summary>The timer thread, which else comes with the first timer, waits for <see cref="Start"/>.</summary>
    public void Defer() => _isDeferred = true;

    /// <summary>Starts the timer thread.</summary>
    public void Start()
    {
        lock (_lock)
        {
            _isDeferred = false;
            StartLocked();
        }
    }

    private void StartLocked()
    {
        if (_started || _isDeferred)
            return;
        _started = true;
        ThreadFilter.Start("timers", ThreadRole.Timers, 256 << 10, Loop);
    }

    /// <summary>
    /// Takes a timer back. False when it is not scheduled any more; its callback may then still be running.
    /// </summary>
    public bool Cancel(TimerHandle handle)
    {
        if (handle.IsNone)
            return false;
        lock (_lock)
        {
            if (handle.Slot >= _slotsUsed || _slots[handle.Slot].Generation != handle.Generation)
                return false;
            RemoveAt(_slots[handle.Slot].Link);
            return true;
        }
    }

    /// <summary>Ends the timer thread; nothing scheduled is called any more. For VMMs that outlive a guest.</summary>
    public void Stop()
    {
        _stopping = true;
        _parker.Unpark();
    }

    private void Loop()
    {
        while (!_stopping)
        {
            ITimerCallback? due = null;
            long deadline = Parker.Forever;
            lock (_lock)
            {
                _sleepingUntil = 0;
                if (_count > 0)
                {
                    ref Slot first = ref _slots[_heap[0]];
                    if (first.Deadline <= _clock.Monotonic)
                    {
                        due = first.Callback;
                        RemoveAt(0);
                    }
                    else
                    {
                        deadline = first.Deadline;
                    }
                }
                if (due is null)
                    _sleepingUntil = deadline;
            }
            if (due is not null)
                due.OnTimer();
            else
                _parker.Park(deadline);
        }
    }

    private int TakeSlot()
    {
        if (_freeSlot >= 0)
        {
            int slot = _freeSlot;
            _freeSlot = _slots[slot].Link;
            return slot;
        }
        if (_slotsUsed == _slots.Length)
            Array.Resize(ref _slots, _slotsUsed * 2);
        return _slotsUsed++;
    }

    private void RemoveAt(int position)
    {
        int slot = _heap[position];
        int last = _heap[--_count];
        if (position < _count)
        {
            Place(last, position);
            SiftUp(position);
            SiftDown(_slots[last].Link);
        }
        _slots[slot] = new Slot { Link = _freeSlot };
        _freeSlot = slot;
    }

    private void SiftUp(int position)
    {
        int slot = _heap[position];
        while (position > 0)
        {
            int above = (position - 1) / 2;
            if (_slots[_heap[above]].Deadline <= _slots[slot].Deadline)
                break;
            Place(_heap[above], position);
            position = above;
        }
        Place(slot, position);
    }

    private void SiftDown(int position)
    {
        int slot = _heap[position];
        while (true)
        {
            int below = position * 2 + 1;
            if (below >= _count)
                break;
            if (below + 1 < _count && _slots[_heap[below + 1]].Deadline < _slots[_heap[below]].Deadline)
                below++;
            if (_slots[_heap[below]].Deadline >= _slots[slot].Deadline)
                break;
            Place(_heap[below], position);
            position = below;
        }
        Place(slot, position);
    }

    private void Place(int slot, int position)
    {
        _heap[position] = slot;
        _slots[slot].Link = position;
    }
}
