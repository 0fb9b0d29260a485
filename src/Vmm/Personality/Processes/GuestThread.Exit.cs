using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Signals;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// The end of a thread, and with the last one of its process (exit(2), exit_group(2)).
public sealed partial class GuestThread
{
    /// <summary>set_tid_address(2) and CLONE_CHILD_CLEARTID: zeroed and woken when the thread ends. 0 for none.</summary>
    internal ulong ClearTidAddress { get; set; }

    /// <summary>set_robust_list(2). 0 for none.</summary>
    internal ulong RobustList { get; set; }

    /// <summary>Suspended by CLONE_VFORK until this thread lets go of the memory. Guarded by TaskLock.</summary>
    internal GuestThread? VforkParent { get; set; }

    /// <summary>In the form of wait(2): what exit(2) was called with.</summary>
    internal int ExitStatus { get; set; }

    /// <summary>exit(2): this thread leaves after the current call.</summary>
    internal void BeginExit(int status)
    {
        ExitStatus = status;
        SetWork(ThreadWork.Exit);
    }

    /// <summary>Gives up the memory that the thread used: what others wait for in it is released.</summary>
    internal void LeaveMemory()
    {
        if (RobustList != 0)
            RobustFutexes.Release(this);
        RobustList = 0;
        if (ClearTidAddress != 0 && Memory.TryWrite(new VirtualAddress(ClearTidAddress), 0))
            Personality.Futexes.Wake(this, ClearTidAddress, isPrivate: false, 1, FUTEX_BITSET_MATCH_ANY);
        ClearTidAddress = 0;
        lock (Personality.TaskLock)
        {
            if (VforkParent is not { } waiting)
                return;
            VforkParent = null;
            waiting.VforkDone = true;
            waiting.Parker.Unpark();
        }
    }

    private void Leave()
    {
        Process process = Process;
        if (!Personality.HasEnded)
            LeaveMemory();
        bool last;
        int status;
        lock (Personality.TaskLock)
        {
            FreezeCpuAccounting();
            last = process.RemoveThread(this);
            HasEnded = true;
            status = process.IsGroupExiting ? process.GroupExitStatus : process.Leader.ExitStatus;
            if (!last && this != process.Leader)
                Personality.ForgetTask(Tid);
            // Timers that signal this thread alone have nobody to signal any more.
            process.Retarget(this);
        }
        Personality.Tracer?.ThreadEnded(this, process.IsGroupExiting ? process.GroupExitStatus : ExitStatus);
        if (last)
            process.End(this, status);
        LetBuffersGo();
        ChargeEnd();
    }
}
