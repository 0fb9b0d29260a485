using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// Passes on to the guest what the caller's terminal and kill(1) send to the command line. The runtime calls the
/// handlers on its own threads, one after another or at once.
/// </summary>
sealed class SignalForwarder : IDisposable
{
    /// <summary>A second interruption within this time stops the guest whether it wants to or not.</summary>
    const long PatienceNanoseconds = 2 * HostClock.NanosecondsPerSecond;

    readonly Lock _lock = new();
    readonly VmmProcess _vmm;
    readonly CallersTerminal? _terminal;
    readonly List<PosixSignalRegistration> _registrations = [];
    long? _interruptedAt;
    bool _closed;

    SignalForwarder(VmmProcess vmm, CallersTerminal? terminal)
    {
        _vmm = vmm;
        _terminal = terminal;
    }

    /// <summary>Somebody else has the VMM stand still: nothing here lets it go on.</summary>
    public bool IsPaused { get; set; }

    /// <summary>
    /// The signal of the second interruption, after which the VMM was killed; null if there was none.
    /// </summary>
    public int? ForcedBy { get; private set; }

    public static SignalForwarder Start(VmmProcess vmm, CallersTerminal? terminal)
    {
        var forwarder = new SignalForwarder(vmm, terminal);
        foreach (int signal in (ReadOnlySpan<int>)[SIGINT, SIGTERM, SIGHUP, SIGQUIT])
            forwarder.On(signal, () => forwarder.Forward(signal));
        if (terminal is null)
            forwarder.On(SIGTSTP, forwarder.Pause);
        else
            forwarder.On(SIGWINCH, forwarder.ForwardSize);
        return forwarder;
    }

    /// <summary>
    /// The guest's foreground job has stopped itself: so does the command line, as the shell that started it expects.
    /// The VMM stands still meanwhile, or it would read what is typed for that shell. Returns when the caller resumes.
    /// </summary>
    public void StopWithGuest()
    {
        _vmm.Signal(SIGSTOP);
        _terminal?.Restore();
        StopHere();
        _terminal?.MakeRaw();
        LetGoOn();
        ForwardSize();
        lock (_lock)
            Send(new ChannelMessage { Kind = MessageKind.Signal, Value = SIGCONT });
    }

    /// <summary>Sends a signal to the guest's first process.</summary>
    /// <returns>False when the VMM does not read its channel, or has ended.</returns>
    public bool Deliver(int signal)
    {
        lock (_lock)
            return !_closed && Send(new ChannelMessage { Kind = MessageKind.Signal, Value = signal });
    }

    /// <summary>Says something else to the VMM.</summary>
    /// <returns>False when it does not read its channel, or has ended.</returns>
    public bool Tell(ChannelMessage message)
    {
        lock (_lock)
            return !_closed && Send(message);
    }

    public void Dispose()
    {
        lock (_lock)
            _closed = true;
        foreach (PosixSignalRegistration registration in _registrations)
            registration.Dispose();
    }

    void On(int signal, Action action) =>
        _registrations.Add(PosixSignalRegistration.Create((PosixSignal)signal, context =>
    {
        context.Cancel = true;
        action();
    }));

    void Forward(int signal)
    {
        lock (_lock)
        {
            if (_closed)
                return;
            long now = HostClock.MonotonicNanoseconds();
            if (signal is SIGINT or SIGTERM)
            {
                if (now - _interruptedAt < PatienceNanoseconds)
                {
                    ForcedBy = signal;
                    _vmm.Signal(SIGKILL);
                    return;
                }

                _interruptedAt = now;
            }

            Send(new ChannelMessage { Kind = MessageKind.Signal, Value = signal });
        }
    }

    void ForwardSize()
    {
        lock (_lock)
            if (!_closed && CallersTerminal.Size is (ushort rows, ushort columns))
                Send(new ChannelMessage { Kind = MessageKind.WindowSize, Value = rows, Detail = columns });
    }

    // Without a terminal of its own the guest does not learn of Ctrl-Z: its whole VM stands still.
    void Pause()
    {
        lock (_lock)
        {
            if (_closed)
                return;
            _vmm.Signal(SIGSTOP);
            StopHere();
            LetGoOn();
        }
    }

    void LetGoOn()
    {
        if (!IsPaused)
            _vmm.Signal(SIGCONT);
    }

    // Sent to this very thread, so that none of its next steps is taken before the process is resumed: a signal to the
    // process would be taken by whichever thread is at hand, while this one runs on.
    static void StopHere() => HostThread.Signal(HostThread.Id, SIGSTOP);

    // A VMM that does not read its channel must not hold up the command line: then the message is dropped, and the
    // caller's second Ctrl-C ends it.
    unsafe bool Send(ChannelMessage message)
    {
        var room = new pollfd { fd = _vmm.Channel.Socket.Value, events = POLLOUT };
        if (poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0)
            return false;
        try
        {
            _vmm.Channel.Send(message with { Version = ChannelMessage.CurrentVersion });
            return true;
        }
        catch (HostException gone) when (gone.Errno is EPIPE or ECONNRESET)
        {
            // The VMM has just ended; the session sees that by itself.
            return false;
        }
    }
}
