namespace Sandbox.Vmm.Memory;

/// <summary>All memory of one guest: the page pool, the page tables and the file window.</summary>
public sealed class GuestMemory : IDisposable
{
    /// <summary>Memory whose limit is not known yet: the platform's page tables can be built, and nothing else.</summary>
    /// <param name="slots">The platform's memory slots.</param>
    public GuestMemory(IMemorySlots slots)
    {
        Slots = slots;
        Pool = new PagePool(slots);
        Tables = new PageTablePool(Pool, slots);
        Window = new FileWindow(slots);
        Ring0 = PageTable.Create(Tables, shared: null)!;
    }

    /// <inheritdoc cref="Open"/>
    /// <param name="slots">The platform's memory slots.</param>
    public GuestMemory(ulong limitBytes, IMemorySlots slots)
        : this(slots) => Open(limitBytes);

    /// <summary>Sets the limit, once, before the guest's first page.</summary>
    /// <param name="limitBytes">What the guest may use, page tables and in-memory files included.</param>
    public void Open(ulong limitBytes) => Pool.Open(limitBytes);

    public ulong LimitBytes => Pool.LimitBytes;

    public ulong UsedBytes => (ulong)Pool.UsedPages * Page.Size;

    public ulong PeakBytes => (ulong)Pool.PeakPages * Page.Size;

    internal PagePool Pool { get; }

    internal PageTablePool Tables { get; }

    internal FileWindow Window { get; }

    internal IMemorySlots Slots { get; }

    /// <summary>
    /// The table whose last root entry every address space shares: the platform maps its ring 0 there before the first
    /// address space is made.
    /// </summary>
    internal PageTable Ring0 { get; }

    /// <summary>A new empty address space, or null when the memory limit does not allow it.</summary>
    public AddressSpace? CreateAddressSpace()
    {
        PageTable? table = PageTable.Create(Tables, Ring0);
        return table is null ? null : new AddressSpace(this, table);
    }

    /// <summary>A new empty object; its pages are charged to the guest's limit and, when given, to the quota.</summary>
    public PagedObject CreateObject(string name, ulong device, ulong inode, PageQuota? quota) =>
        new(Pool, name, device, inode, quota);

    public void Dispose()
    {
        Window.Dispose();
        Tables.Dispose();
        Pool.Dispose();
    }
}
