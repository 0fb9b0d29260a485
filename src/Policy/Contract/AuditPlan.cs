namespace Sandbox.Policy.Contract;

/// <summary>What happens when records come faster than they can be written.</summary>
public enum WhenFull
{
    /// <summary>The guest's thread waits.</summary>
    Block,

    /// <summary>Records are dropped, and how many is recorded.</summary>
    Drop,

    /// <summary>The guest is ended; what could not be recorded is refused.</summary>
    Stop,
}

/// <summary>Which decisions the VMM tells the supervisor.</summary>
public sealed record AuditPlan
{
    /// <summary>
    /// Index into the descriptors: an AF_UNIX SOCK_SEQPACKET socket for <see cref="DecisionMessage"/>s.
    /// </summary>
    public required int Descriptor { get; init; }

    /// <summary>Every decision; else what was refused alone.</summary>
    public required bool All { get; init; }

    public required WhenFull WhenFull { get; init; }
}
