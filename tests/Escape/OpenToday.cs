namespace Sandbox.Escape;

/// <summary>What the whole jail lets a hostile VMM do, and why.</summary>
static class OpenToday
{
    public static readonly IReadOnlyDictionary<string, string> Reasons = new Dictionary<string, string>
    {
        ["granted: read a file beneath the folder"] = "the plan grants it",
    };

    /// <summary>
    /// Besides, for a caller who cannot have granted folders as mounts of their own: Landlock keeps what is above them from
    /// being opened, and does not know of names. Nor has he control groups, unless some were delegated to him.
    /// </summary>
    public static readonly IReadOnlyList<string> ForOrdinaryUsers = ["granted: look at a name above it", "memory bomb"];
}
