namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>When a control group's file still limits as it was meant to.</summary>
enum ValueRule
{
    /// <summary>It holds a number that is not above the one that was written.</summary>
    AtMost,

    /// <summary>Not below it.</summary>
    AtLeast,

    /// <summary>It holds that.</summary>
    Exactly,

    /// <summary>
    /// It holds a quota, a blank and a period, and their share is not above the one that was written.
    /// </summary>
    Share,

    /// <summary>
    /// One of its lines begins with the disk that was written, and each bound that was written is there and not above.
    /// </summary>
    Disk,
}

/// <summary>What one file of a control group is set to.</summary>
/// <param name="File">Its name in the group's folder.</param>
sealed record GroupValue(string File, string Text, ValueRule Rule)
{
    /// <summary>What serves where the kernel has no such file.</summary>
    public GroupValue? Instead { get; init; }

    /// <summary>Where the kernel has no such file there may be no less of the wall.</summary>
    public bool IsOptional { get; init; }
}
