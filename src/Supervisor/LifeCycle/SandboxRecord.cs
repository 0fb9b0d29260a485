using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Launch;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>What is written down of a sandbox while it runs, and of one that is kept after its end.</summary>
sealed record SandboxRecord
{
    public required SandboxId Id { get; init; }

    /// <summary>Null for none.</summary>
    public string? Name { get; init; }

    /// <summary>Milliseconds since 1970.</summary>
    public required long StartedAt { get; init; }

    /// <summary>Program and arguments; long ones are cut off, which <see cref="IsCommandCut"/> says.</summary>
    public required string[] Command { get; init; }

    public bool IsCommandCut { get; init; }

    /// <summary>The name of the policy's file.</summary>
    public required string Policy { get; init; }

    /// <summary>Process number, as the supervisor's PID namespace has it.</summary>
    public required int Supervisor { get; init; }

    /// <inheritdoc cref="Supervisor"/>
    /// <remarks>The supervisor's child, which is not waited for before the end is recorded.</remarks>
    public required int Vmm { get; init; }

    /// <summary>What was built, and what could not be.</summary>
    public required BuiltJail Jail { get; init; }

    /// <summary>What the policy requires.</summary>
    public required Wall[] Required { get; init; }

    /// <summary>The user that the VMM is on the host.</summary>
    public required uint VmmUser { get; init; }

    /// <summary>The folders of its control group.</summary>
    public required RecordedGroup[] Groups { get; init; }

    /// <summary>Of the control group.</summary>
    public required GroupLimits GroupLimits { get; init; }

    public required GuestLimits Limits { get; init; }

    /// <summary>Descriptors that the plan lists, in its order: <see cref="RecordText.KindOf"/>.</summary>
    public required string[] Descriptors { get; init; }

    /// <summary>The socket at which the host reaches a machine guest; null for none, and after the end.</summary>
    public RecordedSocket? Socket { get; init; }

    /// <summary>Its record stays after its end.</summary>
    public bool IsKept { get; init; }

    /// <summary>It has a supervisor of its own session, and its output is kept.</summary>
    public bool IsDetached { get; init; }

    public bool IsPaused { get; init; }

    /// <summary>Null while it runs, and when its supervisor did not live to see the end.</summary>
    public RecordedEnd? End { get; init; }
}

/// <summary>A control group in one hierarchy.</summary>
readonly record struct RecordedGroup(bool IsVersionTwo, Controllers Controllers, string Folder)
{
    public static RecordedGroup Of(GroupPart part) => new(part is VersionTwoPart, part.Controllers, part.Folder);

    /// <summary>Its files.</summary>
    public GroupPart Open(ICgroupFiles files)
    {
        int slash = Folder.LastIndexOf('/');
        (string parent, string name) = (Folder[..slash], Folder[(slash + 1)..]);
        return IsVersionTwo
            ? new VersionTwoPart(files, parent, name, Controllers)
            : new VersionOnePart(files, parent, name, Controllers);
    }
}

/// <summary>A socket at a path of the host's.</summary>
/// <param name="Inode"><see cref="SocketFile.AnyInode"/> before it is there.</param>
readonly record struct RecordedSocket(ulong Inode, string Path);

/// <summary>How a sandbox ended.</summary>
/// <param name="Status">Of its command line: 0 to 255.</param>
/// <param name="Line">What the command line says about it; null for nothing.</param>
/// <param name="At">Milliseconds since 1970.</param>
/// <param name="MemoryPeakBytes">Of its control group; null where that does not tell.</param>
sealed record RecordedEnd(int Status, string? Line, long At, ulong? MemoryPeakBytes, long CpuMicroseconds);
