using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;

namespace Sandbox.Supervisor.Planning;

/// <summary>
/// What planning needs to know of the host, gathered beforehand so that planning itself asks nothing.
/// </summary>
sealed record HostFacts
{
    /// <summary>CPUs this process may use.</summary>
    public required int Cpus { get; init; }

    /// <summary>Bytes of memory: the host's, or what this process's control groups leave of it.</summary>
    public required ulong Memory { get; init; }

    /// <summary>The caller's working directory without symlinks, or null if it is gone or cannot be read.</summary>
    public required string? WorkingDirectory { get; init; }

    /// <summary>The caller's TERM, if set.</summary>
    public required string? TerminalType { get; init; }

    /// <summary>Variables of the caller, for a policy that passes some on.</summary>
    public Func<string, string?> Variable { get; init; } = static _ => null;

    /// <summary>Rows and columns of the caller's terminal; zero when there is none.</summary>
    public ushort Rows { get; init; }

    public ushort Columns { get; init; }

    /// <summary>Which of the caller's streams 0, 1 and 2 are open.</summary>
    public bool[] OpenStreams { get; init; } = [true, true, true];

    public required IHostTree Tree { get; init; }
}

/// <summary>Looks at host paths.</summary>
interface IHostTree
{
    /// <summary>What is at an absolute host path; the last name's symlink is not followed.</summary>
    HostEntry Look(string path);

    /// <summary>The same, symlinks followed.</summary>
    HostEntry Follow(string path);
}

enum HostEntryKind
{
    Missing,
    Directory,
    File,
    Symlink,
    /// <summary>A device, socket or pipe.</summary>
    Special,
}

/// <param name="Target">What a symlink points to.</param>
readonly record struct HostEntry(HostEntryKind Kind, string? Target = null);

/// <summary>A mount, of the command line or of a policy, whose source has been opened.</summary>
/// <param name="Host">As the caller wrote it.</param>
/// <param name="RealPath">Absolute, without symlinks.</param>
/// <param name="GuestPath">Normalised.</param>
sealed record MountSource(string Host, string RealPath, string GuestPath, bool IsDirectory, bool Writable)
{
    /// <summary>Who asks for it, for messages.</summary>
    public string Origin { get; init; } = MountArgument.Flag;

    /// <summary>Bytes that the guest may add where it may write; 0 for what the host has room for.</summary>
    public ulong Quota { get; init; }

    /// <summary>The policy's entry; null for the command line's.</summary>
    public ShownFile? Shown { get; init; }

    /// <summary>A folder in which the host takes "name" and "NAME" for one.</summary>
    public bool FoldsNames { get; init; }
}
