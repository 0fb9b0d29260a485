namespace Sandbox.Fuzz.Engine;

/// <summary>What the copy for <see cref="LineCoverage"/> calls where a line begins.</summary>
public static class LineProbe
{
    /// <summary>More places than the assemblies have; one more fails there.</summary>
    public const int Limit = 1 << 18;

    private static readonly bool[] s_hit = new bool[Limit];

    public static void Hit(int place) => s_hit[place] = true;

    public static bool WasHit(int place) => s_hit[place];
}
