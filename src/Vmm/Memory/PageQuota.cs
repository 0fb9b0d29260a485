namespace Sandbox.Vmm.Memory;

/// <summary>A bound on pages shared by several objects, such as all files of the in-memory file systems.</summary>
public sealed class PageQuota(long pages)
{
    private long _used;

    public long Limit { get; } = pages;

    public long Used => Volatile.Read(ref _used);

    public bool TryCharge(long pages)
    {
        if (Interlocked.Add(ref _used, pages) <= Limit)
            return true;
        Interlocked.Add(ref _used, -pages);
        return false;
    }

    public void Uncharge(long pages) => Interlocked.Add(ref _used, -pages);
}
