using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Processes;
using Sandbox.Vmm.Personality.Time;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>Threads: identity, thread-local state, futexes. Scheduling is in ThreadCalls.Scheduling.cs.</summary>
static partial class ThreadCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_gettid, "gettid", static (t, in a) => t.Tid, "");
        table.Add(SYS_set_tid_address, "set_tid_address", SetTidAddress, "ptr");
        table.Add(SYS_arch_prctl, "arch_prctl", ArchPrctl, "enum:arch_prctl ptr", atExit: true);
        table.Add(SYS_set_robust_list, "set_robust_list", SetRobustList, "ptr size");
        table.Add(SYS_get_robust_list, "get_robust_list", GetRobustList, "pid ptr ptr");
        table.Add(SYS_rseq, "rseq", static (t, in a) => -ENOSYS, "ptr size hex hex");
        table.Add(SYS_futex, "futex", Futex, "ptr futex_op uint ptr ptr hex");
        table.Add(SYS_futex_waitv, "futex_waitv", static (t, in a) => -ENOSYS, "ptr uint hex timespec enum:clock");
        RegisterScheduling(table);
    }

    private static long SetTidAddress(GuestThread thread, in SystemCallArguments a)
    {
        thread.ClearTidAddress = a.A0;
        return thread.Tid;
    }

    private static long ArchPrctl(GuestThread thread, in SystemCallArguments a)
    {
        switch (a.Int0)
        {
            case ARCH_SET_FS:
                if (a.A1 >= GuestThread.UserAddressEnd)
                    return -EPERM;
                thread.Cpu.FsBase = a.A1;
                return 0;
            case ARCH_SET_GS:
                if (a.A1 >= GuestThread.UserAddressEnd)
                    return -EPERM;
                thread.Cpu.GsBase = a.A1;
                return 0;
            case ARCH_GET_FS:
                return thread.Memory.TryWrite(new VirtualAddress(a.A1), thread.Cpu.FsBase) ? 0 : -EFAULT;
            case ARCH_GET_GS:
                return thread.Memory.TryWrite(new VirtualAddress(a.A1), thread.Cpu.GsBase) ? 0 : -EFAULT;
            case ARCH_GET_CPUID:
                return 1;
            case ARCH_GET_XCOMP_SUPP:
            case ARCH_GET_XCOMP_PERM:
                ulong components = thread.Cpu.ExtendedStateComponents;
                return thread.Memory.TryWrite(new VirtualAddress(a.A1), components) ? 0 : -EFAULT;
            default:
                // Shadow stacks, CPUID faulting, AMX: not offered.
                return -EINVAL;
        }
    }

    private static long SetRobustList(GuestThread thread, in SystemCallArguments a)
    {
        if (a.A1 != (ulong)System.Runtime.CompilerServices.Unsafe.SizeOf<robust_list_head>())
            return -EINVAL;
        thread.RobustList = a.A0;
        return 0;
    }

    private static long GetRobustList(GuestThread thread, in SystemCallArguments a)
    {
        GuestThread? target = a.Int0 == 0 ? thread : thread.Personality.FindThread(a.Int0);
        if (target is null)
            return -ESRCH;
        if (target.Process != thread.Process && !MayInspect(thread, target))
            return -EPERM;
        ulong size = (ulong)System.Runtime.CompilerServices.Unsafe.SizeOf<robust_list_head>();
        return thread.Memory.TryWrite(new VirtualAddress(a.A2), size)
            && thread.Memory.TryWrite(new VirtualAddress(a.A1), target.RobustList) ? 0 : -EFAULT;
    }

    private static bool MayInspect(GuestThread thread, GuestThread target)
    {
        Credentials own = thread.Process.Credentials, other = target.Process.Credentials;
        return own.IsSuperuser || own.FileSystemUid == other.RealUid;
    }

    private static long Futex(GuestThread thread, in SystemCallArguments a)
    {
        int operation = a.Int1;
        int command = operation & FUTEX_CMD_MASK;
        bool isPrivate = (operation & FUTEX_PRIVATE_FLAG) != 0;
        bool realtime = (operation & FUTEX_CLOCK_REALTIME) != 0;
        if (realtime && command is not (FUTEX_WAIT or FUTEX_WAIT_BITSET or FUTEX_LOCK_PI2))
            return -ENOSYS;
        FutexTable futexes = thread.Personality.Futexes;
        uint value = (uint)a.A2;
        long error, deadline;
        switch (command)
        {
            case FUTEX_WAIT:
            case FUTEX_WAIT_BITSET:
                uint bits = command == FUTEX_WAIT ? FUTEX_BITSET_MATCH_ANY : (uint)a.A5;
                if (bits == 0)
                    return -EINVAL;
                error = ReadDeadline(thread, a.A3, command == FUTEX_WAIT, realtime, out deadline);
                if (error != 0)
                    return error;
                return WaitForFutex(thread, new RestartState
                {
                    Address = a.A0, IsPrivate = isPrivate, Value = value, Bits = bits, Deadline = deadline,
                });
            case FUTEX_WAKE:
                return futexes.Wake(thread, a.A0, isPrivate, WakeCount(value), FUTEX_BITSET_MATCH_ANY);
            case FUTEX_WAKE_BITSET:
                if ((uint)a.A5 == 0)
                    return -EINVAL;
                return futexes.Wake(thread, a.A0, isPrivate, WakeCount(value), (uint)a.A5);
            case FUTEX_REQUEUE:
                return futexes.Requeue(thread, a.A0, a.A4, isPrivate, (int)value, a.Int3, null);
            case FUTEX_CMP_REQUEUE:
                return futexes.Requeue(thread, a.A0, a.A4, isPrivate, (int)value, a.Int3, (uint)a.A5);
            case FUTEX_WAKE_OP:
                return futexes.WakeOperation(
                    thread, a.A0, a.A4, isPrivate, WakeCount(value), WakeCount((uint)a.A3), (uint)a.A5);
            case FUTEX_LOCK_PI:
            case FUTEX_LOCK_PI2:
                // The old one counts in realtime without saying so.
                error = ReadDeadline(
                    thread, a.A3, relative: false, realtime || command == FUTEX_LOCK_PI, out deadline);
                return error != 0 ? error : futexes.Lock(thread, a.A0, isPrivate, deadline);
            case FUTEX_TRYLOCK_PI:
                return futexes.Lock(thread, a.A0, isPrivate, FutexTable.NoWait);
            case FUTEX_UNLOCK_PI:
                return futexes.Unlock(thread, a.A0, isPrivate);
            default:
                // Condition variables that move waiters to such a lock: C libraries have given them up.
                return -ENOSYS;
        }
    }

    /// <summary>The kernel wakes one even when asked for none.</summary>
    private static int WakeCount(uint value) => Math.Max((int)value, 1);

    private static long ReadDeadline(
        GuestThread thread, ulong address, bool relative, bool realtime, out long deadline)
    {
        deadline = Parker.Forever;
        if (address == 0)
            return 0;
        if (!thread.Memory.TryRead(new VirtualAddress(address), out timespec time))
            return -EFAULT;
        if (!GuestClock.TryToNanoseconds(time, out long nanoseconds))
            return -EINVAL;
        GuestClock clock = thread.Personality.Clock;
        deadline = relative ? clock.After(nanoseconds)
            : realtime ? clock.ToMonotonic(CLOCK_REALTIME, nanoseconds) : nanoseconds;
        return 0;
    }

    private static long WaitForFutex(GuestThread thread, in RestartState wait)
    {
        long result = thread.Personality.Futexes.Wait(
            thread, wait.Address, wait.IsPrivate, wait.Value, wait.Bits, wait.Deadline);
        if (result != Restart.System || wait.Deadline == Parker.Forever)
            return result;
        // A repeated call would wait for its whole timeout again.
        thread.RestartState = wait;
        thread.RestartFunction = static t => WaitForFutex(t, t.RestartState);
        return Restart.Block;
    }
}
