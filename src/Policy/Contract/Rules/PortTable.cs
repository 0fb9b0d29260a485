namespace Sandbox.Policy.Contract;

/// <summary>
/// Ports in disjoint ascending ranges, each with the lowest rules that deny and allow it; -1 for none.
/// </summary>
public sealed record PortTable
{
    /// <summary>First ports of the ranges; the first is 0, each ends where the next begins.</summary>
    public required ushort[] Starts { get; init; }

    public required int[] Denies { get; init; }

    public required int[] Allows { get; init; }

    public int Find(ushort port)
    {
        int found = Starts.AsSpan().BinarySearch(port);
        return found >= 0 ? found : ~found - 1;
    }
}
