using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Time;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>About the system and the process: names, limits, usage, randomness; and what is refused.</summary>
static partial class InformationCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_uname, "uname", Uname, "ptr");
        table.Add(SYS_sysinfo, "sysinfo", Sysinfo, "ptr");
        table.Add(SYS_getrandom, "getrandom", Getrandom, "ptr size flags:getrandom");
        table.Add(SYS_getrusage, "getrusage", Getrusage, "enum:rusage ptr");
        table.Add(SYS_getrlimit, "getrlimit", Getrlimit, "enum:rlimit ptr");
        table.Add(SYS_setrlimit, "setrlimit", Setrlimit, "enum:rlimit rlimit");
        table.Add(SYS_prlimit64, "prlimit64", Prlimit64, "pid enum:rlimit rlimit ptr");
        table.Add(SYS_prctl, "prctl", Prctl, "enum:prctl hex hex hex hex");
        table.Add(SYS_personality, "personality", ProcessPersonality, "hex");
        table.Add(SYS_kcmp, "kcmp", Kcmp, "pid pid int hex hex");
        RegisterIdentities(table);
        RegisterRefusals(table);
    }

    private static unsafe long Uname(GuestThread thread, in SystemCallArguments a)
    {
        utsname names = default;
        LinuxPersonality personality = thread.Personality;
        Copy("Linux", names.sysname);
        Copy(personality.Plan.Hostname, names.nodename);
        Copy(LinuxPersonality.KernelRelease, names.release);
        Copy(LinuxPersonality.KernelVersion, names.version);
        Copy("x86_64", names.machine);
        Copy("(none)", names.domainname);
        return thread.Memory.TryWrite(new VirtualAddress(a.A0), names) ? 0 : -EFAULT;

        // The launch plan's rules keep host names ASCII and short enough.
        static void Copy(string text, byte* field) =>
            Encoding.ASCII.GetBytes(text, new Span<byte>(field, __NEW_UTS_LEN));
    }

    private static long Sysinfo(GuestThread thread, in SystemCallArguments a)
    {
        LinuxPersonality personality = thread.Personality;
        GuestMemory memory = personality.Memory;
        sysinfo info = new()
        {
            uptime = personality.Clock.BootTime / GuestClock.NanosecondsPerSecond,
            totalram = memory.LimitBytes,
            freeram = memory.LimitBytes - Math.Min(memory.UsedBytes, memory.LimitBytes),
            procs = (ushort)personality.TaskCount,
            mem_unit = 1,
        };
        return thread.Memory.TryWrite(new VirtualAddress(a.A0), info) ? 0 : -EFAULT;
    }

    private static unsafe long Getrandom(GuestThread thread, in SystemCallArguments a)
    {
        const int known = GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE;
        if ((a.Int2 & ~known) != 0 || (a.Int2 & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
            return -EINVAL;
        ulong wanted = Math.Min(a.A1, int.MaxValue);
        Span<byte> buffer = stackalloc byte[(int)Math.Min(wanted, 4096)];
        ulong done = 0;
        while (done < wanted)
        {
            Span<byte> chunk = buffer[..(int)Math.Min(wanted - done, (ulong)buffer.Length)];
            fixed (byte* bytes = chunk)
            {
                // Never short and never interrupted up to 256 bytes; above, the rest is simply asked for again.
                nint got = getrandom(bytes, (nuint)chunk.Length, 0);
                if (got < 0)
                {
                    if (errno == EINTR)
                        continue;
                    return done > 0 ? (long)done : -errno;
                }
                chunk = chunk[..(int)got];
            }
            if (!new VirtualAddress(a.A0).TryAdd(done, out VirtualAddress to) || !thread.Memory.TryWrite(to, chunk))
                return done > 0 ? (long)done : -EFAULT;
            done += (ulong)chunk.Length;
            if (thread.HasPendingSignal)
                break;
        }
        return (long)done;
    }

    private static long Getrusage(GuestThread thread, in SystemCallArguments a)
    {
        Process process = thread.Process;
        rusage usage = default;
        switch (a.Int0)
        {
            case RUSAGE_SELF:
                usage.ru_utime = GuestClock.ToTimeval(process.CpuNanoseconds);
                usage.ru_maxrss = (long)(process.UpdatePeakResident() >> 10);
                break;
            case RUSAGE_THREAD:
                usage.ru_utime = GuestClock.ToTimeval(thread.CpuNanoseconds);
                usage.ru_maxrss = (long)(process.UpdatePeakResident() >> 10);
                break;
            case RUSAGE_CHILDREN:
                usage.ru_utime = GuestClock.ToTimeval(process.ChildrenCpuNanoseconds);
                usage.ru_maxrss = (long)(process.ChildrenPeakResident >> 10);
                break;
            default:
                return -EINVAL;
        }
        return thread.Memory.TryWrite(new VirtualAddress(a.A1), usage) ? 0 : -EFAULT;
    }

    private static long Getrlimit(GuestThread thread, in SystemCallArguments a)
    {
        if ((uint)a.A0 >= RLIM_NLIMITS)
            return -EINVAL;
        return thread.Memory.TryWrite(new VirtualAddress(a.A1), LimitOf(thread.Process, a.Int0)) ? 0 : -EFAULT;
    }

    private static rlimit64 LimitOf(Process process, int resource) => new()
    {
        rlim_cur = process.Limits.Soft(resource), rlim_max = process.Limits.Hard(resource),
    };

    private static long Setrlimit(GuestThread thread, in SystemCallArguments a)
    {
        if (!thread.Memory.TryRead(new VirtualAddress(a.A1), out rlimit64 limit))
            return -EFAULT;
        return (uint)a.A0 >= RLIM_NLIMITS ? -EINVAL : SetLimit(thread, thread.Process, a.Int0, limit);
    }

    private static long Prlimit64(GuestThread thread, in SystemCallArguments a)
    {
        if ((uint)a.A1 >= RLIM_NLIMITS)
            return -EINVAL;
        rlimit64 limit = default;
        if (a.A2 != 0 && !thread.Memory.TryRead(new VirtualAddress(a.A2), out limit))
            return -EFAULT;
        Process? target = a.Int0 == 0 ? thread.Process : thread.Personality.FindProcess(a.Int0);
        if (target is null)
            return -ESRCH;
        if (target != thread.Process && !MayTouch(thread.Process.Credentials, target.Credentials))
            return -EPERM;
        rlimit64 old = LimitOf(target, a.Int1);
        if (a.A2 != 0)
        {
            long error = SetLimit(thread, target, a.Int1, limit);
            if (error != 0)
                return error;
        }
        return a.A3 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A3), old) ? 0 : -EFAULT;
    }

    private static bool MayTouch(Credentials own, Credentials other) => own.IsSuperuser
        || (own.RealUid == other.EffectiveUid && own.RealUid == other.RealUid && own.RealUid == other.SavedUid);

    private static long SetLimit(GuestThread thread, Process target, int resource, in rlimit64 limit)
    {
        if (limit.rlim_cur > limit.rlim_max)
            return -EINVAL;
        // What the plan bounds stays bounded, for the guest's superuser too.
        ulong ceiling = resource switch
        {
            RLIMIT_NOFILE => (ulong)target.Descriptors.Limit,
            RLIMIT_SIGPENDING => LinuxPersonality.QueuedSignalLimit,
            _ => ResourceLimits.Infinity,
        };
        if (limit.rlim_max > target.Limits.Hard(resource) && !thread.Process.Credentials.IsSuperuser
            || limit.rlim_max > ceiling)
            return -EPERM;
        lock (thread.Personality.TaskLock)
            target.Limits.Set(resource, limit.rlim_cur, limit.rlim_max);
        if (resource == RLIMIT_CPU)
            target.CpuLimit.Update();
        // One that has begun to end has no memory to bound.
        if (resource == RLIMIT_STACK && target.AcquireMemory() is { } memory)
        {
            memory.StackLimit = limit.rlim_cur;
            memory.Release();
        }
        return 0;
    }

    private static long ProcessPersonality(GuestThread thread, in SystemCallArguments a)
    {
        const uint query = 0xffff_ffff;
        uint old = thread.Process.PersonalityFlags;
        if ((uint)a.A0 != query)
            thread.Process.PersonalityFlags = (uint)a.A0;
        return old;
    }

    /// <summary>Whether two processes share something: an order that reveals no address (kcmp(2)).</summary>
    private static long Kcmp(GuestThread thread, in SystemCallArguments a)
    {
        const int vm = 1, files = 2, fs = 3, signals = 4;
        Process? first = thread.Personality.FindProcess(a.Int0), second = thread.Personality.FindProcess(a.Int1);
        if (first is null || second is null)
            return -ESRCH;
        if (!MayTouch(thread.Process.Credentials, first.Credentials)
            || !MayTouch(thread.Process.Credentials, second.Credentials))
            return -EPERM;
        bool? same = a.Int2 switch
        {
            0 => SameFile(first, a.A3, second, a.A4),
            vm => ReferenceEquals(first.Memory, second.Memory),
            files => ReferenceEquals(first.Descriptors, second.Descriptors),
            fs => ReferenceEquals(first.FileSystem, second.FileSystem),
            signals => ReferenceEquals(first.Actions, second.Actions),
            _ => null,
        };
        if (same is null)
            return a.Int2 == 0 ? -EBADF : -EINVAL;
        return same.Value ? 0 : a.Int0 < a.Int1 ? 1 : 2;
    }

    private static bool? SameFile(Process first, ulong descriptor1, Process second, ulong descriptor2)
    {
        Files.OpenFile? one = first.Descriptors.Acquire((int)Math.Min(descriptor1, int.MaxValue));
        Files.OpenFile? two = second.Descriptors.Acquire((int)Math.Min(descriptor2, int.MaxValue));
        bool? same = one is null || two is null ? null : ReferenceEquals(one, two);
        one?.Release();
        two?.Release();
        return same;
    }
}
