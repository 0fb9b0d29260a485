namespace Sandbox.Supervisor.Jail;

/// <summary>
/// How far the supervisor's part of a start had come when: nanoseconds of CLOCK_MONOTONIC, 0 for not so far. The jail
/// is built beside what comes before <see cref="Planned"/>; from then on the start waits for it.
/// </summary>
sealed class JailPhases
{
    /// <summary>The process that builds the jail is about to be cloned.</summary>
    public long Clone { get; set; }

    /// <summary>The jail's last step but the execve, by the process itself.</summary>
    public long Jail { get; set; }

    /// <summary>The supervisor had nothing left to do but to wait for the jail.</summary>
    public long Planned { get; set; }

    /// <summary>The VMM was sent its plan.</summary>
    public long Sent { get; set; }

    public IEnumerable<(string Name, long At)> All =>
        [("clone", Clone), ("jail", Jail), ("planned", Planned), ("sent", Sent)];
}
