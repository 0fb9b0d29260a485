using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.SystemCalls;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

// Sessions, the foreground group, and who may read and write (credentials(7), termios(3)). Guarded by TaskLock.
public sealed unsafe partial class Terminal
{
    /// <summary>The session that this terminal controls, or null.</summary>
    public Session? Session { get; private set; }

    /// <summary>Process group that keys send signals to; 0 when there is none.</summary>
    public int ForegroundGroup { get; private set; }

    /// <summary>
    /// Makes this the controlling terminal of a session that has none; its leader's group is in front.
    /// </summary>
    internal void Control(Session session, int foregroundGroup)
    {
        lock (_personality!.TaskLock)
        {
            Session = session;
            ForegroundGroup = foregroundGroup;
            session.Terminal = this;
        }
    }

    /// <summary>Under TaskLock: the session no longer has this terminal.</summary>
    internal void Disown(bool hangUp)
    {
        if (hangUp && ForegroundGroup != 0 && _personality?.FindGroup(ForegroundGroup) is { } group)
        {
            group.SendLocked(SIGHUP, SignalInfo.Kernel(SIGHUP));
            group.SendLocked(SIGCONT, SignalInfo.Kernel(SIGCONT));
        }
        if (Session is not null)
            Session.Terminal = null;
        Session = null;
        ForegroundGroup = 0;
    }

    private void SignalForeground(int signal)
    {
        if (_personality is null)
            return;
        lock (_personality.TaskLock)
        {
            if (ForegroundGroup != 0)
                _personality.SignalProcessGroup(ForegroundGroup, signal, SignalInfo.Kernel(signal));
        }
    }

    /// <summary>The terminal is gone: SIGHUP and SIGCONT to the session's leader and the foreground group.</summary>
    private void SignalHangUp()
    {
        if (_personality is null)
            return;
        lock (_personality.TaskLock)
        {
            if (Session is null)
                return;
            if (Session.Leader is { } leader)
            {
                leader.SendSignal(SIGHUP, SignalInfo.Kernel(SIGHUP));
                leader.SendSignal(SIGCONT, SignalInfo.Kernel(SIGCONT));
            }
            Disown(hangUp: true);
        }
    }

    /// <summary>A read by a background job stops the job (SIGTTIN).</summary>
    /// <returns>0: go on; -EIO: it cannot be stopped; or <see cref="Restart.System"/>.</returns>
    public long CheckRead(GuestThread thread) => CheckJob(thread, SIGTTIN);

    /// <summary>A write by a background job stops it under TOSTOP, a change of settings always (SIGTTOU).</summary>
    public long CheckWrite(GuestThread thread, bool changesSettings) =>
        changesSettings || (Settings.c_lflag & TOSTOP) != 0 ? CheckJob(thread, SIGTTOU) : 0;

    private long CheckJob(GuestThread thread, int signal)
    {
        LinuxPersonality personality = thread.Personality;
        lock (personality.TaskLock)
        {
            Process process = thread.Process;
            if (Session is null || process.Session != Session || process.Group.Id == ForegroundGroup
                || ForegroundGroup == 0)
                return 0;
            bool ignored = SignalSet.Contains(thread.SignalMask, signal)
                || process.Actions[signal].sa_handler == SIG_IGN;
            if (signal == SIGTTOU && ignored)
                return 0;
            if (ignored || process.Group.IsOrphaned)
                return -EIO;
            process.Group.SendLocked(signal, SignalInfo.Kernel(signal));
            return Restart.System;
        }
    }

    /// <summary>TIOCSCTTY, and open(2) without O_NOCTTY by a session leader that has no terminal.</summary>
    /// <returns>0 or -EPERM.</returns>
    public long TryControl(GuestThread thread, bool steal)
    {
        LinuxPersonality personality = thread.Personality;
        lock (personality.TaskLock)
        {
            Process process = thread.Process;
            if (Session is not null && Session == process.Session)
                return 0;
            if (process.Session.Leader != process || process.Session.Terminal is not null)
                return -EPERM;
            if (Session is not null)
            {
                if (!steal || !process.Credentials.IsSuperuser)
                    return -EPERM;
                Disown(hangUp: false);
            }
            Control(process.Session, process.Group.Id);
            return 0;
        }
    }

    /// <summary>TIOCNOTTY.</summary>
    public long GiveUp(GuestThread thread)
    {
        LinuxPersonality personality = thread.Personality;
        lock (personality.TaskLock)
        {
            if (thread.Process.Session.Terminal != this)
                return -ENOTTY;
            // Another process than the leader would lose the terminal for itself alone; here it keeps it.
            if (thread.Process.Session.Leader == thread.Process)
                Disown(hangUp: true);
            return 0;
        }
    }

    /// <summary>TIOCGPGRP.</summary>
    public long GetForeground(GuestThread thread, bool fromMaster, out int group)
    {
        lock (thread.Personality.TaskLock)
        {
            group = ForegroundGroup;
            return fromMaster || (Session is not null && thread.Process.Session == Session) ? 0 : -ENOTTY;
        }
    }

    /// <summary>TIOCSPGRP.</summary>
    public long SetForeground(GuestThread thread, int group)
    {
        long result = CheckWrite(thread, changesSettings: true);
        if (result != 0)
            return result;
        LinuxPersonality personality = thread.Personality;
        lock (personality.TaskLock)
        {
            if (Session is null || thread.Process.Session != Session)
                return -ENOTTY;
            if (group < 0)
                return -EINVAL;
            if (personality.FindGroup(group) is not { } found)
                return -ESRCH;
            if (found.Session != Session)
                return -EPERM;
            ForegroundGroup = group;
            return 0;
        }
    }

    /// <summary>TIOCGSID.</summary>
    public long GetSession(GuestThread thread, bool fromMaster, out int session)
    {
        lock (thread.Personality.TaskLock)
        {
            session = Session?.Id ?? 0;
            if (Session is null)
                return -ENOTTY;
            return fromMaster || thread.Process.Session == Session ? 0 : -ENOTTY;
        }
    }
}
