using Sandbox.Policy.Contract;

namespace Sandbox.Vmm.Virtio;

/// <summary>How long something took: count, sum, extremes, in nanoseconds. One thread records; any may read.</summary>
public sealed class LatencyMetric
{
    private long _count;
    private long _sum;
    private long _minimum = long.MaxValue;
    private long _maximum;

    public long Count => Volatile.Read(ref _count);

    public long Sum => Volatile.Read(ref _sum);

    /// <summary>0 before the first.</summary>
    public long Minimum => Count == 0 ? 0 : Volatile.Read(ref _minimum);

    public long Maximum => Volatile.Read(ref _maximum);

    public void Record(long nanoseconds)
    {
        _sum += nanoseconds;
        _minimum = Math.Min(_minimum, nanoseconds);
        _maximum = Math.Max(_maximum, nanoseconds);
        Volatile.Write(ref _count, _count + 1);
    }

    /// <summary>
    /// All of it, while the thread goes on: read in an order in which the numbers go together, so that the sum is never
    /// less than the maximum, which is written after it.
    /// </summary>
    public LatencyRecord Read()
    {
        long count = Volatile.Read(ref _count);
        if (count == 0)
            return default;
        long maximum = Volatile.Read(ref _maximum), minimum = Volatile.Read(ref _minimum), sum = Volatile.Read(ref _sum);
        return new()
        {
            Count = (ulong)count, MinimumNanoseconds = (ulong)minimum, MaximumNanoseconds = (ulong)maximum,
            SumNanoseconds = (ulong)sum,
        };
    }
}
