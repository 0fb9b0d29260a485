using Sandbox.Vmm.Personality.Files;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>What execve(2) was asked to run.</summary>
public readonly struct LoadRequest
{
    /// <summary>Opened for execution by the caller, who keeps its reference.</summary>
    public required OpenFile File { get; init; }

    /// <summary>The path as given: AT_EXECFN, and what a script's interpreter is told.</summary>
    public required byte[] Path { get; init; }

    public required ArgumentList Arguments { get; init; }

    public required ArgumentList Environment { get; init; }

    public required Credentials Credentials { get; init; }

    /// <summary>RLIMIT_STACK's soft limit.</summary>
    public required ulong StackLimit { get; init; }

    public bool Secure { get; init; }

    /// <summary>ADDR_NO_RANDOMIZE: every address is the same at each run. AT_RANDOM stays random.</summary>
    public bool FixedLayout { get; init; }
}

/// <summary>Opens the interpreters that scripts and ELF programs name, with the caller's root and rights.</summary>
public interface IExecutableOpener
{
    /// <summary>0 with a reference that the caller releases, or a negative errno; -EISDIR for a folder.</summary>
    long OpenExecutable(ReadOnlySpan<byte> path, out OpenFile? file);
}
