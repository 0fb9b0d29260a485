using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Network;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// One guest from the Start message to the VMM's end. The VMM may have fallen to its guest: every message is checked,
/// every wait has a bound, and whatever it does ends in an <see cref="Outcome"/>.
/// </summary>
sealed unsafe class Session
{
    /// <summary>From Start to Started. A healthy VMM needs milliseconds.</summary>
    public int StartMilliseconds { get; init; } = 30_000;

    /// <summary>How long after its start a guest is taken for one that stays.</summary>
    public const int StayMilliseconds = 50;

    /// <summary>Called once, when the guest has stayed: what one that is gone at once need not pay for.</summary>
    public Action? WhenStaying { get; init; }

    /// <summary>What other commands ask of the guest comes from here; null for nowhere.</summary>
    public RunState? State { get; init; }

    /// <summary>Where the VMM writes what it has counted; null for nowhere. Stays the caller's.</summary>
    public FileDescriptor? Counts { get; init; }

    /// <summary>What a machine guest's connections lead to; null for nothing.</summary>
    public VsockServices? Services { get; init; }

    /// <summary>The guest runs, and that is what its VMM has put on; false ends it.</summary>
    public Func<StartOrders, bool> WhenStarted { get; init; } = static _ => true;

    /// <summary>
    /// A start waits so long for other processes to take descriptors that were sent to them: Linux bounds how many of a
    /// user's are on their way.
    /// </summary>
    const int CrowdMilliseconds = 5_000;

    /// <summary>From the last word of a VMM to its end.</summary>
    public const int EndMilliseconds = 2_000;

    /// <summary>How long after the wall-clock limit the supervisor acts when the VMM has not.</summary>
    public const int BackupMilliseconds = 5_000;

    readonly VmmProcess _vmm;
    readonly LaunchPlan _plan;
    readonly SignalForwarder _signals;
    readonly NetworkBroker? _network;
    readonly JailInspection? _inspection;
    readonly VmmDialogue _dialogue;
    readonly long _startedAt = Milliseconds();

    /// <summary>When the guest's own time began.</summary>
    long _guestStartedAt;
    ControlledVmm? _controlled;
    CountQuestion? _counts;
    bool _stays;
    bool _networkOpen;
    Outcome? _outcome;

    /// <param name="network">Serves a guest that has something of the network; it stays the caller's.</param>
    /// <param name="inspection">Looks at the jail before the guest's first instruction; null for nobody.</param>
    public Session(
        VmmProcess vmm, LaunchPlan plan, SignalForwarder signals, NetworkBroker? network = null,
        JailInspection? inspection = null)
    {
        _inspection = inspection;
        _vmm = vmm;
        _plan = plan;
        _signals = signals;
        _network = network;
        _networkOpen = network is not null;
        _dialogue = new VmmDialogue(plan, inspection is not null);
    }

    /// <param name="descriptors">In the plan's order.</param>
    /// <exception cref="HostException">The host has no memory or descriptor left for the message.</exception>
    public Outcome Run(ReadOnlySpan<FileDescriptor> descriptors)
    {
        Start(descriptors);
        // While the guest starts, this processor has nothing else to do.
        if (State is not null)
        {
            _counts = Counts is null ? null : new CountQuestion(Counts, _signals.Tell, State.KeepCounts);
            _controlled = new ControlledVmm(_vmm, _signals, _counts,
                _plan.Machine is { Balloon: true } ? _plan.Limits.MemoryBytes : null, State.RecordPause);
        }

        _vmm.Group?.RemoveAbandoned();
        while (!Step())
        {
        }

        if (!_vmm.WaitForEnd(EndMilliseconds))
        {
            _vmm.Signal(SIGKILL);
            _vmm.WaitForEnd(-1);
        }

        if (_signals.ForcedBy is int signal && _outcome is null)
            return new Outcome.Interrupted(signal);
        if (_controlled is { HasKilled: true } && _outcome is null)
            return new Outcome.Killed();
        return _outcome ?? Died();
    }

    /// <summary>Without a word: at a limit of its group, or for no reason that is known.</summary>
    Outcome Died()
    {
        GroupUsage usage = _vmm.Group?.Usage ?? default;
        if (usage.OomKills > 0)
            return new Outcome.HostMemoryLimit(_vmm.Group!.Limits.MemoryBytes);
        return new Outcome.VmmDied(_vmm.WaitStatus)
        {
            ProcessLimit = usage.ForksRefused > 0 ? _vmm.Group!.Limits.Processes : null,
        };
    }

