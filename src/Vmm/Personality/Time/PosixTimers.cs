using Sandbox.Host;
using Sandbox.Vmm.Personality.Signals;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Time;

/// <summary>A process's timers of timer_create(2). Not inherited by fork, deleted by execve. Guarded by TaskLock.</summary>
sealed class PosixTimers(Process process)
{
    private PosixTimer?[] _timers = [];

    private LinuxPersonality Personality => process.Personality;

    /// <summary>The timer's id, or -EAGAIN.</summary>
    public int Add(PosixTimer timer)
    {
        lock (Personality.TaskLock)
        {
            // Each holds a queued signal ready, which counts as one.
            ulong limit = process.Limits.Soft(RLIMIT_SIGPENDING);
            if (!Personality.QueuedSignals.TryReserve((int)Math.Min(limit, int.MaxValue)))
                return -EAGAIN;
            int id = Array.IndexOf(_timers, null);
            if (id < 0)
            {
                id = _timers.Length;
                Array.Resize(ref _timers, Math.Max(4, id * 2));
            }
            timer.Id = id;
            _timers[id] = timer;
            return id;
        }
    }

    public PosixTimer? Find(int id)
    {
        lock (Personality.TaskLock)
            return (uint)id < (uint)_timers.Length ? _timers[id] : null;
    }

    public bool Remove(int id)
    {
        lock (Personality.TaskLock)
        {
            if (Find(id) is not { } timer)
                return false;
            timer.Delete();
            Personality.QueuedSignals.Unreserve();
            _timers[id] = null;
            return true;
        }
    }

    public void Clear()
    {
        lock (Personality.TaskLock)
        {
            for (int id = 0; id < _timers.Length; id++)
                Remove(id);
            _timers = [];
        }
    }
}

/// <summary>
/// One timer of timer_create(2). A periodic one starts its next period when its signal is taken, and then tells how
/// many periods were missed: timer_getoverrun(2).
/// </summary>
sealed class PosixTimer : ITimerCallback, ISignalSource
{
    /// <summary>While the signal is ignored nothing would start the next period; it comes this late at least.</summary>
    private const long IgnoredPeriod = 10_000_000;

    /// <summary>CPU clocks cannot be waited for: how often they are looked at.</summary>
    private const long CpuClockStep = 10_000_000;

    private readonly Process _process;
    private readonly QueuedSignal _signal;
    private readonly int _clock;
    private readonly int _signalNumber;
    private readonly ulong _value;
    private readonly bool _valueIsId;
    private readonly GuestThread? _target;
    private readonly GuestThread? _measured;
    /// <summary>The timer's clock, or CLOCK_MONOTONIC for a relative deadline on CLOCK_REALTIME.</summary>
    private int _deadlineClock;
    private TimerHandle _handle;
    private long _deadline;
    private long _interval;
    private long _overrun;
    private bool _deleted;

    /// <param name="signal">0 for SIGEV_NONE.</param>
    /// <param name="target">SIGEV_THREAD_ID's thread, or null for the process.</param>
    /// <param name="valueIsId">The signal carries the timer's id, as when no sigevent was given.</param>
    /// <param name="measured">Whose CPU time CLOCK_THREAD_CPUTIME_ID is: the thread that made the timer.</param>
    public PosixTimer(
        Process process, int clock, int signal, ulong value, GuestThread? target, bool valueIsId,
        GuestThread? measured = null)
    {
        _process = process;
        _clock = _deadlineClock = clock;
        _signalNumber = signal;
        _value = value;
        _target = target;
        _valueIsId = valueIsId;
        _measured = measured;
        _signal = new() { Source = this };
    }

    public int Id { get; set; }

    public int Overrun => (int)Math.Min(Volatile.Read(ref _overrun), int.MaxValue);

    private LinuxPersonality Personality => _process.Personality;

    private bool IsCpuClock => !GuestClock.IsTimeOfDay(_clock);

    private long Now => !IsCpuClock ? Personality.Clock.Read(_deadlineClock)
        : _measured?.CpuNanoseconds ?? _process.CpuNanoseconds;

    public (long Value, long Interval) Get()
    {
        lock (Personality.TaskLock)
        {
            if (_deadline == 0)
                return (0, _interval);
            long now = Now;
            long deadline = _deadline;
            if (deadline <= now && _interval > 0)
                deadline += ((now - deadline) / _interval + 1) * _interval;
            if (deadline <= now)
                return (_signalNumber == 0 ? 0 : 1, _interval);
            return (deadline - now, _interval);
        }
    }

    public (long Value, long Interval) Set(long value, long interval, bool absolute)
    {
        lock (Personality.TaskLock)
        {
            (long Value, long Interval) old = Get();
            Personality.Timers.Cancel(_handle);
            _handle = default;
            RemoveSignal();
            _overrun = 0;
            _interval = value == 0 ? 0 : interval;
            _deadline = 0;
            // As on Linux: a time from now is not moved by who sets the clock.
            _deadlineClock = _clock == CLOCK_REALTIME && !absolute ? CLOCK_MONOTONIC : _clock;
            if (value != 0)
                Arm(absolute ? value : GuestClock.SaturatingAdd(Now, value));
            return old;
        }
    }

    public void Delete()
    {
        Set(0, 0, false);
        _deleted = true;
    }

    private void RemoveSignal()
    {
        if (_signal.IsQueued)
            (_target is null ? _process.SharedPending : _target.Pending).Remove(_signal);
    }

    private void Arm(long deadline)
    {
        _deadline = Math.Max(deadline, 1);
        // The clock of a thread that has ended stands still.
        if (_signalNumber == 0 || _measured is { HasEnded: true })
            return;
        int cpus = _measured is null ? Environment.ProcessorCount : 1;
        long monotonic = IsCpuClock
            ? Personality.Clock.After(Math.Max((_deadline - Now) / cpus, CpuClockStep))
            : Personality.Clock.ToMonotonic(_deadlineClock, _deadline);
        _handle = Personality.Timers.Schedule(monotonic, this);
    }

    void ITimerCallback.OnTimer()
    {
        lock (Personality.TaskLock)
        {
            if (_deleted || _deadline == 0 || _signal.IsQueued)
                return;
            long now = Now;
            if (now < _deadline)
            {
                // Set anew meanwhile, or a clock that has not got there yet: one that counts CPU time or was set back.
                Personality.Timers.Cancel(_handle);
                Arm(_deadline);
                return;
            }
            if (_target is { HasEnded: true })
                return;
            _process.SendSignalLocked(
                _signalNumber, SignalInfo.Timer(_signalNumber, Id, _valueIsId ? (ulong)Id : _value), _target, _signal);
            if (_interval == 0)
                _deadline = 0;
            else if (!_signal.IsQueued && !_process.IsDead)
                Arm(GuestClock.SaturatingAdd(now, Math.Max(_interval, IgnoredPeriod)));
        }
    }

    void ISignalSource.OnDequeued(ref siginfo_t info)
    {
        _overrun = 0;
        if (_interval > 0 && _deadline != 0)
        {
            long missed = Math.Max(Now - _deadline, 0) / _interval;
            _overrun = missed;
            Arm(GuestClock.SaturatingAdd(_deadline, (missed + 1) * _interval));
        }
        info.si_overrun = Overrun;
    }
}
