using System.Diagnostics.CodeAnalysis;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Platforms;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Processes;

/// <summary>Making threads and processes: clone(2), clone3(2), fork(2), vfork(2).</summary>
static class Cloning
{
    private const ulong Namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER
        | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME;

    /// <summary>The calls' arguments, checked as far as they do not depend on the caller.</summary>
    public static long Check(in clone_args args)
    {
        ulong flags = args.flags;
        if (args.exit_signal > SignalSet.Count)
            return -EINVAL;
        if (Has(flags, CLONE_SIGHAND) && !Has(flags, CLONE_VM))
            return -EINVAL;
        if (Has(flags, CLONE_THREAD) && !Has(flags, CLONE_SIGHAND))
            return -EINVAL;
        if ((flags & (CLONE_NEWNS | CLONE_FS)) == (CLONE_NEWNS | CLONE_FS)
            || (flags & (CLONE_NEWUSER | CLONE_FS)) == (CLONE_NEWUSER | CLONE_FS))
            return -EINVAL;
        if (Has(flags, CLONE_THREAD) && (flags & (CLONE_NEWUSER | CLONE_NEWPID)) != 0)
            return -EINVAL;
        if ((flags & (ulong)CLONE_CLEAR_SIGHAND) != 0 && Has(flags, CLONE_SIGHAND))
            return -EINVAL;
        if (Has(flags, CLONE_PIDFD) && (flags & (CLONE_DETACHED | CLONE_THREAD)) != 0)
            return -EINVAL;
        if ((flags & Namespaces) != 0)
            return -EPERM;
        return 0;
    }

    private static bool Has(ulong flags, int flag) => (flags & (uint)flag) != 0;

    /// <summary>The new tid, or a negative errno. Returns for vfork when the child lets go of the memory.</summary>
    public static long Clone(GuestThread parent, in clone_args args)
    {
        long error = Check(args);
        if (error != 0)
            return error;
        LinuxPersonality personality = parent.Personality;
        ulong flags = args.flags;
        (ProcessGroup Group, long Count) signals;
        lock (personality.TaskLock)
        {
            signals = GroupSignals(parent.Process);
            // One that the group has had already comes before the child: as on Linux, the call is made again behind it.
            if (parent.HasPendingSignal)
                return Restart.NoInterrupt;
        }
        // What the processor would refuse in FS.
        if (Has(flags, CLONE_SETTLS) && args.tls >= GuestThread.UserAddressEnd)
            return -EPERM;
        if (!parent.Process.Credentials.IsSuperuser
            && (ulong)personality.TaskCount >= parent.Process.Limits.Soft(RLIMIT_NPROC))
            return -EAGAIN;
        int tid = personality.ReservePid();
        if (tid == 0)
            return -EAGAIN;
        HostThreads.Worker? worker = personality.HostThreads.Rent();
        if (worker is null || !TryRentCpu(personality, out VirtualCpu? cpu))
        {
            personality.HostThreads.Return(worker);
            personality.ReleasePid(tid);
            return -EAGAIN;
        }
        Process? process = parent.Process;
        if (!Has(flags, CLONE_THREAD))
        {
            process = CreateProcess(parent, tid, flags);
            if (process is null)
            {
                personality.HostThreads.Return(worker);
                personality.Platform.ReturnCpu(cpu);
                personality.ReleasePid(tid);
                return -ENOMEM;
            }
            process.ExitSignal = Has(flags, CLONE_PARENT) ? parent.Process.ExitSignal : (int)args.exit_signal;
        }
        GuestThread child = new(process, tid, cpu);
        Inherit(parent, child, args);

        if (Has(flags, CLONE_PARENT_SETTID))
            parent.Memory.TryWrite(new VirtualAddress(args.parent_tid), tid);
        if (Has(flags, CLONE_CHILD_SETTID))
            child.Memory.TryWrite(new VirtualAddress(args.child_tid), tid);
        if (Has(flags, CLONE_PIDFD))
        {
            error = PidFile.Install(parent, child.Process, args.pidfd);
            if (error != 0)
            {
                personality.HostThreads.Return(worker);
                Abandon(child, flags);
                return error;
            }
        }
        if (!Publish(parent, child, flags, signals))
        {
            personality.HostThreads.Return(worker);
            Abandon(child, flags);
            return Restart.NoInterrupt;
        }
        worker.Start(child);
        if (Has(flags, CLONE_VFORK))
            WaitForVfork(parent, child);
        return tid;
    }