    void Start(ReadOnlySpan<FileDescriptor> descriptors)
    {
        using FileDescriptor plan = PlanInMemory(_plan.Serialize());
        using LandlockRuleset? rules =
            _vmm.Jail.Walls.HasFlag(JailWalls.Landlock) ? JailRules.ForPlan(_plan, descriptors) : null;
        StartOrders orders = (rules is null ? StartOrders.None : StartOrders.Landlock)
            | (_vmm.Jail.Walls.HasFlag(JailWalls.Seccomp) ? StartOrders.Seccomp : StartOrders.None)
            | (_inspection is null ? StartOrders.None : StartOrders.Inspection);
        FileDescriptor[] sent = rules is null ? [plan, .. descriptors] : [plan, rules.Descriptor, .. descriptors];
        var start = new ChannelMessage
        {
            Version = ChannelMessage.CurrentVersion,
            Kind = MessageKind.Start,
            Detail32 = (uint)orders,
            Value = descriptors.Length,
        };
        for (long givesUpAt = Milliseconds() + CrowdMilliseconds; ;)
        {
            try
            {
                Send(start, sent);
                _vmm.Phases.Sent = HostClock.MonotonicNanoseconds();
                return;
            }
            catch (HostException crowded) when (crowded.Errno == ETOOMANYREFS)
            {
                if (Milliseconds() >= givesUpAt)
                    throw new HostException(crowded.Errno, "sendmsg", "channel",
                        "this user's processes have sent each other more descriptors than ulimit -n allows, and not "
                            + "taken them; raise it, or start fewer guests at once");
                Thread.Sleep(CrowdMilliseconds / 500);
            }
        }
    }

    void Send(in ChannelMessage message, params ReadOnlySpan<FileDescriptor> descriptors)
    {
        try
        {
            _vmm.Channel.Send(message, descriptors);
        }
        catch (HostException gone) when (gone.Errno is EPIPE or ECONNRESET)
        {
            // It has ended already; why, it may have said before.
        }
    }

    /// <summary>Its jail is looked at, and it goes on if that is what it should be.</summary>
    void Inspect(StartOrders reported)
    {
        _outcome = _inspection!.Look(reported);
        if (_outcome is null)
            Send(new ChannelMessage { Version = ChannelMessage.CurrentVersion, Kind = MessageKind.Go });
        else
            _vmm.Signal(SIGKILL);
    }

