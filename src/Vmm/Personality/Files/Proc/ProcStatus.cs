using System.Globalization;
using System.Text;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.Time;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>The files of /proc/PID that say how a process is: stat, status, statm, limits and the small ones.</summary>
static class ProcStatus
{
    /// <summary>UNIX98_PTY_SLAVE_MAJOR.</summary>
    private const uint TerminalMajor = 136;

    private const string NoCapabilities = "0000000000000000";

    private readonly record struct SignalSets(ulong Pending, ulong SharedPending, ulong Blocked, ulong Ignored, ulong Caught);

    private static SignalSets Signals(ProcTarget target)
    {
        Process process = target.Process;
        lock (process.Personality.TaskLock)
        {
            ulong ignored = 0, caught = 0;
            for (int signal = 1; signal <= SignalSet.Count; signal++)
            {
                if (process.Actions.HasHandler(signal))
                    caught |= SignalSet.Of(signal);
                else if (process.Actions[signal].sa_handler == SIG_IGN)
                    ignored |= SignalSet.Of(signal);
            }
            return new(target.Shown.Pending.Set, process.SharedPending.Set, target.Shown.SignalMask, ignored, caught);
        }
    }

    private static char State(ProcTarget target) => target.Process.IsDead ? 'Z' : target.Shown.StateLetter;

    /// <summary>Resident and mapped bytes; a process that is ending has none left to count.</summary>
    private static (ulong Resident, ulong Mapped) Memory(Process process)
    {
        if (process.AcquireMemory() is not { } memory)
            return default;
        (ulong Resident, ulong Mapped) usage = memory.Usage;
        memory.Release();
        return usage;
    }

    /// <summary>proc(5), /proc/pid/stat: 52 fields.</summary>
    public static byte[] Stat(ProcTarget target)
    {
        Process process = target.Process;
        SignalSets signals = Signals(target);
        (ulong resident, ulong mapped) = Memory(process);
        Loader.LoadedProgram? program = process.Program;
        Terminals.Terminal? terminal = process.Session.Terminal;
        long cpu = target.Thread?.CpuNanoseconds ?? process.CpuNanoseconds;
        long started = target.Thread?.StartedAt ?? process.StartedAt;

        TextBuilder text = new();
        text.Add(target.Thread?.Tid ?? process.Pid).Add(" (").Add(Encoding.Latin1.GetBytes(target.Shown.Name)).Add(") ")
            .Add(State(target)).Add(' ').Add(process.ParentPid).Add(' ').Add(process.Group.Id).Add(' ')
            .Add(process.Session.Id).Add(' ').Add(terminal is null ? 0 : (long)makedev(TerminalMajor, (uint)terminal.Number)).Add(' ')
            .Add(terminal?.ForegroundGroup is > 0 and int group ? group : -1);
        // flags minflt cminflt majflt cmajflt
        text.Add(" 4194304 0 0 0 0 ");
        text.Add(Ticks(cpu)).Add(" 0 ").Add(Ticks(process.ChildrenCpuNanoseconds)).Add(" 0 ");
        // priority nice num_threads itrealvalue starttime
        text.Add("20 0 ").Add(process.ThreadCount).Add(" 0 ").Add(Ticks(started)).Add(' ');
        text.Add(mapped).Add(' ').Add(resident / Page.Size).Add(' ').Add(process.Limits.Soft(RLIMIT_RSS)).Add(' ');
        // startcode endcode startstack kstkesp kstkeip
        text.Add(program?.CodeStart ?? 0).Add(' ').Add(program?.CodeEnd ?? 0).Add(' ').Add(program?.StackTop ?? 0)
            .Add(" 0 0 ");
        text.Add(signals.Pending).Add(' ').Add(signals.Blocked).Add(' ').Add(signals.Ignored).Add(' ')
            .Add(signals.Caught);
        // wchan nswap cnswap exit_signal processor rt_priority policy blkio guest_time cguest_time
        text.Add(" 0 0 0 ").Add(process.ExitSignal).Add(" 0 0 0 0 0 0 ");
        // start_data end_data start_brk arg_start arg_end env_start env_end exit_code
        text.Add("0 0 ").Add(program?.BreakStart ?? 0).Add(' ')
            .Add(process.ArgumentArea.Start).Add(' ').Add(process.ArgumentArea.End).Add(' ')
            .Add(process.EnvironmentArea.Start).Add(' ').Add(process.EnvironmentArea.End).Add(' ')
            .Add(process.ExitStatus).Add('\n');
        return text.ToArray();
    }

    private static long Ticks(long nanoseconds) => nanoseconds / GuestClock.NanosecondsPerTick;