    /// <summary>False when the host gives no more virtual CPUs: for the guest that is EAGAIN, as for any limit.</summary>
    private static bool TryRentCpu(LinuxPersonality personality, [NotNullWhen(true)] out VirtualCpu? cpu)
    {
        try
        {
            cpu = personality.Platform.RentCpu();
            return true;
        }
        catch (HostException)
        {
            cpu = null;
            return false;
        }
    }

    private static Process? CreateProcess(GuestThread parent, int pid, ulong flags)
    {
        Process from = parent.Process;
        AddressSpace? memory = Has(flags, CLONE_VM) ? from.Memory.Share() : from.Memory.Fork(parent.Cpu);
        if (memory is null)
            return null;
        Process process = new(parent.Personality, pid)
        {
            Memory = memory,
            Descriptors = Has(flags, CLONE_FILES) ? from.Descriptors.Share() : from.Descriptors.Copy(),
            FileSystem = Has(flags, CLONE_FS) ? from.FileSystem : from.FileSystem.Copy(),
            StartedAt = parent.Personality.Clock.Monotonic,
        };
        process.InheritFrom(from);
        lock (parent.Personality.TaskLock)
        {
            process.Actions = Has(flags, CLONE_SIGHAND) ? from.Actions
                : (flags & (ulong)CLONE_CLEAR_SIGHAND) != 0 ? from.Actions.CopyIgnored() : from.Actions.Copy();
        }
        return process;
    }

    private static void Inherit(GuestThread parent, GuestThread child, in clone_args args)
    {
        ulong flags = args.flags;
        byte[] extended = new byte[VirtualCpu.ExtendedStateSize];
        parent.Cpu.SaveExtendedState(extended);
        InitialState state = new()
        {
            Registers = parent.Cpu.Registers,
            FsBase = Has(flags, CLONE_SETTLS) ? args.tls : parent.Cpu.FsBase,
            GsBase = parent.Cpu.GsBase,
            Extended = extended,
        };
        state.Registers.Rax = 0;
        if (args.stack != 0)
            state.Registers.Rsp = args.stack + args.stack_size;
        child.InitialState = state;
        child.Name = parent.Name;
        child.InheritSignalMask(parent.SignalMask);
        child.InheritScheduling(parent);
        // A shared stack needs an alternate stack of its own, except for vfork, where the parent does not run.
        child.AlternateStack = Has(flags, CLONE_VM) && !Has(flags, CLONE_VFORK)
            ? new() { ss_flags = SS_DISABLE } : parent.AlternateStack;
        if (Has(flags, CLONE_CHILD_CLEARTID))
            child.ClearTidAddress = args.child_tid;
    }

    /// <summary>Under TaskLock: changes when a process of this one's group is sent a signal with all others.</summary>
    private static (ProcessGroup Group, long Count) GroupSignals(Process process) =>
        (process.Group, process.Group.SignalsSent + process.Personality.SignalsToAll);

    /// <summary>
    /// Makes the child visible. False when it must not be: the parent is being killed, or its group was sent a signal
    /// that the child, which was not in it yet, has missed.
    /// </summary>
    private static bool Publish(
        GuestThread parent, GuestThread child, ulong flags, (ProcessGroup Group, long Count) signals)
    {
        LinuxPersonality personality = parent.Personality;
        Process process = child.Process;
        lock (personality.TaskLock)
        {
            if (parent.MustExit)
                return false;
            if (process != parent.Process)
            {
                if (GroupSignals(parent.Process) != signals)
                    return false;
                Process? adopter = Has(flags, CLONE_PARENT) ? parent.Process.Parent : parent.Process;
                adopter?.Adopt(process);
                process.JoinGroup(parent.Process.Group);
            }
            if (Has(flags, CLONE_VFORK))
            {
                parent.VforkDone = false;
                child.VforkParent = parent;
            }
            process.AddThread(child);
            personality.AddTask(child);
            child.RecalculatePending();
        }
        if (process != parent.Process)
            process.StartResourceLimits();
        return true;
    }

    private static void Abandon(GuestThread child, ulong flags)
    {
        LinuxPersonality personality = child.Personality;
        personality.Platform.ReturnCpu(child.Cpu);
        if (!Has(flags, CLONE_THREAD))
        {
            child.Process.Descriptors.Release(child.Process);
            child.Process.ExecutableFile?.Release();
            child.Process.Memory.Release();
        }
        personality.ReleasePid(child.Tid);
    }

    /// <summary>Only death cuts this short: stops and signals wait until the child execs or ends.</summary>
    private static void WaitForVfork(GuestThread parent, GuestThread child)
    {
        while (!parent.VforkDone && !parent.MustExit)
            parent.Parker.Park(Waiting.Parker.Forever);
        lock (parent.Personality.TaskLock)
        {
            if (child.VforkParent == parent)
                child.VforkParent = null;
        }
    }
}
