namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>What a comparison found of one thing.</summary>
enum FactVerdict
{
    Holds,

    /// <summary>It is not there at all.</summary>
    Missing,

    /// <summary>There is less of it than there should be.</summary>
    Weaker,

    /// <summary>Nobody knows; <see cref="FactLine.Advice"/> says why and what to do.</summary>
    CannotBeRead,
}

/// <summary>How it is known.</summary>
enum FactSource
{
    /// <summary>Read from the kernel.</summary>
    Read,

    /// <summary>Said by the VMM: the kernel shows it to nobody.</summary>
    Reported,

    /// <summary>
    /// The supervisor's own system call, before the VMM ran, succeeded: the kernel shows it to nobody.
    /// </summary>
    Built,
}

/// <summary>One line of a comparison.</summary>
/// <param name="Wall">Which it is of, or <see cref="JailWalls.None"/>: then every jail has it.</param>
/// <param name="Advice">Why it does not hold as far as that is known, or what to do; else null.</param>
sealed record FactLine(
    JailWalls Wall, string Name, string Expected, string Found, FactVerdict Verdict, FactSource Source, string? Advice);
