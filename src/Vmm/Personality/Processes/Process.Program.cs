using Sandbox.Vmm.Personality.Files;

namespace Sandbox.Vmm.Personality;

// What execve(2) sets: the program's names, for /proc and prctl.
public sealed partial class Process
{
    /// <summary>The executable, for /proc/self/exe; the process holds a reference. Null before the first execve.</summary>
    public OpenFile? ExecutableFile { get; internal set; }

    /// <summary>What was loaded: entry point, segments, stack, break. Null before the first execve.</summary>
    internal Loader.LoadedProgram? Program { get; set; }

    /// <summary>Where the arguments lie in guest memory: mm->arg_start and arg_end, for /proc/PID/cmdline.</summary>
    public (ulong Start, ulong End) ArgumentArea { get; internal set; }

    /// <summary>Where the environment lies: mm->env_start and env_end.</summary>
    public (ulong Start, ulong End) EnvironmentArea { get; internal set; }

    /// <summary>The auxiliary vector as given to the program, for /proc/PID/auxv.</summary>
    public byte[] AuxiliaryVector { get; internal set; } = [];

    /// <summary>When the process was made, CLOCK_MONOTONIC nanoseconds.</summary>
    public long StartedAt { get; internal set; }

    /// <summary>PR_SET_DUMPABLE.</summary>
    internal int Dumpable { get; set; } = 1;

    /// <summary>PR_SET_NO_NEW_PRIVS; once set it stays.</summary>
    internal bool NoNewPrivileges { get; set; }

    /// <summary>personality(2).</summary>
    internal uint PersonalityFlags { get; set; }

    /// <summary>The thread group leader's name, at most 15 bytes: /proc/PID/comm.</summary>
    public string Name => Leader.Name;

    private bool _memoryGone;

    /// <summary>
    /// The process's memory for somebody else's eyes (/proc): a reference that the caller releases, so that it stays
    /// while the process ends or execs. Null when it has been given up.
    /// </summary>
    public Memory.AddressSpace? AcquireMemory()
    {
        lock (Personality.TaskLock)
            return _memoryGone || IsZombie ? null : Memory?.Share();
    }

    /// <summary>The end of the process: the last reference may go from now on.</summary>
    internal void ReleaseMemory()
    {
        lock (Personality.TaskLock)
            _memoryGone = true;
        Memory.Release();
    }

    /// <summary>Bytes; also refreshes <see cref="PeakResident"/>.</summary>
    internal ulong UpdatePeakResident() => PeakResident = Math.Max(PeakResident, Memory.Usage.Resident);
}
