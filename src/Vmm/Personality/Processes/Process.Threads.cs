using Sandbox.Vmm.Personality.Files;

namespace Sandbox.Vmm.Personality;

// The threads of a process. Guarded by TaskLock.
public sealed partial class Process
{
    private long _endedThreadsCpu;

    /// <summary>The thread whose tid is the pid. It may have ended while others live on.</summary>
    public GuestThread Leader { get; internal set; } = null!;

    /// <summary>Head of the list of living threads.</summary>
    internal GuestThread? FirstThread { get; private set; }

    public int ThreadCount { get; private set; }

    /// <summary>exit_group(2) or a fatal signal: every thread is on its way out.</summary>
    internal bool IsGroupExiting { get; private set; }

    /// <summary>Exit status in the form of wait(2), once <see cref="IsGroupExiting"/>.</summary>
    internal int GroupExitStatus { get; private set; }

    /// <summary>The thread inside execve that waits for the others to end.</summary>
    internal GuestThread? ExecutingThread { get; set; }

    /// <summary>CPU time of all threads, the ended ones included. Takes TaskLock by itself when needed.</summary>
    public long CpuNanoseconds
    {
        get
        {
            lock (Personality.TaskLock)
            {
                long sum = _endedThreadsCpu;
                for (GuestThread? thread = FirstThread; thread is not null; thread = thread.NextSibling)
                    sum += thread.CpuNanoseconds;
                return sum;
            }
        }
    }

    /// <summary>CPU time of children that have been waited for.</summary>
    internal long ChildrenCpuNanoseconds { get; set; }

    /// <summary>Largest resident set seen, in bytes.</summary>
    internal ulong PeakResident { get; set; }

    internal ulong ChildrenPeakResident { get; set; }

    internal void AddThread(GuestThread thread)
    {
        thread.NextSibling = FirstThread;
        if (FirstThread is not null)
            FirstThread.PreviousSibling = thread;
        FirstThread = thread;
        ThreadCount++;
        Leader ??= thread;
        JoinStop(thread);
    }

    /// <returns>True when it was the last one.</returns>
    internal bool RemoveThread(GuestThread thread)
    {
        _endedThreadsCpu += thread.CpuNanoseconds;
        CountStopped(thread);
        thread.Pending.Discard(ulong.MaxValue);
        if (thread.PreviousSibling is null)
            FirstThread = thread.NextSibling;
        else
            thread.PreviousSibling.NextSibling = thread.NextSibling;
        if (thread.NextSibling is not null)
            thread.NextSibling.PreviousSibling = thread.PreviousSibling;
        thread.NextSibling = thread.PreviousSibling = null;
        ThreadCount--;
        ExecutingThread?.Parker.Unpark();
        return ThreadCount == 0;
    }

    /// <summary>Sends every thread out; the first status counts.</summary>
    internal void BeginGroupExit(int status)
    {
        if (IsGroupExiting)
            return;
        IsGroupExiting = true;
        GroupExitStatus = status;
        EndThreads(except: null);
    }

    internal void EndThreads(GuestThread? except)
    {
        for (GuestThread? thread = FirstThread; thread is not null; thread = thread.NextSibling)
        {
            if (thread == except)
                continue;
            thread.SetWork(ThreadWork.Exit);
            thread.Kick();
        }
    }
}
