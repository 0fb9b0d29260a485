using Sandbox.Host;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.Trace;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// A thread's signal mask, its pending signals, and taking the next one (signal(7)).
public sealed partial class GuestThread
{
    internal PendingSignals Pending { get; }

    /// <summary>Blocked signals. Written by this thread, under TaskLock; read by senders.</summary>
    public ulong SignalMask { get; private set; }

    /// <summary>While <see cref="SignalMask"/> is lifted for rt_sigtimedwait: the mask that counts otherwise.</summary>
    internal ulong RealMask { get; private set; }

    /// <summary>sigaltstack(2).</summary>
    internal stack_t AlternateStack;

    private bool _restoreMask;
    private ulong _savedMask;

    /// <summary>Sends a signal to this thread alone.</summary>
    public void SendSignal(int signal, in siginfo_t info)
    {
        lock (Personality.TaskLock)
        {
            if (!HasEnded)
                Process.SendSignalLocked(signal, info, this);
        }
    }

    /// <summary>Signals pending for this thread or its process, blocked or not: sigpending(2), signalfd.</summary>
    public ulong PendingSet
    {
        get
        {
            lock (Personality.TaskLock)
                return Pending.Set | Process.SharedPending.Set;
        }
    }

    /// <summary>Takes a pending signal of a set without delivering it: signalfd, rt_sigtimedwait.</summary>
    /// <returns>The signal, or 0 when none of the set is pending.</returns>
    public int TryTakeSignal(ulong set, out siginfo_t info)
    {
        lock (Personality.TaskLock)
        {
            int signal = Pending.Dequeue(set, out info);
            if (signal == 0)
                signal = Process.SharedPending.Dequeue(set, out info);
            if (signal != 0)
                RecalculatePending();
            return signal;
        }
    }

    internal void SetSignalMask(ulong mask)
    {
        mask &= ~SignalSet.Unblockable;
        lock (Personality.TaskLock)
        {
            ulong newlyBlocked = mask & ~SignalMask;
            SignalMask = mask;
            RecalculatePending();
            if ((newlyBlocked & Process.SharedPending.Set) != 0)
                Process.Retarget(this);
        }
    }

    /// <summary>A new thread's mask, before it runs.</summary>
    internal void InheritSignalMask(ulong mask) => SignalMask = mask;

    /// <summary>
    /// ppoll, pselect, epoll_pwait, sigsuspend: a mask for the duration of a call. End it with
    /// <see cref="EndTemporaryMask"/>, whatever the call's outcome.
    /// </summary>
    public void BeginTemporaryMask(ulong mask)
    {
        _savedMask = SignalMask;
        SetSignalMask(mask);
    }

    /// <summary>
    /// Restores the mask now, or, when a signal cut the call short, after that signal's handler has been set up with
    /// the temporary mask (as the kernel's restore_saved_sigmask_unless).
    /// </summary>
    /// <param name="interrupted">The call returns a code of <see cref="SystemCalls.Restart"/> or -EINTR.</param>
    public void EndTemporaryMask(bool interrupted)
    {
        // Before user code runs again, even if the signal has been taken by another thread meanwhile.
        if (interrupted)
            _restoreMask = true;
        else
            SetSignalMask(_savedMask);
    }

    /// <summary>rt_sigtimedwait: signals of the set end the wait although they are blocked.</summary>
    internal void BeginSignalWait(ulong set)
    {
        lock (Personality.TaskLock)
        {
            RealMask = SignalMask;
            SignalMask &= ~set;
            RecalculatePending();
        }
    }

    internal void EndSignalWait()
    {
        lock (Personality.TaskLock)
        {
            ulong mask = RealMask;
            RealMask = 0;
            SignalMask = mask;
            RecalculatePending();
            Process.Retarget(this);
        }
    }

    /// <summary>Under TaskLock: whether anything unblocked is pending.</summary>
    internal void RecalculatePending()
    {
        if (((Pending.Set | Process.SharedPending.Set) & ~SignalMask) != 0)
            SetWork(ThreadWork.Signal);
        else
            ClearWork(ThreadWork.Signal);
    }

    /// <summary>
    /// Takes the next signal that has a handler. Default actions happen here: false then, and when nothing is left.
    /// </summary>
    private bool TakeSignal(out siginfo_t info, out kernel_sigaction action)
    {
        lock (Personality.TaskLock)
        {
            while (true)
            {
                action = default;
                if ((_work & (int)(ThreadWork.Exit | ThreadWork.Stop)) != 0)
                {
                    info = default;
                    return false;
                }
                int signal = Pending.Dequeue(~SignalMask & SignalSet.Synchronous, out info);
                if (signal == 0)
                    signal = Pending.Dequeue(~SignalMask, out info);
                if (signal == 0)
                    signal = Process.SharedPending.Dequeue(~SignalMask, out info);
                if (signal == 0)
                {
                    RecalculatePending();
                    return false;
                }
                action = Process.Actions[signal];
                if (action.sa_handler == SIG_IGN)
                    continue;
                Personality.Tracer?.Signal(this, info);
                if (action.sa_handler != SIG_DFL)
                {
                    if ((action.sa_flags & SA_RESETHAND) != 0)
                        Process.Actions[signal].sa_handler = SIG_DFL;
                    return true;
                }
                if (SignalSet.Contains(SignalSet.IgnoredByDefault, signal))
                    continue;
                if (!SignalSet.Contains(SignalSet.Stops, signal))
                    Process.BeginGroupExit(signal);
                else if (signal == SIGSTOP || !Process.Group.IsOrphaned)
                    Process.BeginStop(signal);
            }
        }
    }

    /// <summary>
    /// A signal that the thread brought upon itself: a fault, a hostile signal frame. Blocking or ignoring it does
    /// not help: then it kills.
    /// </summary>
    internal void ForceSignal(in siginfo_t info, bool fatal = false)
    {
        int signal = info.si_signo;
        lock (Personality.TaskLock)
        {
            bool blocked = SignalSet.Contains(SignalMask, signal);
            if (fatal || blocked || Process.Actions[signal].sa_handler == SIG_IGN)
            {
                Process.Actions[signal].sa_handler = SIG_DFL;
                if (blocked)
                    SignalMask &= ~SignalSet.Of(signal);
            }
            // The default action of a forced signal is fatal; it must not be lost behind one that is pending already.
            Pending.Discard(SignalSet.Of(signal));
            Process.SendSignalLocked(signal, info, this);
            RecalculatePending();
        }
    }
}