    public static byte[] Status(ProcTarget target)
    {
        Process process = target.Process;
        Credentials credentials = process.Credentials;
        SignalSets signals = Signals(target);
        (ulong resident, ulong mapped) = Memory(process);
        Loader.LoadedProgram? program = process.Program;
        char state = State(target);

        TextBuilder text = new();
        text.Add("Name:\t").AddMangled(Encoding.Latin1.GetBytes(target.Shown.Name), "\n"u8).Add('\n');
        if (!process.IsDead)
            text.Add("Umask:\t").Add(Convert.ToString(process.FileSystem.Umask, 8).PadLeft(4, '0')).Add('\n');
        text.Add("State:\t").Add(state).Add(state switch
        {
            'S' => " (sleeping)\n",
            'T' => " (stopped)\n",
            'Z' => " (zombie)\n",
            _ => " (running)\n",
        });
        text.Add("Tgid:\t").Add(process.Pid).Add("\nNgid:\t0\nPid:\t").Add(target.Thread?.Tid ?? process.Pid)
            .Add("\nPPid:\t").Add(process.ParentPid).Add("\nTracerPid:\t0\n");
        text.Add("Uid:\t").Add(credentials.RealUid).Add('\t').Add(credentials.EffectiveUid).Add('\t')
            .Add(credentials.SavedUid).Add('\t').Add(credentials.FileSystemUid).Add('\n');
        text.Add("Gid:\t").Add(credentials.RealGid).Add('\t').Add(credentials.EffectiveGid).Add('\t')
            .Add(credentials.SavedGid).Add('\t').Add(credentials.FileSystemGid).Add('\n');
        text.Add("FDSize:\t").Add(64).Add("\nGroups:\t");
        foreach (uint group in credentials.Groups)
            text.Add(group).Add(' ');
        text.Add("\nNStgid:\t").Add(process.Pid).Add("\nNSpid:\t").Add(target.Thread?.Tid ?? process.Pid)
            .Add("\nNSpgid:\t").Add(process.Group.Id).Add("\nNSsid:\t").Add(process.Session.Id).Add('\n');
        if (!process.IsDead)
        {
            ulong code = program is null ? 0 : program.CodeEnd - program.CodeStart;
            Kilobytes(text, "VmPeak", mapped);
            Kilobytes(text, "VmSize", mapped);
            Kilobytes(text, "VmLck", 0);
            Kilobytes(text, "VmPin", 0);
            Kilobytes(text, "VmHWM", Math.Max(process.PeakResident, resident));
            Kilobytes(text, "VmRSS", resident);
            Kilobytes(text, "RssAnon", resident);
            Kilobytes(text, "RssFile", 0);
            Kilobytes(text, "RssShmem", 0);
            Kilobytes(text, "VmData", mapped - Math.Min(code, mapped));
            Kilobytes(text, "VmStk", Math.Min(process.Limits.Soft(RLIMIT_STACK), 132 << 10));
            Kilobytes(text, "VmExe", code);
            Kilobytes(text, "VmLib", 0);
            Kilobytes(text, "VmPTE", 0);
            Kilobytes(text, "VmSwap", 0);
            text.Add("CoreDumping:\t0\nTHP_enabled:\t1\n");
        }
        text.Add("Threads:\t").Add(process.ThreadCount).Add("\nSigQ:\t0/").Add(LinuxPersonality.QueuedSignalLimit);
        Hexadecimal(text, "SigPnd", signals.Pending);
        Hexadecimal(text, "ShdPnd", signals.SharedPending);
        Hexadecimal(text, "SigBlk", signals.Blocked);
        Hexadecimal(text, "SigIgn", signals.Ignored);
        Hexadecimal(text, "SigCgt", signals.Caught);
        ulong capabilities = credentials.IsSuperuser ? (1UL << (CAP_LAST_CAP + 1)) - 1 : 0;
        text.Add("\nCapInh:\t").Add(NoCapabilities);
        Hexadecimal(text, "CapPrm", capabilities);
        Hexadecimal(text, "CapEff", capabilities);
        Hexadecimal(text, "CapBnd", (1UL << (CAP_LAST_CAP + 1)) - 1);
        text.Add("\nCapAmb:\t").Add(NoCapabilities);
        text.Add("\nNoNewPrivs:\t").Add(process.NoNewPrivileges ? 1 : 0).Add("\nSeccomp:\t0\nSeccomp_filters:\t0\n");
        int cpus = process.Personality.CpuCount;
        text.Add("Cpus_allowed:\t").Add(ProcSystem.CpuMask(cpus)).Add("\nCpus_allowed_list:\t")
            .Add(ProcSystem.CpuList(cpus)).Add("\nMems_allowed:\t1\nMems_allowed_list:\t0\n");
        text.Add("voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n");
        return text.ToArray();
    }

