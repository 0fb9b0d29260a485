namespace Sandbox.Vmm.Memory;

/// <summary>A bound on pages shared by several objects, such as all files of the in-memory file systems.</summary>
/// <param name="outer">A bound that these pages count towards too; null for none.</param>
public sealed class PageQuota(long pages, PageQuota? outer = null)
{
    private long _used;

    public long Limit { get; } = pages;

    public long Used => Volatile.Read(ref _used);

    /// <summary>What can still be charged, by the outer bound as well.</summary>
    public long Free => Math.Max(Math.Min(Limit - Used, outer?.Free ?? long.MaxValue), 0);

    public bool TryCharge(long pages)
    {
        if (Interlocked.Add(ref _used, pages) <= Limit && outer?.TryCharge(pages) != false)
            return true;
        Interlocked.Add(ref _used, -pages);
        return false;
    }

    /// <summary>Charges what there is room for.</summary>
    /// <returns>Pages that were charged, 0 to <paramref name="pages"/>.</returns>
    public long ChargeUpTo(long pages)
    {
        while (true)
        {
            long granted = Math.Min(pages, Free);
            if (granted <= 0)
                return 0;
            if (TryCharge(granted))
                return granted;
        }
    }

    /// <summary>Charges what has been taken already, beyond the limit if need be: then nothing else has room.</summary>
    public void Charge(long pages)
    {
        Interlocked.Add(ref _used, pages);
        outer?.Charge(pages);
    }

    public void Uncharge(long pages)
    {
        Interlocked.Add(ref _used, -pages);
        outer?.Uncharge(pages);
    }
}
