using Sandbox.Host;
using Sandbox.Vmm.Personality.Signals;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

/// <summary>
/// A session: process groups under one controlling terminal (credentials(7)). The guest's first process finds
/// itself in session 1, which pid 1 leads: the sandbox stands where a login shell would.
/// </summary>
public sealed partial class Session(int id)
{
    public int Id { get; } = id;

    /// <summary>The process that called setsid(2); null when it has ended, and for session 1.</summary>
    public Process? Leader { get; internal set; }

    /// <summary>The leader has ended: the controlling terminal is given up. Runs under TaskLock.</summary>
    partial void OnLeaderExit();

    internal void LeaderExited()
    {
        Leader = null;
        OnLeaderExit();
    }
}

/// <summary>A process group, or job. Guarded by <see cref="LinuxPersonality.TaskLock"/>.</summary>
public sealed class ProcessGroup(int id, Session session)
{
    private readonly List<Process> _members = [];

    public int Id { get; } = id;

    public Session Session { get; } = session;

    /// <summary>Living processes and zombies.</summary>
    public IReadOnlyList<Process> Members => _members;

    internal void Add(Process process) => _members.Add(process);

    internal bool Remove(Process process)
    {
        _members.Remove(process);
        return _members.Count == 0;
    }

    /// <summary>
    /// True when nobody outside the group but inside the session could continue it: its members' terminal stops are
    /// then ignored. The guest's first process has the sandbox itself for such a parent.
    /// </summary>
    public bool IsOrphaned => IsOrphanedWithout(null);

    internal bool IsOrphanedWithout(Process? leaving)
    {
        foreach (Process member in _members)
        {
            if (member == leaving || member.IsDead)
                continue;
            if (member.Parent is { } parent ? parent.Group != this && parent.Group.Session == Session
                : member.IsFirst)
                return false;
        }
        return true;
    }

    public bool HasStoppedMember
    {
        get
        {
            foreach (Process member in _members)
            {
                if (member.IsStopped)
                    return true;
            }
            return false;
        }
    }

    /// <summary>Signals sent to the group as a whole, ever: a fork sees whether its child has missed one.</summary>
    internal long SignalsSent { get; private set; }

    internal void CountSignal() => SignalsSent++;

    internal void SendLocked(int signal, in siginfo_t info)
    {
        CountSignal();
        // Sending never changes membership: processes leave a group only when their own thread ends them.
        foreach (Process member in _members)
            member.SendSignalLocked(signal, info, null);
    }

    /// <summary>POSIX: a group that becomes orphaned while a member is stopped gets SIGHUP, then SIGCONT.</summary>
    internal void HangUpIfOrphaned(bool wasOrphaned, Process? leaving)
    {
        if (wasOrphaned || !IsOrphanedWithout(leaving) || !HasStoppedMember)
            return;
        SendLocked(SIGHUP, SignalInfo.Kernel(SIGHUP));
        SendLocked(SIGCONT, SignalInfo.Kernel(SIGCONT));
    }
}
