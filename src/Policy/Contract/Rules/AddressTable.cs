namespace Sandbox.Policy.Contract;

/// <summary>
/// Blocks of addresses of one family. Two blocks are nested or disjoint, so that the innermost block of an address
/// and those around it are all that hold it.
/// </summary>
public sealed record AddressTable
{
    public const int NoBlock = -1;

    /// <summary>First addresses of ranges that have the same innermost block, ascending; the first is 0.</summary>
    public required UInt128[] Starts { get; init; }

    /// <summary>By range: the innermost block, or <see cref="NoBlock"/>.</summary>
    public required int[] Innermost { get; init; }

    /// <summary>By block: the one around it, or <see cref="NoBlock"/>.</summary>
    public required int[] Around { get; init; }

    /// <summary>By block: reserved, so that what allows a larger block does not allow this one.</summary>
    public required bool[] Reserved { get; init; }

    /// <summary>By block: its ports; null when no rule names it.</summary>
    public required PortTable?[] Ports { get; init; }

    /// <summary>O(log blocks) and the depth of nesting, at most one block for each length of prefix.</summary>
    public Verdict Decide(UInt128 address, ushort port)
    {
        int found = Starts.AsSpan().BinarySearch(address);
        int block = Innermost[found >= 0 ? found : ~found - 1];
        int denied = Verdict.NoRule, allowed = Verdict.NoRule;
        bool open = true;
        for (; block != NoBlock; block = Around[block])
        {
            if (Ports[block] is PortTable ports)
            {
                int range = ports.Find(port);
                denied = Lower(denied, ports.Denies[range]);
                if (open)
                    allowed = Lower(allowed, ports.Allows[range]);
            }

            open &= !Reserved[block];
        }

        return denied >= 0 ? new Verdict(false, denied) : new Verdict(allowed >= 0, allowed);
    }

    /// <summary>The lower of two rules, of which either may be none.</summary>
    static int Lower(int a, int b) => (int)Math.Min((uint)a, (uint)b);
}