    // Sealed: what the VMM checks is what it later reads.
    static FileDescriptor PlanInMemory(ReadOnlySpan<byte> rest)
    {
        FileDescriptor file = FileDescriptor.CreateMemory("launch plan", 0, MFD_ALLOW_SEALING);
        try
        {
            while (!rest.IsEmpty)
            {
                nint written = file.Write(rest);
                if (written is <= 0 and not -EINTR)
                    throw new HostException((int)-written, "write", "launch plan");
                rest = rest[(int)Math.Max(written, 0)..];
            }

            file.Seek(0, SEEK_SET);
            if (fcntl(file.Value, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
                throw HostException.Last("fcntl", "F_ADD_SEALS");
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Waits for one thing to happen; true when nothing more is to be waited for.</summary>
    bool Step()
    {
        pollfd* watched = stackalloc pollfd[4];
        int left = Sooner(MillisecondsLeft(), Stay());
        // In this order: what was said before the end is there when the end is seen.
        watched[0] = new pollfd { fd = _vmm.EndDescriptor.Value, events = POLLIN };
        int channelWait = Services?.MillisecondsUntilReady ?? 0;
        // One that has ended says no more than what is there already.
        if (channelWait > 0 && _vmm.WaitForEnd(0))
            channelWait = 0;
        watched[1] = ReadableIn(channelWait, _vmm.Channel.Socket, ref left);
        watched[2] = _networkOpen
            ? ReadableIn(_network!.MillisecondsUntilReady, _network.Socket, ref left)
            : new pollfd { fd = -1 };
        ControlSocket? control = State?.Control;
        if (_counts is not null)
        {
            if (_counts.GivesUp())
                control?.AnswerCounts(-ETIMEDOUT);
            left = Sooner(left, _counts.MillisecondsLeft);
        }

        watched[3] = new pollfd { fd = control?.Events.Value ?? -1, events = POLLIN };
        int ready = poll(watched, 4, left);
        if (ready < 0)
            return errno == EINTR ? false : throw HostException.Last("poll");
        if (ready == 0)
            return TimedOut();
        // Messages first: the last one may have arrived together with the end.
        if (watched[1].revents != 0)
        {
            if (Receive())
                return true;
        }
        else if (watched[0].revents != 0)
            return channelWait == 0;
        // Who says or asks something without end must not keep the rest from being looked at.
        if (MillisecondsLeft() == 0)
            return TimedOut();
        if (watched[3].revents != 0)
            control!.Serve(_controlled!);
        if (watched[2].revents == 0)
            return false;
        _networkOpen = _network!.Serve(out string? problem);
        return problem is not null && Misbehaved(problem);
    }

    /// <summary>A socket that is to be read, for poll(2), which passes over negative descriptors.</summary>
    /// <param name="milliseconds">Not before.</param>
    /// <param name="left">How long poll(2) waits.</param>
    static pollfd ReadableIn(int milliseconds, FileDescriptor socket, ref int left)
    {
        if (milliseconds > 0)
            left = Sooner(left, milliseconds);
        return new pollfd { fd = milliseconds == 0 ? socket.Value : -1, events = POLLIN };
    }

    /// <summary>Of two times as poll(2) takes them, of which -1 is never.</summary>
    static int Sooner(int one, int other) => (int)Math.Min((uint)one, (uint)other);

    /// <summary>Calls <see cref="WhenStaying"/> when it is time for that.</summary>
    /// <returns>Milliseconds until then; -1 when that is over.</returns>
    int Stay()
    {
        if (_stays || WhenStaying is null)
            return -1;
        int left = (int)Math.Max(_startedAt + StayMilliseconds - Milliseconds(), 0);
        if (left > 0)
            return left;
        _stays = true;
        WhenStaying();
        return -1;
    }

    bool Receive()
    {
        ChannelMessage message;
        try
        {
            if (!_vmm.Channel.Receive(out message))
            {
                // Closed: either it is about to end, or it has fallen; Run bounds the wait for the first.
                return true;
            }
        }
        catch (HostException bad) when (bad.Errno == EBADMSG)
        {
            return Misbehaved($"broke the channel's rules ({bad.Advice ?? bad.Subject})");
        }
        catch (HostException gone) when (gone.Errno == ECONNRESET)
        {
            // It ended with messages of ours unread. The kernel says so once, before what it sent itself.
            return false;
        }

        // Asked for, one at a time: these are no flood, however many there are.
        if (_counts is not null && _counts.IsAnswer(message))
        {
            int answer = _counts.Take(message);
            State!.Control?.AnswerCounts(answer);
            return false;
        }

        // As many as a guest likes; they have a rate of their own.
        if (Services is not null && VsockServices.IsRequest(message))
            return !Connect(message) && Misbehaved("does not read the answers to its requests");

        bool wasStarted = _dialogue.GuestStarted;
        _outcome = _dialogue.Hear(message, out bool stopped);
        if (_dialogue.GuestStarted && !wasStarted)
            _guestStartedAt = Milliseconds();
        if (message.Kind == MessageKind.Confined && _outcome is null)
            Inspect(_dialogue.Reported!.Value);
        else if (message.Kind == MessageKind.Started && _outcome is null && !WhenStarted(_dialogue.Reported!.Value))
            _controlled?.Kill();
        if (_outcome is Outcome.VmmMisbehaved)
            _vmm.Signal(SIGKILL);
        if (stopped)
            _signals.StopWithGuest();
        return _outcome is not null;
    }

    /// <returns>False for a VMM that has no room for the answer.</returns>
    bool Connect(in ChannelMessage request)
    {
        ChannelMessage answer = Services!.Answer(request, out FileDescriptor? socket);
        using (socket)
        {
            try
            {
                return _vmm.Channel.SendUnlessFull(answer, socket is null ? [] : [socket]);
            }
            catch (HostException crowded) when (crowded.Errno == ETOOMANYREFS)
            {
                return _vmm.Channel.TrySend(answer with { Detail32 = EMFILE }, wait: false) != -EAGAIN;
            }
            catch (HostException gone) when (gone.Errno is EPIPE or ECONNRESET)
            {
                return true;
            }
        }
    }

    bool Misbehaved(string what)
    {
        _vmm.Signal(SIGKILL);
        _outcome = new Outcome.VmmMisbehaved(what);
        return true;
    }

    bool TimedOut()
    {
        if (MillisecondsLeft() != 0)
            return false;
        _vmm.Signal(SIGKILL);
        _outcome = _dialogue.GuestStarted ? new Outcome.WallTimeEnforced() : new Outcome.VmmSilent();
        return true;
    }

    /// <summary>Until the next bound is reached, as poll(2) takes it: -1 for none.</summary>
    int MillisecondsLeft()
    {
        long until;
        if (!_dialogue.GuestStarted)
            until = _startedAt + StartMilliseconds;
        else if (_plan.Limits.WallMilliseconds == 0)
            return -1;
        else
            until = _guestStartedAt + _plan.Limits.WallMilliseconds + BackupMilliseconds;
        return (int)Math.Clamp(until - Milliseconds(), 0, int.MaxValue);
    }

    static long Milliseconds() => HostClock.MonotonicNanoseconds() / 1_000_000;
}
