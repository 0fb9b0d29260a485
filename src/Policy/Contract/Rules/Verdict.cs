namespace Sandbox.Policy.Contract;

/// <summary>An answer, and who gave it.</summary>
/// <param name="Rule">Index of the deciding rule; -1 when none matched, which denies.</param>
public readonly record struct Verdict(bool Allowed, int Rule)
{
    public const int NoRule = -1;

    public static Verdict Unmatched { get; } = new(false, NoRule);
}
