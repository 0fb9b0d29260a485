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

    public void Uncharge(long pages)
    {
        Interlocked.Add(ref _used, -pages);
        outer?.Uncharge(pages);
    }
}
