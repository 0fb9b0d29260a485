using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.Planning;

/// <summary>A plan, and what to open for each of its descriptors.</summary>
/// <param name="Grants">Grant i becomes descriptor i of the plan.</param>
sealed record PlannedLaunch(LaunchPlan Plan, IReadOnlyList<Grant> Grants)
{
    /// <summary>What the indexes of the plan's path rules stand for.</summary>
    public IReadOnlyList<IRule> PathRules { get; init; } = [];

    /// <summary>What those of its system-call rules stand for.</summary>
    public IReadOnlyList<IRule> SystemCallRules { get; init; } = [];
}

/// <summary>One descriptor that the VMM is given.</summary>
abstract record Grant
{
    /// <summary>A read-only path of the host's system.</summary>
    public sealed record SystemPath(string Path, bool IsDirectory) : Grant;

    /// <summary>The already opened source of a mount, by its place among the mounts.</summary>
    public sealed record Mount(int Index) : Grant;

    /// <summary>One of the caller's standard streams: 0, 1 or 2.</summary>
    public sealed record StandardStream(int Number) : Grant;

    /// <summary>Where the result record goes.</summary>
    public sealed record Result : Grant;

    /// <summary>The VMM's end of the network channel.</summary>
    public sealed record Broker : Grant;

    /// <summary>The trace file.</summary>
    public sealed record Trace : Grant;

    /// <summary>A kernel, an initrd or a disk, by the flag or rule that names it.</summary>
    /// <param name="IsDisk">Whether it may be a block device.</param>
    /// <param name="Rule">The policy's, of a disk that it names.</param>
    public sealed record BootFile(
        string Flag, string Path, bool Writable = false, bool IsDisk = false, DeviceRule? Rule = null) : Grant;

    /// <summary>An initrd that is made for this guest: the agent, its order, and modules of the kernel.</summary>
    /// <param name="Order">Without its modules.</param>
    public sealed record AgentInitrd(int Kernel, string KernelPath, string? Modules, AgentOrder Order) : Grant;

    /// <summary>A Unix socket that is made for this guest, which listens for who wants to reach its ports.</summary>
    public sealed record VsockListener(DeviceRule Rule) : Grant;

    /// <summary>A TAP device of the caller's network namespace.</summary>
    public sealed record Tap(string Name) : Grant;

    /// <summary>The socket over which the VMM tells its decisions.</summary>
    public sealed record Decisions : Grant;
}
