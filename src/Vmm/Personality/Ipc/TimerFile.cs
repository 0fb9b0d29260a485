using System.Buffers.Binary;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Time;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// A timer to wait for: timerfd_create(2). TFD_TIMER_CANCEL_ON_SET is accepted; clocks are never set.
/// </summary>
/// <remarks>
/// As on Linux an interval timer fires once, and the expirations after that are counted when somebody reads: an
/// interval of a nanosecond costs the VMM nothing.
/// </remarks>
public sealed class TimerFile : OpenFile, ITimerCallback
{
    private readonly Lock _lock = new();
    private readonly WaitQueue _waiters = new();
    private readonly KernelMemory _memory;
    private readonly AnonymousInode _inode;
    private readonly TimerQueue _timers;
    private readonly GuestClock _time;
    private readonly int _clock;
    private TimerHandle _handle;
    private bool _armed;
    /// <summary>CLOCK_MONOTONIC nanoseconds of the next expiration that is not yet counted.</summary>
    private long _next;
    private long _interval;
    private ulong _expirations;

    /// <param name="memory">
    /// Charged <see cref="KernelMemory.ObjectCost"/> by the creator; given back at the end.
    /// </param>
    /// <param name="clock">CLOCK_REALTIME, CLOCK_MONOTONIC or CLOCK_BOOTTIME.</param>
    public TimerFile(
        KernelMemory memory, AnonymousInode inode, TimerQueue timers, GuestClock time, int clock, int flags)
        : base(O_RDWR | (flags & TFD_NONBLOCK))
    {
        _memory = memory;
        _inode = inode;
        _timers = timers;
        _time = time;
        _clock = clock;
    }

    public override string DisplayName => "anon_inode:[timerfd]";

    public override bool IsMessageBased => true;

    public override WaitQueue? Waiters => _waiters;

    /// <summary>timerfd_settime(2); times have been checked and are in nanoseconds.</summary>
    /// <param name="value">First expiration; 0 disarms.</param>
    /// <returns>0 or -ENOMEM (too many timers in the guest).</returns>
    public long Set(long value, long interval, bool absolute, out long oldValue, out long oldInterval)
    {
        lock (_lock)
        {
            (oldValue, oldInterval) = Remaining();
            _timers.Cancel(_handle);
            _handle = default;
            _armed = false;
            _expirations = 0;
            _interval = interval;
            if (value == 0)
                return 0;
            _next = absolute ? _time.ToMonotonic(_clock, value) : _time.After(value);
            return Arm() ? 0 : -ENOMEM;
        }
    }

    /// <summary>timerfd_gettime(2): nanoseconds to the next expiration (0: disarmed) and the interval.</summary>
    public (long Value, long Interval) Get()
    {
        lock (_lock)
            return Remaining();
    }

    private (long Value, long Interval) Remaining()
    {
        if (!_armed && _interval > 0 && _expirations > 0)
            CountMissed();
        // At least a nanosecond: 0 would say that it is disarmed.
        long left = _armed ? Math.Max(_next - _time.Monotonic, 1) : 0;
        return (left, _interval);
    }

    private bool Arm()
    {
        _armed = true;
        _handle = _timers.Schedule(_next, this);
        if (!_handle.IsNone || _next == long.MaxValue)
            return true;
        _armed = false;
        return false;
    }

    /// <summary>An interval timer has fired and waits to be read: adds what has expired since, and goes on.</summary>
    private void CountMissed()
    {
        long now = _time.Monotonic;
        if (now >= _next)
        {
            long missed = (now - _next) / _interval + 1;
            _expirations += (ulong)missed;
            _next = GuestClock.SaturatingAdd(_next, missed * _interval);
        }
        Arm();
    }

    public void OnTimer()
    {
        lock (_lock)
        {
            // A callback of an earlier setting may come late.
            if (!_armed || _time.Monotonic < _next)
                return;
            _armed = false;
            _expirations++;
            if (_interval > 0)
                _next = GuestClock.SaturatingAdd(_next, _interval);
        }
        _waiters.Notify(PollEvents.Readable);
    }

    public override long Read(Span<byte> buffer)
    {
        if (buffer.Length < sizeof(ulong))
            return -EINVAL;
        lock (_lock)
        {
            if (_expirations == 0)
                return -EAGAIN;
            if (!_armed && _interval > 0)
                CountMissed();
            BinaryPrimitives.WriteUInt64LittleEndian(buffer, _expirations);
            _expirations = 0;
            return sizeof(ulong);
        }
    }

    public override PollEvents Poll()
    {
        lock (_lock)
            return _expirations > 0 ? PollEvents.Readable : PollEvents.None;
    }

    public override long GetStatus(out stat status)
    {
        status = _inode.Status(0x180, 4096);
        return 0;
    }

    protected override void Close()
    {
        lock (_lock)
        {
            _armed = false;
            _timers.Cancel(_handle);
        }
        _memory.Release(KernelMemory.ObjectCost);
    }
}
