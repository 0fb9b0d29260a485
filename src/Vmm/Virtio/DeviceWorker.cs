using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Virtio;

/// <summary>
/// One thread of a device. It waits for notifications of queues, for host descriptors and for a deadline, and serves
/// while it is not suspended. Suspending waits for what is being served: afterwards no queue is touched.
/// </summary>
public sealed unsafe class DeviceWorker : IDisposable
{
    /// <summary>Handlers are shallow; the largest thing on the stack is a vector of buffers.</summary>
    private const int StackBytes = 256 << 10;

    private const ulong StopToken = ulong.MaxValue;
    private const ulong SourceToken = 1UL << 32;

    /// <summary>Looked at in one turn. What is left waits for the next.</summary>
    private const int Batch = 16;

    private readonly VirtioDevice _device;
    private readonly int[] _queues;
    private readonly Lock _gate = new();
    private readonly FileDescriptor _epoll;
    private readonly FileDescriptor _wakeUp;
    private WorkThread? _thread;
    private int _suspended = 1;
    private int _suspending;
    private volatile bool _resumed;
    private volatile bool _stopping;
    private long _deadline = long.MaxValue;

    /// <summary>Null where others would wait while it looks at one queue.</summary>
    private readonly PollWindow? _window;

    internal DeviceWorker(VirtioDevice device, params ReadOnlySpan<int> queues)
    {
        _device = device;
        _queues = queues.ToArray();
        _window = queues.Length == 1 ? new PollWindow() : null;
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        if (epoll < 0)
            throw HostException.Last("epoll_create1");
        _epoll = new FileDescriptor(epoll);
        _wakeUp = VirtioDevice.CreateEvent();
        Register(_wakeUp, StopToken, EPOLLIN);
        foreach (int queue in queues)
            Register(device.NotifyFile(queue), (ulong)queue, EPOLLIN);
    }

    /// <summary>
    /// Somebody waits for the device to stop: whoever serves returns after the request at hand.
    /// </summary>
    internal bool MustYield => Volatile.Read(ref _suspending) != 0;

    /// <summary>Whether something comes in a moment: what has just been served may be followed by more.</summary>
    internal bool LookFor(int queue) => _window?.Look(_device, queue, this) == true;

    /// <summary>
    /// Waits for a host descriptor too, until it is closed; only changes are told (EPOLLET). Not for regular files. Where
    /// another process has it open as well, one more change may be told after that.
    /// </summary>
    /// <param name="source">What the device calls it: not negative.</param>
    /// <param name="events">EPOLLIN, EPOLLOUT.</param>
    /// <exception cref="HostException">epoll_ctl failed.</exception>
    internal void Add(int source, FileDescriptor file, int events) =>
        Register(file, SourceToken + (uint)source, events | unchecked((int)EPOLLET));

    /// <summary>Looks at all queues when the time has come; the earliest counts. For the worker's own thread.</summary>
    /// <param name="nanoseconds">Of the monotonic clock.</param>
    internal void WakeAt(long nanoseconds) => _deadline = Math.Min(_deadline, nanoseconds);

    /// <summary>Starts the thread.</summary>
    /// <exception cref="HostException">The host gives no more threads.</exception>
    internal void Start(string name) => _thread = ThreadFilter.Start(name, ThreadRole.Device, StackBytes, Run);

    /// <summary>Waits until nothing is being served; nothing is until as many calls of <see cref="Resume"/>.</summary>
    /// <param name="isReset">As <see cref="VirtioDevice.OnSuspended"/> says.</param>
    internal void Suspend(bool isReset = false)
    {
        Interlocked.Increment(ref _suspending);
        lock (_gate)
        {
            if (_suspended++ == 0)
                _device.OnSuspended(this, isReset);
        }
        Interlocked.Decrement(ref _suspending);
    }

    /// <summary>Serves again, and looks at everything once: what was told meanwhile was not heard.</summary>
    internal void Resume()
    {
        lock (_gate)
        {
            if (--_suspended > 0)
                return;
            _resumed = true;
        }
        VirtioDevice.Signal(_wakeUp);
    }

    /// <summary>Waits for something to do and does it. For the thread, and for those who do without one.</summary>
    /// <param name="milliseconds">At most this long; 0 only looks, negative waits.</param>
    /// <returns>Whether there was something.</returns>
    internal bool RunOnce(int milliseconds)
    {
        epoll_event* events = stackalloc epoll_event[Batch];
        // Who only looks has not slept.
        PollWindow? window = milliseconds == 0 ? null : _window;
        long asleepSince = window is null ? 0 : HostClock.MonotonicNanoseconds();
        int count = epoll_wait(_epoll.Value, events, Batch, Timeout(milliseconds));
        if (count < 0)
        {
            if (errno != EINTR)
                throw HostException.Last("epoll_wait");
            return false;
        }
        window?.Slept(HostClock.MonotonicNanoseconds() - asleepSince);
        // Whoever suspends gets the gate before the next turn takes it.
        SpinWait spin = default;
        while (MustYield)
            spin.SpinOnce();
        lock (_gate)
        {
            bool isDue = _deadline != long.MaxValue && HostClock.MonotonicNanoseconds() >= _deadline;
            if (isDue)
                _deadline = long.MaxValue;
            // What is left out when somebody wants to suspend is made up for when the worker is resumed.
            for (int i = 0; i < count && !MustYield; i++)
                Take(events[i]);
            if (_suspended == 0 && !MustYield && (isDue || _resumed))
            {
                if (_resumed && !_device.IsBroken)
                    _device.OnResumed(this);
                _resumed = false;
                foreach (int queue in _queues)
                    Serve(queue);
            }
            return count > 0 || isDue;
        }
    }

    private void Take(in epoll_event ready)
    {
        if (ready.data == StopToken)
        {
            VirtioDevice.Drain(_wakeUp);
        }
        else if (ready.data >= SourceToken)
        {
            if (_suspended == 0 && !_device.IsBroken)
                _device.OnReady(this, (int)(uint)ready.data, ready.events);
        }
        else
        {
            VirtioDevice.Drain(_device.NotifyFile((int)ready.data));
            _device.Metrics.CountNotification();
            if (_suspended == 0)
                Serve((int)ready.data);
        }
    }

    private void Serve(int queue)
    {
        // What is left gets its turn after the others.
        if (!_device.IsBroken && !MustYield && _device.ServeQueue(this, queue))
            VirtioDevice.Signal(_device.NotifyFile(queue));
    }

    private int Timeout(int milliseconds)
    {
        if (_deadline == long.MaxValue || milliseconds == 0)
            return milliseconds;
        long left = Math.Max(_deadline - HostClock.MonotonicNanoseconds(), 0);
        long rounded = Math.Min((left + 999_999) / 1_000_000, int.MaxValue);
        return milliseconds < 0 ? (int)rounded : (int)Math.Min(rounded, milliseconds);
    }

    private void Run()
    {
        while (!_stopping)
            RunOnce(-1);
    }

    private void Register(FileDescriptor file, ulong token, int events)
    {
        epoll_event wanted = new() { events = (uint)events, data = token };
        if (epoll_ctl(_epoll.Value, EPOLL_CTL_ADD, file.Value, &wanted) != 0)
            throw HostException.Last("epoll_ctl", "EPOLL_CTL_ADD");
    }

    /// <summary>Ends the thread, after what is being served.</summary>
    internal void Stop()
    {
        _stopping = true;
        VirtioDevice.Signal(_wakeUp);
        _thread?.Join();
    }

    public void Dispose()
    {
        _epoll.Dispose();
        _wakeUp.Dispose();
    }
}
