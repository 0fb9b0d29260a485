using Sandbox.Host;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.Time;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// Parents, children and the end of a process. Everything here runs under TaskLock unless it says otherwise.
public sealed partial class Process
{
    private readonly List<Process> _children = [];

    /// <summary>Who waits for this process; null when that is pid 1, the sandbox itself, which reaps at once.</summary>
    public Process? Parent { get; private set; }

    public int ParentPid => Parent?.Pid ?? LinuxPersonality.SandboxPid;

    public IReadOnlyList<Process> Children => _children;

    public ProcessGroup Group { get; private set; } = null!;

    public ProcessGroup ProcessGroup => Group;

    public Session Session => Group.Session;

    /// <summary>What the parent is sent when this process ends; 0 for nothing.</summary>
    internal int ExitSignal { get; set; } = SIGCHLD;

    /// <summary>All threads have ended; only the exit status is left, until somebody waits for it.</summary>
    public bool IsZombie { get; private set; }

    public bool IsDead => ThreadCount == 0;

    /// <summary>Its status has been taken: the pid may belong to another by now.</summary>
    internal bool IsReaped { get; private set; }

    /// <summary>As wait(2) reports it; meaningful once <see cref="IsZombie"/>.</summary>
    public int ExitStatus { get; private set; }

    /// <summary>Has called execve since fork: setpgid(2) by the parent is refused from then on.</summary>
    internal bool HasExecuted { get; set; }

    /// <summary>PR_SET_CHILD_SUBREAPER: orphaned descendants come here.</summary>
    internal bool IsSubreaper { get; set; }

    /// <summary>PR_SET_PDEATHSIG.</summary>
    internal int ParentDeathSignal { get; set; }

    /// <summary>Threads blocked in wait(2) for this process's children.</summary>
    internal WaitQueue ChildWaiters { get; } = new();

    internal void Adopt(Process child)
    {
        child.Parent = this;
        _children.Add(child);
    }

    internal void JoinGroup(ProcessGroup group)
    {
        Group = group;
        group.Add(this);
    }

    internal void LeaveGroup()
    {
        if (Group.Remove(this))
            Personality.ForgetGroup(Group);
    }

    internal siginfo_t ChildInfo(int signal, int code, int status) => SignalInfo.Child(
        signal, code, Pid, Credentials.RealUid, status,
        CpuNanoseconds / GuestClock.NanosecondsPerTick, 0);

    /// <summary>
    /// The last thread is gone and everything the process held is released. Its children find a new parent, its own
    /// parent hears of it, and it becomes a zombie or vanishes.
    /// </summary>
    internal void BecomeZombie(int status)
    {
        ExitStatus = status;
        IsZombie = true;
        IsStopped = false;
        StopUnreported = ContinueUnreported = false;
        DiscardEverywhere(ulong.MaxValue);

        OrphanChildren();
        bool wasOrphaned = Group.IsOrphaned;
        if (Session.Leader == this)
            Session.LeaderExited();
        // "Was" is meant with this process alive, which the count of threads no longer shows.
        Group.HangUpIfOrphaned(wasOrphaned && !ConnectsGroup(), this);

        Personality.OnProcessEnded(this);
        ExitWaiters.Notify(PollEvents.Readable);
        TellParent();
    }

    /// <summary>The zombie's parent hears of its end; it vanishes if that does not want to know.</summary>
    private void TellParent()
    {
        if (Parent is not { } parent)
        {
            Reap();
            return;
        }
        bool reap = false;
        if (ExitSignal == SIGCHLD)
        {
            ref kernel_sigaction action = ref parent.Actions[SIGCHLD];
            reap = action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT) != 0;
        }
        if (ExitSignal != 0)
        {
            int signal = WTERMSIG(ExitStatus);
            parent.SendSignalLocked(
                ExitSignal,
                signal != 0 ? ChildInfo(ExitSignal, CLD_KILLED, signal)
                    : ChildInfo(ExitSignal, CLD_EXITED, WEXITSTATUS(ExitStatus)),
                null);
        }
        if (reap)
            Reap();
        parent.ChildWaiters.Notify(PollEvents.All);
    }

    /// <summary>Whether this process, before it ended, kept its group from being orphaned.</summary>
    private bool ConnectsGroup() => Parent is { } parent
        ? parent.Group != Group && parent.Session == Session
        : IsFirst;

    /// <summary>The program that the guest was started for: when it ends, the guest ends.</summary>
    public bool IsFirst => Pid == LinuxPersonality.FirstPid;

    /// <summary>Told when the process has ended: pidfds.</summary>
    public WaitQueue ExitWaiters { get; } = new();

    private void OrphanChildren()
    {
        Process? heir = Parent;
        while (heir is not null && (!heir.IsSubreaper || heir.IsDead))
            heir = heir.Parent;
        for (int i = _children.Count - 1; i >= 0; i--)
        {
            Process child = _children[i];
            bool wasOrphaned = child.Group.IsOrphaned;
            _children.RemoveAt(i);
            child.Parent = null;
            heir?.Adopt(child);
            // Whatever its parent was to be sent: the new one did not choose it.
            child.ExitSignal = SIGCHLD;
            if (child.IsZombie)
            {
                child.TellParent();
                continue;
            }
            if (child.ParentDeathSignal != 0)
                child.SendSignalLocked(
                    child.ParentDeathSignal, SignalInfo.User(child.ParentDeathSignal, Pid, Credentials.RealUid), null);
            child.Group.HangUpIfOrphaned(wasOrphaned, null);
        }
    }

    /// <summary>The exit status has been taken: the pid becomes free.</summary>
    internal void Reap()
    {
        if (Parent is { } parent)
        {
            parent._children.Remove(this);
            parent.ChildrenCpuNanoseconds += CpuNanoseconds + ChildrenCpuNanoseconds;
            parent.ChildrenPeakResident = Math.Max(
                parent.ChildrenPeakResident, Math.Max(PeakResident, ChildrenPeakResident));
            Parent = null;
        }
        IsReaped = true;
        LeaveGroup();
        Personality.ForgetProcess(this);
    }
}
