using System.Buffers.Binary;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// Scheduling: accepted and remembered, so that programs read back what they set. The host's scheduler decides.
static partial class ThreadCalls
{
    private const int MaximumPriority = 99;

    private static void RegisterScheduling(SystemCallTable table)
    {
        table.Add(SYS_sched_yield, "sched_yield", SchedYield, "");
        table.Add(SYS_sched_getaffinity, "sched_getaffinity", SchedGetaffinity, "pid size ptr");
        table.Add(SYS_sched_setaffinity, "sched_setaffinity", SchedSetaffinity, "pid size ptr");
        table.Add(SYS_sched_getscheduler, "sched_getscheduler", SchedGetscheduler, "pid");
        table.Add(SYS_sched_setscheduler, "sched_setscheduler", SchedSetscheduler, "pid enum:sched ptr");
        table.Add(SYS_sched_getparam, "sched_getparam", SchedGetparam, "pid ptr");
        table.Add(SYS_sched_setparam, "sched_setparam", SchedSetparam, "pid ptr");
        table.Add(SYS_sched_get_priority_max, "sched_get_priority_max", SchedGetPriorityMax, "enum:sched");
        table.Add(SYS_sched_get_priority_min, "sched_get_priority_min", SchedGetPriorityMin, "enum:sched");
        table.Add(SYS_sched_rr_get_interval, "sched_rr_get_interval", SchedRrGetInterval, "pid ptr");
        table.Add(SYS_sched_setattr, "sched_setattr", SchedSetattr, "pid ptr hex");
        table.Add(SYS_sched_getattr, "sched_getattr", SchedGetattr, "pid ptr size hex");
        table.Add(SYS_getpriority, "getpriority", Getpriority, "enum:priority pid");
        table.Add(SYS_setpriority, "setpriority", Setpriority, "enum:priority pid int");
        table.Add(SYS_ioprio_get, "ioprio_get", static (t, in a) => IOPRIO_CLASS_NONE, "int pid");
        table.Add(SYS_ioprio_set, "ioprio_set", static (t, in a) => 0, "int pid hex");
        table.Add(SYS_getcpu, "getcpu", Getcpu, "ptr ptr ptr");
    }

    private static long SchedYield(GuestThread thread, in SystemCallArguments a)
    {
        sched_yield();
        return 0;
    }

    /// <summary>The thread that a scheduling call names, 0 being the caller. Null is ESRCH.</summary>
    private static GuestThread? Named(GuestThread thread, int tid) =>
        tid == 0 ? thread : thread.Personality.FindThread(tid);

    private static long SchedGetaffinity(GuestThread thread, in SystemCallArguments a)
    {
        // The kernel wants room for its CPU mask, in whole words, and answers how much of it it used.
        ulong size = (uint)a.A1;
        int cpus = thread.Personality.CpuCount;
        int needed = (cpus + 63) / 64 * sizeof(ulong);
        if (size * 8 < (ulong)cpus || (size & 7) != 0)
            return -EINVAL;
        if (Named(thread, a.Int0) is not { } target)
            return -ESRCH;
        Span<byte> mask = stackalloc byte[needed];
        mask.Clear();
        for (int word = 0; word * 64 < cpus; word++)
        {
            int left = Math.Min(cpus - word * 64, 64);
            ulong bits = left == 64 ? ulong.MaxValue : (1UL << left) - 1;
            BinaryPrimitives.WriteUInt64LittleEndian(mask[(word * 8)..], word == 0 ? bits & target.Affinity : bits);
        }
        return thread.Memory.TryWrite(new VirtualAddress(a.A2), mask) ? needed : -EFAULT;
    }

    private static long SchedSetaffinity(GuestThread thread, in SystemCallArguments a)
    {
        Span<byte> mask = stackalloc byte[sizeof(ulong)];
        mask.Clear();
        int length = (int)Math.Min((uint)a.A1, (uint)mask.Length);
        if (!thread.Memory.TryRead(new VirtualAddress(a.A2), mask[..length]))
            return -EFAULT;
        if (Named(thread, a.Int0) is not { } target)
            return -ESRCH;
        ulong wanted = BinaryPrimitives.ReadUInt64LittleEndian(mask);
        int cpus = thread.Personality.CpuCount;
        ulong available = cpus >= 64 ? ulong.MaxValue : (1UL << cpus) - 1;
        if ((wanted & available) == 0)
            return -EINVAL;
        target.Affinity = wanted & available;
        return 0;
    }

    private static bool IsPolicy(int policy) =>
        policy is SCHED_NORMAL or SCHED_FIFO or SCHED_RR or SCHED_BATCH or SCHED_IDLE;

    private static long SchedGetscheduler(GuestThread thread, in SystemCallArguments a) =>
        a.Int0 < 0 ? -EINVAL : Named(thread, a.Int0)?.SchedulingPolicy ?? -ESRCH;

    private static long SchedSetscheduler(GuestThread thread, in SystemCallArguments a)
    {
        int policy = a.Int1 & ~SCHED_RESET_ON_FORK;
        if (a.Int0 < 0 || a.A2 == 0 || !IsPolicy(policy))
            return -EINVAL;
        return SetScheduler(thread, a.Int0, policy, a.A2);
    }