    private static void Kilobytes(TextBuilder text, string name, ulong bytes) =>
        text.Add(name).Add(":\t").AddRight((long)(bytes >> 10), 8).Add(" kB\n");

    private static void Hexadecimal(TextBuilder text, string name, ulong set) =>
        text.Add('\n').Add(name).Add(":\t").AddHex(set, 16);

    public static byte[] Statm(ProcTarget target)
    {
        (ulong resident, ulong mapped) = Memory(target.Process);
        Loader.LoadedProgram? program = target.Process.Program;
        ulong code = program is null || target.Process.IsDead ? 0 : program.CodeEnd - program.CodeStart;
        return new TextBuilder().Add(mapped / Page.Size).Add(' ').Add(resident / Page.Size).Add(" 0 ")
            .Add((code + Page.Size - 1) / Page.Size).Add(" 0 ").Add((mapped - Math.Min(code, mapped)) / Page.Size)
            .Add(" 0\n").ToArray();
    }

    public static byte[] Comm(ProcTarget target) =>
        new TextBuilder().Add(Encoding.Latin1.GetBytes(target.Shown.Name)).Add('\n').ToArray();

    /// <summary>A process may name its own threads (proc(5), /proc/pid/comm).</summary>
    public static long SetComm(ProcTarget target, in Caller caller, byte[] text)
    {
        const int maximumName = 15;
        if (caller.Thread?.Process != target.Process)
            return -EINVAL;
        int end = Array.IndexOf(text, (byte)0);
        ReadOnlySpan<byte> name = text.AsSpan(0, end < 0 ? text.Length : end).TrimEnd((byte)'\n');
        target.Shown.Name = Encoding.Latin1.GetString(name[..Math.Min(name.Length, maximumName)]);
        return 0;
    }

    public static byte[] OomAdjustment(ProcTarget target) =>
        new TextBuilder().Add(target.Process.OutOfMemoryAdjustment).Add('\n').ToArray();

    /// <summary>Kept for those who read it back; the memory limit ends the whole guest, whoever asks for more.</summary>
    public static long SetOomAdjustment(ProcTarget target, in Caller caller, byte[] text)
    {
        const int bound = 1000;
        string value = Encoding.Latin1.GetString(text).Trim();
        if (!int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int adjustment)
            || adjustment is < -bound or > bound)
            return -EINVAL;
        if (adjustment < target.Process.OutOfMemoryAdjustment && !caller.Credentials.IsSuperuser)
            return -EACCES;
        target.Process.OutOfMemoryAdjustment = adjustment;
        return 0;
    }

    public static byte[] Personality(ProcTarget target) =>
        new TextBuilder().AddHex(target.Process.PersonalityFlags, 8).Add('\n').ToArray();

    private static readonly (string Name, int Resource, string Unit)[] LimitRows =
    [
        ("Max cpu time", RLIMIT_CPU, "seconds"),
        ("Max file size", RLIMIT_FSIZE, "bytes"),
        ("Max data size", RLIMIT_DATA, "bytes"),
        ("Max stack size", RLIMIT_STACK, "bytes"),
        ("Max core file size", RLIMIT_CORE, "bytes"),
        ("Max resident set", RLIMIT_RSS, "bytes"),
        ("Max processes", RLIMIT_NPROC, "processes"),
        ("Max open files", RLIMIT_NOFILE, "files"),
        ("Max locked memory", RLIMIT_MEMLOCK, "bytes"),
        ("Max address space", RLIMIT_AS, "bytes"),
        ("Max file locks", RLIMIT_LOCKS, "locks"),
        ("Max pending signals", RLIMIT_SIGPENDING, "signals"),
        ("Max msgqueue size", RLIMIT_MSGQUEUE, "bytes"),
        ("Max nice priority", RLIMIT_NICE, ""),
        ("Max realtime priority", RLIMIT_RTPRIO, ""),
        ("Max realtime timeout", RLIMIT_RTTIME, "us"),
    ];

    public static byte[] Limits(ProcTarget target)
    {
        TextBuilder text = new();
        text.Add("Limit").PadTo(26).Add("Soft Limit").PadTo(47).Add("Hard Limit").PadTo(68).Add("Units     \n");
        foreach ((string name, int resource, string unit) in LimitRows)
        {
            text.Add(name).PadTo(26);
            Limit(text, target.Process.Limits.Soft(resource), 47);
            Limit(text, target.Process.Limits.Hard(resource), 68);
            text.Add(unit.PadRight(10)).Add('\n');
        }
        return text.ToArray();
    }

    private static void Limit(TextBuilder text, ulong value, int column)
    {
        if (value == ResourceLimits.Infinity)
            text.Add("unlimited");
        else
            text.Add(value);
        text.PadTo(column);
    }
}
