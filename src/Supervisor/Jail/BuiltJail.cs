using Sandbox.Host;

namespace Sandbox.Supervisor.Jail;

/// <summary>What became of a jail.</summary>
/// <param name="Walls">What stands.</param>
/// <param name="Missing">What was wanted and could not be built.</param>
/// <param name="Reason">The first thing that failed, for people; null when nothing is missing.</param>
sealed record BuiltJail(JailWalls Walls, JailWalls Missing, string? Reason)
{
    public static string Describe(string step, int errno) => $"{step}: {Errno.Describe(errno)}";
}
