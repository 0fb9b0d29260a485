using Sandbox.Policy.Contract;

namespace Sandbox.Supervisor.Launch;

/// <summary>How a launch ended, as the supervisor saw it.</summary>
abstract record Outcome
{
    /// <summary>The VMM said why the guest ended.</summary>
    public sealed record Ended(EndCause Cause, uint Detail32, long Value, long Detail) : Outcome;

    /// <summary>The VMM ended without a word.</summary>
    /// <param name="WaitStatus">Of waitpid(2), or null if it is not known.</param>
    public sealed record VmmDied(int? WaitStatus) : Outcome
    {
        /// <summary>The limit of host threads, if the VMM had wanted more of them before.</summary>
        public int? ProcessLimit { get; init; }
    }

    /// <summary>The host's kernel killed the VMM because its control group had no more memory.</summary>
    /// <param name="Bytes">The group's limit: the guest's, and what the VMM may need for itself.</param>
    public sealed record HostMemoryLimit(ulong Bytes) : Outcome;

    /// <summary>The VMM said something that no VMM says, and was stopped.</summary>
    public sealed record VmmMisbehaved(string What) : Outcome;

    /// <summary>The VMM did not start the guest in time, and was stopped.</summary>
    public sealed record VmmSilent : Outcome;

    /// <summary>The wall-clock limit passed and the VMM did not act on it, so that the supervisor did.</summary>
    public sealed record WallTimeEnforced : Outcome;

    /// <summary>The kernel does not show a wall that the policy requires, and the guest never ran.</summary>
    public sealed record WallNotConfirmed(string What) : Outcome;

    /// <summary>What was to be recorded cannot be, and the guest was stopped.</summary>
    public sealed record AuditFailed(string Why) : Outcome;

    /// <summary>Somebody ended the guest through its control socket.</summary>
    public sealed record Killed : Outcome;

    /// <summary>The caller interrupted twice, and the guest was stopped.</summary>
    public sealed record Interrupted(int Signal) : Outcome;
}
