using Sandbox.Vmm.Personality.Signals;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// Stopping and continuing all threads of a process (job control). Everything here runs under TaskLock.
public sealed partial class Process
{
    /// <summary>Threads that have yet to stop for a stop in progress.</summary>
    private int _threadsToStop;

    /// <summary>The signal of the stop in progress or in effect; 0 when running.</summary>
    internal int StopSignal { get; private set; }

    /// <summary>Every thread has stopped.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>wait(2) has not yet reported the stop.</summary>
    internal bool StopUnreported { get; set; }

    /// <summary>wait(2) has not yet reported the continuation.</summary>
    internal bool ContinueUnreported { get; set; }

    internal void BeginStop(int signal)
    {
        if (IsGroupExiting)
            return;
        StopSignal = signal;
        ContinueUnreported = false;
        if (IsStopped)
            return;
        for (GuestThread? thread = FirstThread; thread is not null; thread = thread.NextSibling)
            AskToStop(thread);
    }

    private void AskToStop(GuestThread thread)
    {
        if (thread.HasEnded || thread.StopAsked)
            return;
        thread.StopAsked = true;
        _threadsToStop++;
        thread.SetWork(ThreadWork.Stop);
        thread.Kick();
    }

    /// <summary>A new thread of a process that is stopping stops too.</summary>
    internal void JoinStop(GuestThread thread)
    {
        if (StopSignal == 0)
            return;
        if (IsStopped)
        {
            thread.StopAsked = thread.StopCounted = true;
            thread.SetWork(ThreadWork.Stop);
            return;
        }
        AskToStop(thread);
    }

    /// <summary>A thread has arrived at its stop, or ended on the way to it.</summary>
    internal void CountStopped(GuestThread thread)
    {
        if (!thread.StopAsked || thread.StopCounted)
            return;
        thread.StopCounted = true;
        if (--_threadsToStop > 0 || StopSignal == 0 || IsGroupExiting)
            return;
        IsStopped = true;
        StopUnreported = true;
        NotifyParentOfStop(CLD_STOPPED, StopSignal);
    }

    private void Continue()
    {
        if (StopSignal == 0)
            return;
        bool wasStopped = IsStopped;
        int signal = StopSignal;
        StopSignal = 0;
        IsStopped = false;
        _threadsToStop = 0;
        for (GuestThread? thread = FirstThread; thread is not null; thread = thread.NextSibling)
        {
            thread.StopAsked = thread.StopCounted = false;
            thread.ClearWork(ThreadWork.Stop);
            thread.RecalculatePending();
            thread.Kick();
        }
        StopUnreported = false;
        ContinueUnreported = true;
        // A stop that had not completed is reported as a stop, one that had as a continuation.
        if (wasStopped)
            NotifyParentOfStop(CLD_CONTINUED, SIGCONT);
        else
            NotifyParentOfStop(CLD_STOPPED, signal);
    }

    private void NotifyParentOfStop(int code, int status)
    {
        if (Parent is not { } parent)
        {
            Personality.OnFirstLevelStop(this, code == CLD_STOPPED);
            return;
        }
        ref Sandbox.Host.kernel_sigaction action = ref parent.Actions[SIGCHLD];
        if (action.sa_handler != SIG_IGN && (action.sa_flags & SA_NOCLDSTOP) == 0)
            parent.SendSignalLocked(SIGCHLD, ChildInfo(SIGCHLD, code, status), null);
        parent.ChildWaiters.Notify(Waiting.PollEvents.All);
    }
}
