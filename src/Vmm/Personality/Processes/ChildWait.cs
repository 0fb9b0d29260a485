using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Processes;

/// <summary>Which children a wait is for.</summary>
readonly record struct ChildSelector(int Type, int Id)
{
    public bool Matches(Process child) => Type switch
    {
        P_ALL => true,
        P_PID => child.Pid == Id,
        P_PGID => child.Group.Id == Id,
        _ => false,
    };
}

/// <summary>What a wait found: a child, and what has become of it.</summary>
struct ChildReport
{
    public int Pid;
    public uint Uid;
    /// <summary>CLD_EXITED and so on.</summary>
    public int Code;
    /// <summary>Exit status, or signal number.</summary>
    public int Status;
    /// <summary>The whole in the form of wait(2).</summary>
    public int WaitStatus;
    public long CpuNanoseconds;
    public ulong PeakResident;
}

/// <summary>wait4(2) and waitid(2) without the copying.</summary>
static class ChildWait
{
    private const int ContinuedWaitStatus = 0xffff;

    /// <returns>
    /// 1 with a report, 0 when there is nothing and WNOHANG was given, -ECHILD, or <see cref="Restart.System"/>.
    /// </returns>
    public static long Wait(GuestThread thread, ChildSelector selector, int options, out ChildReport report)
    {
        report = default;
        Process process = thread.Process;
        bool queued = false;
        try
        {
            while (true)
            {
                lock (thread.Personality.TaskLock)
                {
                    long result = Look(process, selector, options, out report);
                    if (result != 0 || (options & WNOHANG) != 0)
                        return result;
                    if (!queued)
                    {
                        thread.WaitEntry.Interest = PollEvents.All;
                        process.ChildWaiters.Add(thread.WaitEntry);
                        queued = true;
                    }
                }
                if (thread.MayWait() is var code and not 0)
                    return code;
                thread.Parker.Park(Parker.Forever);
            }
        }
        finally
        {
            if (queued)
                process.ChildWaiters.Remove(thread.WaitEntry);
        }
    }

    private static long Look(Process process, ChildSelector selector, int options, out ChildReport report)
    {
        report = default;
        bool any = false;
        foreach (Process child in process.Children)
        {
            if (!selector.Matches(child) || !MayWaitFor(child, options))
                continue;
            any = true;
            if (child.IsZombie)
            {
                if ((options & WEXITED) == 0)
                    continue;
                report = Describe(child);
                int signal = WTERMSIG(child.ExitStatus);
                report.Code = signal != 0 ? CLD_KILLED : CLD_EXITED;
                report.Status = signal != 0 ? signal : WEXITSTATUS(child.ExitStatus);
                report.WaitStatus = child.ExitStatus;
                if ((options & WNOWAIT) == 0)
                    child.Reap();
                return 1;
            }
            if (child.StopUnreported && (options & WSTOPPED) != 0)
            {
                report = Describe(child);
                report.Code = CLD_STOPPED;
                report.Status = child.StopSignal;
                report.WaitStatus = child.StopSignal << 8 | 0x7f;
                if ((options & WNOWAIT) == 0)
                    child.StopUnreported = false;
                return 1;
            }
            if (child.ContinueUnreported && (options & WCONTINUED) != 0)
            {
                report = Describe(child);
                report.Code = CLD_CONTINUED;
                report.Status = SIGCONT;
                report.WaitStatus = ContinuedWaitStatus;
                if ((options & WNOWAIT) == 0)
                    child.ContinueUnreported = false;
                return 1;
            }
        }
        return any ? 0 : -ECHILD;
    }

    /// <summary>__WALL, __WCLONE: children that do not send SIGCHLD are waited for only on request.</summary>
    private static bool MayWaitFor(Process child, int options) =>
        (options & __WALL) != 0
        || (child.ExitSignal != SIGCHLD) == ((options & unchecked((int)__WCLONE)) != 0);

    private static ChildReport Describe(Process child) => new()
    {
        Pid = child.Pid,
        Uid = child.Credentials.RealUid,
        CpuNanoseconds = child.CpuNanoseconds + child.ChildrenCpuNanoseconds,
        PeakResident = Math.Max(child.PeakResident, child.ChildrenPeakResident),
    };
}
