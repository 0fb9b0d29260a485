using Sandbox.Host;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// Signals sent to a process: who gets them, and what they do to the whole process (signal(7)).
public sealed partial class Process
{
    /// <summary>Handlers; guarded by TaskLock.</summary>
    internal SignalActions Actions { get; set; } = new();

    internal PendingSignals SharedPending { get; } = new(personality.QueuedSignals);

    /// <summary>Told about every signal that becomes pending for the process or one of its threads: signalfd.</summary>
    public WaitQueue SignalWaiters { get; } = new();

    /// <summary>Sends a signal to the process as a whole. Silently nothing when it has ended.</summary>
    public void SendSignal(int signal, in siginfo_t info)
    {
        lock (Personality.TaskLock)
            SendSignalLocked(signal, info, null);
    }

    /// <summary>Queues a signal for the process, or for one thread of it.</summary>
    /// <returns>0, or -EAGAIN when a real-time signal with a value finds the queue full.</returns>
    internal int SendSignalLocked(int signal, in siginfo_t info, GuestThread? target, QueuedSignal? owned = null)
    {
        if (IsDead)
            return 0;
        PrepareJobControl(signal);
        if (signal == SIGKILL)
        {
            BeginGroupExit(SIGKILL);
            return 0;
        }
        GuestThread representative = target ?? Leader;
        if (Actions.IsIgnored(signal)
            && !SignalSet.Contains(representative.SignalMask | representative.RealMask, signal))
            return 0;

        PendingSignals pending = target is null ? SharedPending : target.Pending;
        if (owned is not null)
        {
            owned.Info = info;
            pending.Enqueue(owned);
        }
        else
        {
            if (!SignalSet.IsRealTime(signal) && SignalSet.Contains(pending.Set, signal))
                return 0;
            int limit = (int)Math.Min(Limits.Soft(RLIMIT_SIGPENDING), int.MaxValue);
            QueuedSignal? node = Personality.QueuedSignals.Rent(
                SignalSet.IsRealTime(signal) ? limit : int.MaxValue);
            if (node is not null)
            {
                node.Info = info;
                pending.Enqueue(node);
            }
            else if (SignalSet.IsRealTime(signal) && info.si_code != SI_USER)
            {
                return -EAGAIN;
            }
            else
            {
                pending.EnqueueBare(signal);
            }
        }
        SignalWaiters.Notify(PollEvents.Readable);
        GuestThread? receiver = target is not null ? (Wants(target, signal) ? target : null) : Receiver(signal);
        if (receiver is null)
            return 0;
        // A stopped process dies of nothing but SIGKILL until it is continued.
        if (StopSignal == 0 && IsFatalByDefault(signal) && !SignalSet.Contains(receiver.RealMask, signal))
        {
            BeginGroupExit(signal);
            return 0;
        }
        receiver.SetWork(ThreadWork.Signal);
        receiver.Kick();
        return 0;
    }

    /// <summary>Ends the process without asking a thread: the default action, where no core would be dumped.</summary>
    private bool IsFatalByDefault(int signal) =>
        Actions[signal].sa_handler == SIG_DFL
        && !SignalSet.Contains(SignalSet.IgnoredByDefault | SignalSet.Stops | DumpingSignals, signal);

    /// <summary>The signals that end a process with a core dump on Linux; here without one.</summary>
    private static readonly ulong DumpingSignals = SignalSet.Synchronous
        | SignalSet.Of(SIGQUIT) | SignalSet.Of(SIGABRT) | SignalSet.Of(SIGXCPU) | SignalSet.Of(SIGXFSZ);

    private GuestThread? Receiver(int signal)
    {
        if (Wants(Leader, signal))
            return Leader;
        for (GuestThread? thread = FirstThread; thread is not null; thread = thread.NextSibling)
        {
            if (Wants(thread, signal))
                return thread;
        }
        return null;
    }

    private static bool Wants(GuestThread thread, int signal) =>
        !thread.HasEnded && !SignalSet.Contains(thread.SignalMask, signal);

    /// <summary>SIGCONT cancels stops and continues; a stop signal cancels a pending SIGCONT, whoever blocks it.</summary>
    private void PrepareJobControl(int signal)
    {
        if (SignalSet.Contains(SignalSet.Stops, signal))
        {
            DiscardEverywhere(SignalSet.Of(SIGCONT));
        }
        else if (signal == SIGCONT)
        {
            DiscardEverywhere(SignalSet.Stops);
            Continue();
        }
    }

    internal void DiscardEverywhere(ulong set)
    {
        SharedPending.Discard(set);
        for (GuestThread? thread = FirstThread; thread is not null; thread = thread.NextSibling)
            thread.Pending.Discard(set);
    }

    /// <summary>After a thread has blocked signals: lets another thread have those that wait for the process.</summary>
    internal void Retarget(GuestThread from)
    {
        if (SharedPending.Set == 0)
            return;
        for (GuestThread? thread = FirstThread; thread is not null; thread = thread.NextSibling)
        {
            if (thread == from || thread.HasEnded || (SharedPending.Set & ~thread.SignalMask) == 0)
                continue;
            thread.SetWork(ThreadWork.Signal);
            thread.Kick();
        }
    }

    /// <summary>sigaction(2) to an ignoring action discards what is pending.</summary>
    internal void DiscardIfIgnored(int signal)
    {
        if (Actions.IsIgnored(signal))
            DiscardEverywhere(SignalSet.Of(signal));
    }
}
