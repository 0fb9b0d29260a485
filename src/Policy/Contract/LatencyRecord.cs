using System.Runtime.InteropServices;

namespace Sandbox.Policy.Contract;

/// <summary>How long something took, over all times that it was done.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct LatencyRecord
{
    public ulong Count;

    /// <summary>0 before the first, as the others.</summary>
    public ulong MinimumNanoseconds;
    public ulong MaximumNanoseconds;
    public ulong SumNanoseconds;

    /// <summary>Takes another's in.</summary>
    public void Add(in LatencyRecord other)
    {
        if (other.Count == 0)
            return;
        MinimumNanoseconds = Count == 0
            ? other.MinimumNanoseconds
            : Math.Min(MinimumNanoseconds, other.MinimumNanoseconds);
        MaximumNanoseconds = Math.Max(MaximumNanoseconds, other.MaximumNanoseconds);
        SumNanoseconds += other.SumNanoseconds;
        Count += other.Count;
    }
}
