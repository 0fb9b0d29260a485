using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Processes;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>Making, ending and awaiting processes, and how they are grouped.</summary>
static partial class ProcessCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_clone, "clone", Clone, "flags:clone ptr ptr ptr ptr", atExit: true);
        table.Add(SYS_clone3, "clone3", Clone3, "clone_args size", atExit: true);
        table.Add(SYS_fork, "fork", Fork, "", atExit: true);
        table.Add(SYS_vfork, "vfork", Vfork, "", atExit: true);
        table.Add(SYS_exit, "exit", Exit, "int", atExit: true);
        table.Add(SYS_exit_group, "exit_group", ExitGroup, "int", atExit: true);
        table.Add(SYS_wait4, "wait4", Wait4, "pid wstatus flags:wait ptr");
        table.Add(SYS_waitid, "waitid", Waitid, "enum:idtype pid siginfo flags:wait ptr");
        table.Add(SYS_getpid, "getpid", static (t, in a) => t.Process.Pid, "");
        table.Add(SYS_getppid, "getppid", static (t, in a) => t.Process.ParentPid, "");
        table.Add(SYS_getpgrp, "getpgrp", static (t, in a) => t.Process.Group.Id, "");
        table.Add(SYS_getpgid, "getpgid", Getpgid, "pid");
        table.Add(SYS_setpgid, "setpgid", Setpgid, "pid pid");
        table.Add(SYS_getsid, "getsid", Getsid, "pid");
        table.Add(SYS_setsid, "setsid", Setsid, "");
        table.Add(SYS_pidfd_open, "pidfd_open", PidfdOpen, "pid hex");
        table.Add(SYS_unshare, "unshare", Unshare, "flags:clone");
        table.Add(SYS_setns, "setns", static (t, in a) => -EPERM, "fd hex");
        RegisterExecution(table);
    }

    private static long Clone(GuestThread thread, in SystemCallArguments a)
    {
        // x86-64: clone(flags, stack, parent_tid, child_tid, tls); the low byte of the flags is the exit signal.
        ulong flags = (uint)a.A0;
        clone_args args = new()
        {
            flags = flags & ~(ulong)CSIGNAL,
            exit_signal = flags & CSIGNAL,
            stack = a.A1,
            parent_tid = a.A2,
            pidfd = a.A2,
            child_tid = a.A3,
            tls = a.A4,
        };
        // Both would be written to the same place.
        if ((flags & CLONE_PIDFD) != 0 && (flags & CLONE_PARENT_SETTID) != 0)
            return -EINVAL;
        return Cloning.Clone(thread, args);
    }

    private static long Clone3(GuestThread thread, in SystemCallArguments a)
    {
        ulong size = a.A1;
        if (size > Page.Size)
            return -E2BIG;
        if (size < CLONE_ARGS_SIZE_VER0)
            return -EINVAL;
        clone_args args = default;
        Span<byte> bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<clone_args>(ref args));
        int known = (int)Math.Min(size, (ulong)bytes.Length);
        if (!thread.Memory.TryRead(new VirtualAddress(a.A0), bytes[..known]))
            return -EFAULT;
        if (size > (ulong)known)
        {
            // Fields of a newer kernel must be unused.
            Span<byte> rest = stackalloc byte[Page.Size];
            rest = rest[..(int)(size - (ulong)known)];
            if (!new VirtualAddress(a.A0).TryAdd((ulong)known, out VirtualAddress from)
                || !thread.Memory.TryRead(from, rest))
                return -EFAULT;
            if (rest.ContainsAnyExcept((byte)0))
                return -E2BIG;
        }
        if ((args.flags & (ulong)CLONE_INTO_CGROUP) != 0)
            return -EPERM;
        if ((args.flags & CLONE_DETACHED) != 0 || (args.flags & CSIGNAL & ~(ulong)CLONE_NEWTIME) != 0)
            return -EINVAL;
        if ((args.flags & (CLONE_THREAD | CLONE_PARENT)) != 0 && args.exit_signal != 0)
            return -EINVAL;
        if ((args.stack == 0) != (args.stack_size == 0))
            return -EINVAL;
        if (args.set_tid_size != 0 || args.set_tid != 0)
            return args.set_tid == 0 ^ args.set_tid_size == 0 ? -EINVAL : -EPERM;
        return Cloning.Clone(thread, args);
    }

    private static long Fork(GuestThread thread, in SystemCallArguments a) =>
        Cloning.Clone(thread, new clone_args { exit_signal = SIGCHLD });

    private static long Vfork(GuestThread thread, in SystemCallArguments a) =>
        Cloning.Clone(thread, new clone_args { flags = CLONE_VFORK | CLONE_VM, exit_signal = SIGCHLD });

    private static long Exit(GuestThread thread, in SystemCallArguments a)
    {
        thread.BeginExit((a.Int0 & 0xff) << 8);
        return 0;
    }

    private static long ExitGroup(GuestThread thread, in SystemCallArguments a)
    {
        int status = (a.Int0 & 0xff) << 8;
        lock (thread.Personality.TaskLock)
            thread.Process.BeginGroupExit(status);
        // When another thread was first, its status counts, but this one leaves all the same.
        thread.BeginExit(status);
        return 0;
    }

    private static long Wait4(GuestThread thread, in SystemCallArguments a)
    {
        int pid = a.Int0, options = a.Int2;
        const int allowed = WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WALL | unchecked((int)__WCLONE);
        if ((options & ~allowed) != 0)
            return -EINVAL;
        if (pid == int.MinValue)
            return -ESRCH;
        ChildSelector selector = pid switch
        {
            -1 => new(P_ALL, 0),
            0 => new(P_PGID, thread.Process.Group.Id),
            < 0 => new(P_PGID, -pid),
            _ => new(P_PID, pid),
        };
        long result = ChildWait.Wait(thread, selector, options | WEXITED, out ChildReport report);
        if (result <= 0)
            return result;
        if (a.A1 != 0 && !thread.Memory.TryWrite(new VirtualAddress(a.A1), report.WaitStatus))
            return -EFAULT;
        return CopyUsage(thread, a.A3, report) ? report.Pid : -EFAULT;
    }

    private static long Waitid(GuestThread thread, in SystemCallArguments a)
    {
        int type = a.Int0, id = a.Int1, options = a.Int3;
        const int allowed = WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED
            | __WNOTHREAD | __WALL | unchecked((int)__WCLONE);
        if ((options & ~allowed) != 0 || (options & (WEXITED | WSTOPPED | WCONTINUED)) == 0)
            return -EINVAL;
        switch (type)
        {
            case P_ALL:
                break;
            case P_PID:
                if (id <= 0)
                    return -EINVAL;
                break;
            case P_PGID:
                if (id < 0)
                    return -EINVAL;
                if (id == 0)
                    id = thread.Process.Group.Id;
                break;
            case P_PIDFD:
                if (id < 0)
                    return -EINVAL;
                long pid = PidOf(thread, id, out bool nonBlocking);
                if (pid < 0)
                    return pid;
                if (nonBlocking && (options & WNOHANG) == 0)
                    options |= WNOHANG | NonBlockingPidfd;
                type = P_PID;
                id = (int)pid;
                break;
            default:
                return -EINVAL;
        }
        bool again = (options & NonBlockingPidfd) != 0;
        long result = ChildWait.Wait(thread, new(type, id), options & ~NonBlockingPidfd, out ChildReport report);
        if (result < 0)
            return result;
        if (result == 0 && again)
            return -EAGAIN;
        if (!CopyUsage(thread, a.A4, report))
            return -EFAULT;
        if (a.A2 == 0)
            return 0;
        siginfo_t info = default;
        if (result > 0)
        {
            info.si_signo = SIGCHLD;
            info.si_code = report.Code;
            info.si_pid = report.Pid;
            info.si_uid = report.Uid;
            info.si_status = report.Status;
        }
        return thread.Memory.TryWrite(new VirtualAddress(a.A2), info) ? 0 : -EFAULT;
    }

    /// <summary>Not an option of Linux: marks, inside this file, a wait on a pidfd with PIDFD_NONBLOCK.</summary>
    private const int NonBlockingPidfd = 0x100;

    private static long PidOf(GuestThread thread, int descriptor, out bool nonBlocking)
    {
        nonBlocking = false;
        Files.OpenFile? file = thread.Descriptors.Acquire(descriptor);
        if (file is null)
            return -EBADF;
        long result = -EBADF;
        if (file is PidFile pidFile)
        {
            nonBlocking = pidFile.IsNonBlocking;
            result = pidFile.Process.IsReaped ? -ECHILD : pidFile.Process.Pid;
        }
        file.Release();
        return result;
    }

    private static bool CopyUsage(GuestThread thread, ulong address, in ChildReport report)
    {
        if (address == 0)
            return true;
        rusage usage = default;
        usage.ru_utime = Time.GuestClock.ToTimeval(report.CpuNanoseconds);
        usage.ru_maxrss = (long)(report.PeakResident >> 10);
        return thread.Memory.TryWrite(new VirtualAddress(address), usage);
    }

    /// <summary>The process that a pid argument names, 0 being the caller. Under TaskLock.</summary>
    private static Process? Named(GuestThread thread, int pid) =>
        pid == 0 ? thread.Process : thread.Personality.FindProcess(pid);

    private static long Getpgid(GuestThread thread, in SystemCallArguments a)
    {
        lock (thread.Personality.TaskLock)
            return Named(thread, a.Int0)?.Group.Id ?? -ESRCH;
    }

    private static long Getsid(GuestThread thread, in SystemCallArguments a)
    {
        lock (thread.Personality.TaskLock)
            return Named(thread, a.Int0)?.Session.Id ?? -ESRCH;
    }

    private static long Setpgid(GuestThread thread, in SystemCallArguments a)
    {
        int groupId = a.Int1;
        if (groupId < 0)
            return -EINVAL;
        LinuxPersonality personality = thread.Personality;
        lock (personality.TaskLock)
        {
            if (Named(thread, a.Int0) is not { } process)
                return -ESRCH;
            if (groupId == 0)
                groupId = process.Pid;
            if (process != thread.Process)
            {
                if (process.Parent != thread.Process)
                    return -ESRCH;
                if (process.Session != thread.Process.Session)
                    return -EPERM;
                if (process.HasExecuted)
                    return -EACCES;
            }
            if (process.Session.Id == process.Pid)
                return -EPERM;
            ProcessGroup? group = personality.FindGroup(groupId);
            if (group is null)
            {
                if (groupId != process.Pid)
                    return -EPERM;
                group = personality.CreateGroup(groupId, process.Session);
            }
            else if (group.Session != process.Session)
            {
                return -EPERM;
            }
            if (process.Group == group)
                return 0;
            process.LeaveGroup();
            process.JoinGroup(group);
            return 0;
        }
    }

    private static long Setsid(GuestThread thread, in SystemCallArguments a)
    {
        LinuxPersonality personality = thread.Personality;
        Process process = thread.Process;
        lock (personality.TaskLock)
        {
            // Not when the caller leads a group, or when others are still in a group of that number.
            if (personality.FindGroup(process.Pid) is not null || process.Session.Id == process.Pid)
                return -EPERM;
            process.LeaveGroup();
            Session session = new(process.Pid) { Leader = process };
            process.JoinGroup(personality.CreateGroup(process.Pid, session));
            return process.Pid;
        }
    }

    private static long PidfdOpen(GuestThread thread, in SystemCallArguments a)
    {
        int pid = a.Int0;
        if ((a.Int1 & ~PIDFD_NONBLOCK) != 0 || pid <= 0)
            return -EINVAL;
        Process? process = thread.Personality.FindProcess(pid);
        if (process is null)
            return thread.Personality.FindThread(pid) is null ? -ESRCH : -EINVAL;
        return PidFile.Open(thread, process, a.Int1);
    }

    private static long Unshare(GuestThread thread, in SystemCallArguments a)
    {
        const uint harmless = CLONE_FS | CLONE_FILES | CLONE_SYSVSEM;
        const uint namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER
            | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME;
        const uint threadState = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
        uint flags = (uint)a.A0;
        if ((flags & ~(harmless | namespaces | threadState)) != 0)
            return -EINVAL;
        if ((flags & threadState) != 0 && thread.Process.ThreadCount > 1)
            return -EINVAL;
        if ((flags & namespaces) != 0)
            return -EPERM;
        Process process = thread.Process;
        // Descriptors and the working directory belong to the process here: threads cannot part with them singly.
        if ((flags & (CLONE_FS | CLONE_FILES)) != 0 && process.ThreadCount > 1)
            return -EINVAL;
        if ((flags & CLONE_FS) != 0)
            process.FileSystem = process.FileSystem.Copy();
        if ((flags & CLONE_FILES) != 0)
            process.UnshareDescriptors();
        return 0;
    }
}
