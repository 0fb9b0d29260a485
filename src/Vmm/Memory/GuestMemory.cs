namespace Sandbox.Vmm.Memory;

/// <summary>All memory of one guest: the page pool, page tables and the file window.</summary>
public sealed partial class GuestMemory
{
    /// <summary>The guest's limit in bytes, and what is in use.</summary>
    public ulong LimitBytes => throw new NotImplementedException();

    public ulong UsedBytes => throw new NotImplementedException();

    public ulong PeakBytes => throw new NotImplementedException();

    /// <summary>A new empty address space, or null when the memory limit does not allow it.</summary>
    public AddressSpace? CreateAddressSpace() => throw new NotImplementedException();

    /// <summary>A new empty object; pages are charged to the guest's limit and, when given, to the quota.</summary>
    public PagedObject CreateObject(string name, ulong device, ulong inode, PageQuota? quota) =>
        throw new NotImplementedException();
}

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
