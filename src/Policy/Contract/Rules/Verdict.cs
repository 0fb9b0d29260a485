namespace Sandbox.Policy.Contract;

/// <summary>An answer, and who gave it.</summary>
/// <param name="Rule">Index of the deciding rule; -1 when none matched, which denies.</param>
public readonly record struct Verdict(bool Allowed, int Rule)
{
    public const int NoRule = -1;

    /// <summary>A rule denies, which no rule that allows can change.</summary>
    public bool IsDeny => !Allowed && Rule != NoRule;

    public static Verdict Unmatched { get; } = new(false, NoRule);
}
