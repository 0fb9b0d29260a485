using System.Text;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Signals;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// prctl(2). Options that are not here answer EINVAL, as on a kernel without them.
static partial class InformationCalls
{
    /// <summary>TASK_COMM_LEN, the NUL included.</summary>
    private const int NameSize = 16;

    private static long Prctl(GuestThread thread, in SystemCallArguments a)
    {
        Process process = thread.Process;
        switch (a.Int0)
        {
            case PR_SET_NAME:
                return SetName(thread, a.A1);
            case PR_GET_NAME:
                Span<byte> name = stackalloc byte[NameSize];
                name.Clear();
                Encoding.Latin1.GetBytes(thread.Name, name[..^1]);
                return thread.Memory.TryWrite(new VirtualAddress(a.A1), name) ? 0 : -EFAULT;
            case PR_SET_PDEATHSIG:
                if (a.A1 > SignalSet.Count)
                    return -EINVAL;
                process.ParentDeathSignal = (int)a.A1;
                return 0;
            case PR_GET_PDEATHSIG:
                return thread.Memory.TryWrite(new VirtualAddress(a.A1), process.ParentDeathSignal) ? 0 : -EFAULT;
            case PR_GET_DUMPABLE:
                return process.Dumpable;
            case PR_SET_DUMPABLE:
                if (a.A1 > 1)
                    return -EINVAL;
                process.Dumpable = (int)a.A1;
                return 0;
            case PR_SET_NO_NEW_PRIVS:
                if (a.A1 != 1 || (a.A2 | a.A3 | a.A4) != 0)
                    return -EINVAL;
                process.NoNewPrivileges = true;
                return 0;
            case PR_GET_NO_NEW_PRIVS:
                return (a.A1 | a.A2 | a.A3 | a.A4) != 0 ? -EINVAL : process.NoNewPrivileges ? 1 : 0;
            case PR_SET_CHILD_SUBREAPER:
                process.IsSubreaper = a.A1 != 0;
                return 0;
            case PR_GET_CHILD_SUBREAPER:
                return thread.Memory.TryWrite(new VirtualAddress(a.A1), process.IsSubreaper ? 1 : 0) ? 0 : -EFAULT;
            case PR_CAPBSET_READ:
                return a.A1 > CAP_LAST_CAP ? -EINVAL : process.Credentials.IsSuperuser ? 1 : 0;
            case PR_CAPBSET_DROP:
                return !process.Credentials.IsSuperuser ? -EPERM : a.A1 > CAP_LAST_CAP ? -EINVAL : 0;
            case PR_CAP_AMBIENT:
                return Ambient(a);
            case PR_GET_KEEPCAPS:
            case PR_GET_SECUREBITS:
            case PR_GET_SECCOMP:
            case PR_GET_THP_DISABLE:
                return 0;
            case PR_SET_KEEPCAPS:
                return a.A1 > 1 ? -EINVAL : 0;
            case PR_SET_TIMERSLACK:
                thread.TimerSlack = (long)a.A1 <= 0 ? GuestThread.DefaultTimerSlack : a.A1;
                return 0;
            case PR_GET_TIMERSLACK:
                return (long)Math.Min(thread.TimerSlack, long.MaxValue);
            case PR_GET_TID_ADDRESS:
                return thread.Memory.TryWrite(new VirtualAddress(a.A1), thread.ClearTidAddress) ? 0 : -EFAULT;
            case PR_SET_THP_DISABLE:
                return (a.A2 | a.A3 | a.A4) != 0 ? -EINVAL : 0;
            case PR_GET_TSC:
                return thread.Memory.TryWrite(new VirtualAddress(a.A1), PR_TSC_ENABLE) ? 0 : -EFAULT;
            case PR_SET_PTRACER:
                return 0;
            default:
                // PR_SET_VMA too: C libraries name their mappings and do not mind.
                return -EINVAL;
        }
    }

    private static long SetName(GuestThread thread, ulong address)
    {
        Span<byte> name = stackalloc byte[NameSize];
        int length = thread.Memory.ReadString(new VirtualAddress(address), name);
        if (length == -EFAULT)
            return -EFAULT;
        // A longer name is cut, not refused; what does not fit has been copied up to the end of the buffer.
        if (length < 0)
        {
            if (!thread.Memory.TryRead(new VirtualAddress(address), name))
                return -EFAULT;
            length = NameSize - 1;
        }
        thread.Name = Encoding.Latin1.GetString(name[..length]);
        return 0;
    }

    private static long Ambient(in SystemCallArguments a)
    {
        if (a.A1 == PR_CAP_AMBIENT_CLEAR_ALL)
            return (a.A2 | a.A3 | a.A4) != 0 ? -EINVAL : 0;
        if (a.A2 > CAP_LAST_CAP || (a.A3 | a.A4) != 0)
            return -EINVAL;
        return (int)a.A1 switch
        {
            PR_CAP_AMBIENT_IS_SET or PR_CAP_AMBIENT_LOWER => 0,
            PR_CAP_AMBIENT_RAISE => -EPERM,
            _ => -EINVAL,
        };
    }
}
