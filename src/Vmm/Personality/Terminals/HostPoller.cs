using Sandbox.Host;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>
/// One host thread that waits for host descriptors on behalf of all guest threads, and tells wait queues. It starts
/// with the first descriptor; each wait is for one notification.
/// </summary>
public sealed unsafe class HostPoller : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, Registration> _registrations = [];
    private ulong _lastNumber;
    private FileDescriptor? _epoll;
    private FileDescriptor? _wakeUp;
    private WorkThread? _thread;
    private bool _isDeferred;
    private bool _stopped;

    /// <summary>One descriptor and those who wait for it.</summary>
    public sealed class Registration : IDisposable
    {
        internal Registration(HostPoller poller, FileDescriptor file, WaitQueue waiters)
        {
            Poller = poller;
            File = file;
            Waiters = waiters;
        }

        internal HostPoller Poller { get; }
        internal FileDescriptor File { get; }
        internal WaitQueue Waiters { get; }
        internal ulong Number { get; init; }
        internal PollEvents Armed { get; set; }

        /// <summary>Called in the poller's thread before the queue hears of it.</summary>
        internal Action<PollEvents>? OnReady { get; init; }

        /// <summary>Asks for one notification when any of these events (or an error) is there, now or later.</summary>
        public void Arm(PollEvents events) => Poller.Arm(this, events);

        /// <summary>Before the descriptor is closed. What is told at this moment may still be heard.</summary>
        public void Dispose() => Poller.Unregister(this);
    }

    /// <summary>Prepares to wait for a descriptor that epoll(7) accepts: not a regular file.</summary>
    public Registration Register(FileDescriptor file, WaitQueue waiters, Action<PollEvents>? onReady = null)
    {
        lock (_lock)
        {
            Open();
            Registration registration = new(this, file, waiters) { Number = ++_lastNumber, OnReady = onReady };
            epoll_event none = new() { events = EPOLLONESHOT, data = registration.Number };
            if (epoll_ctl(_epoll!.Value, EPOLL_CTL_ADD, file.Value, &none) != 0)
                throw HostException.Last("epoll_ctl", "EPOLL_CTL_ADD");
            _registrations.Add(registration.Number, registration);
            return registration;
        }
    }

    private void Unregister(Registration registration)
    {
        lock (_lock)
        {
            if (_registrations.Remove(registration.Number) && !_stopped
                && epoll_ctl(_epoll!.Value, EPOLL_CTL_DEL, registration.File.Value, null) != 0)
                throw HostException.Last("epoll_ctl", "EPOLL_CTL_DEL");
        }
    }

    private void Arm(Registration registration, PollEvents events)
    {
        lock (_lock)
        {
            if (_stopped || !_registrations.ContainsKey(registration.Number) || (registration.Armed & events) == events)
                return;
            ArmLocked(registration, registration.Armed | events);
        }
    }

    private void ArmLocked(Registration registration, PollEvents events)
    {
        registration.Armed = events;
        // The end of a stream can be read: those who wait for nothing but the end hear of it too.
        PollEvents end = (events & PollEvents.In) != 0 ? PollEvents.ReadHangUp : PollEvents.None;
        epoll_event wanted = new()
        {
            events = (uint)((events & (PollEvents.In | PollEvents.Out)) | end) | (uint)EPOLLONESHOT,
            data = registration.Number,
        };
        if (epoll_ctl(_epoll!.Value, EPOLL_CTL_MOD, registration.File.Value, &wanted) != 0)
            throw HostException.Last("epoll_ctl", "EPOLL_CTL_MOD");
    }

    /// <summary>The thread, which else comes with the first descriptor, waits for <see cref="Start"/>.</summary>
    public void Defer() => _isDeferred = true;

    /// <summary>Starts the thread, now if there is a descriptor.</summary>
    public void Start()
    {
        lock (_lock)
        {
            _isDeferred = false;
            if (_epoll is not null)
                StartLocked();
        }
    }

    private void StartLocked()
    {
        if (!_isDeferred)
            _thread ??= ThreadFilter.Start("streams", ThreadRole.Streams, 128 << 10, Run);
    }

    private void Open()
    {
        if (_epoll is null)
            CreateEpoll();
        StartLocked();
    }

    private void CreateEpoll()
    {
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        if (epoll < 0)
            throw HostException.Last("epoll_create1", "");
        _epoll = new FileDescriptor(epoll);
        int wakeUp = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (wakeUp < 0)
            throw HostException.Last("eventfd", "");
        _wakeUp = new FileDescriptor(wakeUp);
        epoll_event stop = new() { events = EPOLLIN, data = ulong.MaxValue };
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, wakeUp, &stop) != 0)
            throw HostException.Last("epoll_ctl", "EPOLL_CTL_ADD");
    }

    private void Run()
    {
        const int Batch = 8;
        epoll_event* events = stackalloc epoll_event[Batch];
        while (true)
        {
            int count = epoll_wait(_epoll!.Value, events, Batch, -1);
            if (count < 0 && errno != EINTR)
                throw HostException.Last("epoll_wait", "");
            for (int i = 0; i < count; i++)
            {
                if (events[i].data == ulong.MaxValue)
                    return;
                PollEvents ready = Normalise((PollEvents)events[i].events);
                Registration? registration;
                lock (_lock)
                {
                    // One that was unregistered since.
                    if (!_registrations.TryGetValue(events[i].data, out registration))
                        continue;
                    // Reading and writing are waited for independently: one event must not end both waits.
                    PollEvents left = (ready & PollEvents.Always) != 0 ? PollEvents.None : registration.Armed & ~ready;
                    registration.Armed = PollEvents.None;
                    if (left != PollEvents.None)
                        ArmLocked(registration, left);
                }
                registration.OnReady?.Invoke(ready);
                registration.Waiters.Notify(ready);
            }
        }
    }

    private static PollEvents Normalise(PollEvents events)
    {
        if ((events & PollEvents.In) != 0)
            events |= PollEvents.Readable;
        if ((events & PollEvents.Out) != 0)
            events |= PollEvents.Writable;
        return events;
    }

    /// <summary>Ends the thread. Waits that are armed then never hear anything.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_stopped)
                return;
            _stopped = true;
            if (_thread is null)
                return;
        }
        ulong one = 1;
        _wakeUp!.Write(new ReadOnlySpan<byte>(&one, sizeof(ulong)));
        _thread.Join();
        _epoll!.Dispose();
        _wakeUp.Dispose();
    }
}
