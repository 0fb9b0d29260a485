using Sandbox.Policy.Contract;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>What the caller asked of <c>sandbox run</c>, checked value by value; null where nothing was said.</summary>
sealed record RunOptions
{
    /// <summary>Below this no program gets as far as its first instruction.</summary>
    public const ulong MinimumMemory = 4UL << 20;

    /// <summary>What a launch plan takes at most.</summary>
    public const ulong MaximumMemory = 252UL << 30;

    public const int MaximumProcesses = 4096;
    public const int MaximumCpus = 256;

    /// <summary>The kernel passes at most SCM_MAX_FD (253) descriptors at once; streams and /usr need some.</summary>
    public const int MaximumMounts = 200;

    /// <summary>What a trace or result file name means "the caller's standard error".</summary>
    public const string TraceToStderr = "-";

    public required string[] Arguments { get; init; }

    /// <summary>A policy file; null for the built-in default.</summary>
    public string? PolicyFile { get; init; }

    /// <summary>Bytes.</summary>
    public ulong? Memory { get; init; }

    public int? Cpus { get; init; }

    /// <summary>Wall-clock milliseconds; 0 for none.</summary>
    public long? Timeout { get; init; }

    /// <summary>CPU milliseconds; 0 for none.</summary>
    public long? CpuTime { get; init; }

    public int? Processes { get; init; }

    /// <summary>Bytes.</summary>
    public long? OutputLimit { get; init; }

    /// <summary>Bytes.</summary>
    public ulong? TmpSize { get; init; }

    public IReadOnlyList<KeyValuePair<string, string>> Environment { get; init; } = [];
    public string? WorkingDirectory { get; init; }
    public string? Hostname { get; init; }
    public GuestUser? User { get; init; }
    public IReadOnlyList<MountArgument> Mounts { get; init; } = [];
    public string? ResultFile { get; init; }

    /// <summary>A file, <see cref="TraceToStderr"/>, or null for no trace.</summary>
    public string? TraceFile { get; init; }

    /// <summary>A machine guest; null for a process guest.</summary>
    public MachineOptions? Machine { get; init; }

    public bool Terminal { get; init; }
    public bool Handoff { get; init; } = true;

    /// <summary>What other commands may call the sandbox by; null for its ID alone.</summary>
    public string? Name { get; init; }

    /// <summary>The command line ends once the guest has started.</summary>
    public bool Detach { get; init; }

    /// <summary>What is known of a detached sandbox goes with its end.</summary>
    public bool Remove { get; init; }

    /// <summary>Whether the sandbox is of no use to the caller if other commands cannot find it.</summary>
    public bool MustBeFound => Detach || Name is not null;
}
