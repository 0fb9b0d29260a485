using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Processes;
using Sandbox.Vmm.Personality.Signals;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// Sending: who may signal whom (kill(2)), and how.
static partial class SignalCalls
{
    private static bool MaySignal(Process sender, Process target, int signal)
    {
        Credentials own = sender.Credentials, other = target.Credentials;
        if (own.IsSuperuser || sender == target)
            return true;
        if (own.EffectiveUid == other.SavedUid || own.EffectiveUid == other.RealUid
            || own.RealUid == other.SavedUid || own.RealUid == other.RealUid)
            return true;
        return signal == SIGCONT && sender.Session == target.Session;
    }

    /// <summary>Under TaskLock. Signal 0 only asks.</summary>
    private static long Send(GuestThread from, Process target, int signal, in siginfo_t info, GuestThread? thread)
    {
        if (!MaySignal(from.Process, target, signal))
            return -EPERM;
        return signal == 0 ? 0 : target.SendSignalLocked(signal, info, thread);
    }

    private static long Kill(GuestThread thread, in SystemCallArguments a)
    {
        int pid = a.Int0, signal = a.Int1;
        LinuxPersonality personality = thread.Personality;
        Process own = thread.Process;
        siginfo_t info = SignalInfo.User(signal, own.Pid, own.Credentials.RealUid);
        lock (personality.TaskLock)
        {
            if (pid > 0)
                return SendToProcess(thread, pid, signal, info);
            if (signal is < 0 or > SignalSet.Count)
                return -EINVAL;
            if (pid == -1)
                return SendToAll(thread, signal, info);
            if (pid == int.MinValue)
                return -ESRCH;
            ProcessGroup? group = pid == 0 ? own.Group : personality.FindGroup(-pid);
            if (group is null)
                return -ESRCH;
            group.CountSignal();
            // One success is success; else the last error.
            long result = -ESRCH;
            bool any = false;
            foreach (Process member in group.Members)
            {
                long error = Send(thread, member, signal, info, null);
                if (error == 0)
                    any = true;
                else
                    result = error;
            }
            return any ? 0 : result;
        }
    }

    private static long SendToProcess(GuestThread thread, int pid, int signal, in siginfo_t info)
    {
        if (signal is < 0 or > SignalSet.Count)
            return thread.Personality.FindProcess(pid) is null ? -ESRCH : -EINVAL;
        // Pid 1 exists for questions, but no signal has an effect on it.
        if (pid == LinuxPersonality.SandboxPid)
            return thread.Process.Credentials.IsSuperuser ? 0 : -EPERM;
        Process? target = thread.Personality.FindProcess(pid) ?? thread.Personality.FindThread(pid)?.Process;
        return target is null ? -ESRCH : Send(thread, target, signal, info, null);
    }

    private static long SendToAll(GuestThread thread, int signal, in siginfo_t info)
    {
        long result = -ESRCH;
        bool any = false;
        thread.Personality.SignalsToAll++;
        foreach (Process target in thread.Personality.ListProcesses())
        {
            if (target == thread.Process)
                continue;
            long error = Send(thread, target, signal, info, null);
            any |= error != -EPERM;
            if (error != 0)
                result = error;
        }
        return any ? 0 : result;
    }

    private static long Tkill(GuestThread thread, in SystemCallArguments a)
    {
        if (a.Int0 <= 0)
            return -EINVAL;
        Process own = thread.Process;
        return SendToThread(thread, 0, a.Int0, a.Int1, SignalInfo.Thread(a.Int1, own.Pid, own.Credentials.RealUid));
    }

    private static long Tgkill(GuestThread thread, in SystemCallArguments a)
    {
        if (a.Int0 <= 0 || a.Int1 <= 0)
            return -EINVAL;
        Process own = thread.Process;
        return SendToThread(
            thread, a.Int0, a.Int1, a.Int2, SignalInfo.Thread(a.Int2, own.Pid, own.Credentials.RealUid));
    }

    private static long SendToThread(GuestThread thread, int tgid, int tid, int signal, in siginfo_t info)
    {
        lock (thread.Personality.TaskLock)
        {
            GuestThread? target = thread.Personality.FindThread(tid);
            if (target is null || (tgid != 0 && target.Process.Pid != tgid))
                return -ESRCH;
            if (signal is < 0 or > SignalSet.Count)
                return -EINVAL;
            return Send(thread, target.Process, signal, info, target);
        }
    }

    private static long RtSigqueueinfo(GuestThread thread, in SystemCallArguments a)
    {
        if (!thread.Memory.TryRead(new VirtualAddress(a.A2), out siginfo_t info))
            return -EFAULT;
        info.si_signo = a.Int1;
        if (!MayForge(thread, a.Int0, info))
            return -EPERM;
        lock (thread.Personality.TaskLock)
            return SendToProcess(thread, a.Int0, a.Int1, info);
    }

    private static long RtTgsigqueueinfo(GuestThread thread, in SystemCallArguments a)
    {
        if (!thread.Memory.TryRead(new VirtualAddress(a.A3), out siginfo_t info))
            return -EFAULT;
        if (a.Int0 <= 0 || a.Int1 <= 0)
            return -EINVAL;
        info.si_signo = a.Int2;
        if (!MayForge(thread, a.Int1, info))
            return -EPERM;
        return SendToThread(thread, a.Int0, a.Int1, a.Int2, info);
    }

    /// <summary>Nobody may pretend to be the kernel, or kill(2), towards another process.</summary>
    private static bool MayForge(GuestThread thread, int pid, in siginfo_t info) =>
        (info.si_code < 0 && info.si_code != SI_TKILL) || pid == thread.Process.Pid || pid == thread.Tid;

    private static long PidfdSendSignal(GuestThread thread, in SystemCallArguments a)
    {
        if (a.Int3 != 0)
            return -EINVAL;
        Files.OpenFile? file = thread.Descriptors.Acquire(a.Int0);
        if (file is null)
            return -EBADF;
        // A descriptor of /proc/PID will do too: there were no others at first.
        Process? target = file is PidFile pidfd
            ? pidfd.Process
            : ((file as Files.InodeFile)?.Inode as Files.ProcTask)?.Whole;
        file.Release();
        if (target is null)
            return -EBADF;
        int signal = a.Int1;
        Process own = thread.Process;
        siginfo_t info = SignalInfo.User(signal, own.Pid, own.Credentials.RealUid);
        if (a.A2 != 0)
        {
            if (!thread.Memory.TryRead(new VirtualAddress(a.A2), out info))
                return -EFAULT;
            if (info.si_signo != signal)
                return -EINVAL;
            if (!MayForge(thread, target.Pid, info))
                return -EPERM;
        }
        if (signal is < 0 or > SignalSet.Count)
            return -EINVAL;
        lock (thread.Personality.TaskLock)
            return target.IsReaped ? -ESRCH : Send(thread, target, signal, info, null);
    }
}