    private static long SetScheduler(GuestThread thread, int tid, int? policy, ulong address)
    {
        if (!thread.Memory.TryRead(new VirtualAddress(address), out sched_param param))
            return -EFAULT;
        if (Named(thread, tid) is not { } target)
            return -ESRCH;
        int wanted = policy ?? target.SchedulingPolicy;
        bool isRealTime = wanted is SCHED_FIFO or SCHED_RR;
        if (isRealTime ? param.sched_priority is < 1 or > MaximumPriority : param.sched_priority != 0)
            return -EINVAL;
        if (isRealTime)
            return -EPERM;
        target.SchedulingPolicy = wanted;
        return 0;
    }

    private static long SchedGetparam(GuestThread thread, in SystemCallArguments a)
    {
        if (a.Int0 < 0 || a.A1 == 0)
            return -EINVAL;
        if (Named(thread, a.Int0) is null)
            return -ESRCH;
        return thread.Memory.TryWrite(new VirtualAddress(a.A1), default(sched_param)) ? 0 : -EFAULT;
    }

    private static long SchedSetparam(GuestThread thread, in SystemCallArguments a) =>
        a.Int0 < 0 || a.A1 == 0 ? -EINVAL : SetScheduler(thread, a.Int0, null, a.A1);

    private static long SchedGetPriorityMax(GuestThread thread, in SystemCallArguments a) => a.Int0 switch
    {
        SCHED_FIFO or SCHED_RR => MaximumPriority,
        SCHED_NORMAL or SCHED_BATCH or SCHED_IDLE or SCHED_DEADLINE => 0,
        _ => -EINVAL,
    };

    private static long SchedGetPriorityMin(GuestThread thread, in SystemCallArguments a) => a.Int0 switch
    {
        SCHED_FIFO or SCHED_RR => 1,
        SCHED_NORMAL or SCHED_BATCH or SCHED_IDLE or SCHED_DEADLINE => 0,
        _ => -EINVAL,
    };

    private static long SchedRrGetInterval(GuestThread thread, in SystemCallArguments a)
    {
        const long slice = 4_000_000;
        if (a.Int0 < 0)
            return -EINVAL;
        if (Named(thread, a.Int0) is null)
            return -ESRCH;
        return thread.Memory.TryWrite(new VirtualAddress(a.A1), new timespec { tv_nsec = slice }) ? 0 : -EFAULT;
    }

    private static long SchedSetattr(GuestThread thread, in SystemCallArguments a)
    {
        // size, policy, flags, nice: the first 20 bytes of struct sched_attr.
        Span<byte> attributes = stackalloc byte[20];
        if (a.A1 == 0 || a.Int0 < 0 || a.A2 != 0)
            return -EINVAL;
        if (!thread.Memory.TryRead(new VirtualAddress(a.A1), attributes))
            return -EFAULT;
        int policy = BinaryPrimitives.ReadInt32LittleEndian(attributes[4..]);
        if (Named(thread, a.Int0) is not { } target)
            return -ESRCH;
        if (policy is SCHED_FIFO or SCHED_RR or SCHED_DEADLINE)
            return -EPERM;
        if (!IsPolicy(policy))
            return -EINVAL;
        target.SchedulingPolicy = policy;
        return 0;
    }

    private static long SchedGetattr(GuestThread thread, in SystemCallArguments a)
    {
        if (a.A1 == 0 || a.Int0 < 0 || a.A3 != 0 || (uint)a.A2 is < SCHED_ATTR_SIZE_VER0 or > Page.Size)
            return -EINVAL;
        if (Named(thread, a.Int0) is not { } target)
            return -ESRCH;
        Span<byte> attributes = stackalloc byte[SCHED_ATTR_SIZE_VER0];
        attributes.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(attributes, SCHED_ATTR_SIZE_VER0);
        BinaryPrimitives.WriteInt32LittleEndian(attributes[4..], target.SchedulingPolicy);
        BinaryPrimitives.WriteInt32LittleEndian(attributes[16..], target.Nice);
        return thread.Memory.TryWrite(new VirtualAddress(a.A1), attributes) ? 0 : -EFAULT;
    }

    /// <summary>Nice values travel as 20 - nice, so that they are never negative.</summary>
    private static long Getpriority(GuestThread thread, in SystemCallArguments a)
    {
        const int bias = 20;
        switch (a.Int0)
        {
            case PRIO_PROCESS:
                return Named(thread, a.Int1) is { } target ? bias - target.Nice : -ESRCH;
            case PRIO_PGRP:
            case PRIO_USER:
                return bias - thread.Nice;
            default:
                return -EINVAL;
        }
    }

    private static long Setpriority(GuestThread thread, in SystemCallArguments a)
    {
        if (a.Int0 is not (PRIO_PROCESS or PRIO_PGRP or PRIO_USER))
            return -EINVAL;
        GuestThread? target = a.Int0 == PRIO_PROCESS ? Named(thread, a.Int1) : thread;
        if (target is null)
            return -ESRCH;
        int nice = Math.Clamp(a.Int2, PRIO_MIN, PRIO_MAX - 1);
        if (nice < target.Nice && !thread.Process.Credentials.IsSuperuser)
            return -EACCES;
        target.Nice = nice;
        return 0;
    }

    private static long Getcpu(GuestThread thread, in SystemCallArguments a)
    {
        int cpu = Math.Max(sched_getcpu(), 0) % thread.Personality.CpuCount;
        if (a.A0 != 0 && !thread.Memory.TryWrite(new VirtualAddress(a.A0), cpu))
            return -EFAULT;
        return a.A1 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A1), 0) ? 0 : -EFAULT;
    }
}
