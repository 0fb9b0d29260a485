namespace Sandbox.Vmm.Memory;

/// <summary>
/// One address space's four-level page table, edited from the host side. The rules that keep host edits right on
/// shadow paging and on nested paging alike:
/// <list type="bullet">
/// <item>Making an absent entry present, or a present one wider in place, needs nothing more: the access that
/// misses finds the new entry.</item>
/// <item>Everything else (removing, narrowing, pointing elsewhere) is recorded in <see cref="Edits"/>; the entry's
/// old meaning may live on until the guest's own ring 0 has rewritten it.</item>
/// </list>
/// Not thread-safe: the address space's lock guards it.
/// </summary>
public sealed unsafe class PageTable
{
    /// <summary>User addresses end here: one page below the canonical boundary, as in Linux.</summary>
    public const ulong UserLimit = 0x7fff_ffff_f000;

    private const int EntriesPerTable = 512;

    /// <summary>Ring 0, the same in every table. What else is in the upper half is the table's own.</summary>
    private const int SharedRootEntry = 511;

    private readonly PageTablePool _pool;

    private PageTable(PageTablePool pool, PhysicalAddress root)
    {
        _pool = pool;
        Root = root;
    }

    /// <summary>The value for CR3.</summary>
    public PhysicalAddress Root { get; }

    /// <summary>Entries that the guest must rewrite before their old meaning is gone.</summary>
    public PageTableEdits Edits { get; } = new();

    /// <param name="shared">The last entry of this root (ring 0) is shared with the new table; null for none.</param>
    /// <returns>Null at the memory limit.</returns>
    public static PageTable? Create(PageTablePool pool, PageTable? shared)
    {
        PhysicalAddress root = pool.Allocate();
        if (root.IsNone)
            return null;
        if (shared is not null)
            pool.Entries(root)[SharedRootEntry] = pool.Entries(shared.Root)[SharedRootEntry];
        return new PageTable(pool, root);
    }

    /// <summary>The leaf that maps an address, and whether it is a 2 MiB one; not present when there is none.</summary>
    public PageTableEntry Lookup(ulong address)
    {
        ulong* entries = _pool.Entries(Root);
        for (int level = 4; ; level--)
        {
            PageTableEntry entry = new(Volatile.Read(ref entries[Index(address, level)]));
            if (!entry.IsPresent || level == 1 || entry.IsLarge)
                return entry;
            entries = _pool.Entries(entry.Address);
        }
    }

    /// <summary>Sets one 4 KiB leaf. False at the memory limit (a table was needed).</summary>
    public bool TrySet(ulong address, PageTableEntry leaf)
    {
        if (!TryGetTable(address, 1, out PhysicalAddress table))
            return false;
        Write(table, Index(address, 1), leaf);
        return true;
    }

    /// <summary>Points a leaf that exists elsewhere; see <see cref="Edits"/> for when that must be recorded.</summary>
    public void Replace(ulong address, PageTableEntry leaf, bool recordEdit)
    {
        if (!TryFindTable(address, 1, out PhysicalAddress table))
            throw new InvalidOperationException($"no leaf to replace at 0x{address:x}");
        if (recordEdit)
            Write(table, Index(address, 1), leaf);
        else
            Volatile.Write(ref _pool.Entries(table)[Index(address, 1)], leaf.Value);
    }

    /// <summary>
    /// Sets consecutive 4 KiB leaves of physically consecutive pages where nothing is present; present leaves stay.
    /// </summary>
    public bool TryFill(ulong address, PhysicalAddress page, int count, Protection protection)
    {
        while (count > 0)
        {
            if (!TryGetTable(address, 1, out PhysicalAddress table))
                return false;
            ulong* entries = _pool.Entries(table);
            int index = Index(address, 1);
            int run = Math.Min(count, EntriesPerTable - index);
            ulong leaf = PageTableEntry.User(page, protection).Value;
            for (int i = 0; i < run; i++, leaf += Page.Size)
                if (!new PageTableEntry(entries[index + i]).IsOccupied)
                    Volatile.Write(ref entries[index + i], leaf);
            address += (ulong)run * Page.Size;
            page = new PhysicalAddress(page.Value + ((ulong)run * Page.Size));
            count -= run;
        }
        return true;
    }

    /// <summary>True when a 2 MiB leaf may be set there: no table hangs at that entry yet.</summary>
    public bool CanSetLarge(ulong address)
    {
        ulong* entries = _pool.Entries(Root);
        for (int level = 4; level > 2; level--)
        {
            PageTableEntry entry = new(entries[Index(address, level)]);
            if (!entry.IsPresent)
                return true;
            entries = _pool.Entries(entry.Address);
        }
        return (entries[Index(address, 2)] & PageTableEntry.PresentBit) == 0;
    }

    public bool TrySetLarge(ulong address, PageTableEntry leaf)
    {
        if (!TryGetTable(address, 2, out PhysicalAddress table))
            return false;
        Write(table, Index(address, 2), leaf);
        return true;
    }

    /// <summary>
    /// Replaces a 2 MiB leaf by a table of the same 4 KiB leaves. False at the memory limit. Does nothing where there
    /// is no 2 MiB leaf.
    /// </summary>
    public bool TrySplitLarge(ulong address)
    {
        if (!TryFindTable(address, 2, out PhysicalAddress directory))
            return true;
        int index = Index(address, 2);
        PageTableEntry large = new(_pool.Entries(directory)[index]);
        if (!large.IsPresent || !large.IsLarge)
            return true;
        PhysicalAddress table = _pool.Allocate();
        if (table.IsNone)
            return false;
        ulong* entries = _pool.Entries(table);
        ulong leaf = large.Value & ~PageTableEntry.LargeBit;
        for (int i = 0; i < EntriesPerTable; i++, leaf += Page.Size)
            entries[i] = leaf;
        Write(directory, index, PageTableEntry.Table(table));
        return true;
    }

    /// <summary>The same for every 2 MiB leaf that has a part in [start, end).</summary>
    public bool TrySplitLarge(ulong start, ulong end) => TrySplitLarge(Root, 4, 0, start, end);

    private bool TrySplitLarge(PhysicalAddress table, int level, ulong tableStart, ulong start, ulong end)
    {
        ulong* entries = _pool.Entries(table);
        int shift = Page.Shift + ((level - 1) * 9);
        int first = (int)((Math.Max(start, tableStart) - tableStart) >> shift);
        for (int i = first; i < EntriesPerTable; i++)
        {
            ulong address = tableStart + ((ulong)i << shift);
            if (address >= end)
                return true;
            PageTableEntry entry = new(entries[i]);
            if (!entry.IsPresent || (level == 2 && !entry.IsLarge))
                continue;
            bool isSplit = level == 2
                ? TrySplitLarge(address) : TrySplitLarge(entry.Address, level - 1, address, start, end);
            if (!isSplit)
                return false;
        }
        return true;
    }

    /// <summary>
    /// Calls back for each occupied leaf in [start, end), with its address and span (4 KiB or 2 MiB). The visitor
    /// returns what the leaf becomes (<c>default</c> removes it).
    /// </summary>
    public void Update<T>(ulong start, ulong end, ref T visitor) where T : struct, ILeafVisitor, allows ref struct =>
        Update(Root, 4, 0, start, end, ref visitor);

    private void Update<T>(PhysicalAddress table, int level, ulong tableStart, ulong start, ulong end, ref T visitor)
        where T : struct, ILeafVisitor, allows ref struct
    {
        ulong* entries = _pool.Entries(table);
        int shift = Page.Shift + ((level - 1) * 9);
        ulong span = 1UL << shift;
        int first = (int)((Math.Max(start, tableStart) - tableStart) >> shift);
        for (int i = first; i < EntriesPerTable; i++)
        {
            ulong address = tableStart + ((ulong)i << shift);
            if (address >= end)
                return;
            PageTableEntry entry = new(entries[i]);
            if (!entry.IsOccupied)
                continue;
            if (level > 1 && !entry.IsLarge)
                Update(entry.Address, level - 1, address, start, end, ref visitor);
            else
                Write(table, i, visitor.Visit(address, span, entry));
        }
    }

    /// <summary>Retires every table that is this one's own, and the root. The table must not be used afterwards.</summary>
    public void Free()
    {
        FreeBelow(Root, 4, SharedRootEntry);
        _pool.Retire(Root);
    }

    private void FreeBelow(PhysicalAddress table, int level, int count)
    {
        if (level == 1)
            return;
        ulong* entries = _pool.Entries(table);
        for (int i = 0; i < count; i++)
        {
            PageTableEntry entry = new(entries[i]);
            if (!entry.IsPresent || entry.IsLarge)
                continue;
            FreeBelow(entry.Address, level - 1, EntriesPerTable);
            _pool.Retire(entry.Address);
        }
    }

    private void Write(PhysicalAddress table, int index, PageTableEntry value)
    {
        ref ulong slot = ref _pool.Entries(table)[index];
        PageTableEntry old = new(slot);
        if (old.Value == value.Value)
            return;
        Volatile.Write(ref slot, value.Value);
        if (old.IsPresent && !IsWidening(old, value))
            Edits.Add(table.Value + ((ulong)index * sizeof(ulong)));
    }

    private static bool IsWidening(PageTableEntry old, PageTableEntry value) =>
        value.IsPresent && value.Address == old.Address && value.IsLarge == old.IsLarge
        && (value.IsWritable || !old.IsWritable) && (value.IsExecutable || !old.IsExecutable);

    private bool TryGetTable(ulong address, int level, out PhysicalAddress table)
    {
        table = Root;
        for (int current = 4; current > level; current--)
        {
            ref ulong slot = ref _pool.Entries(table)[Index(address, current)];
            PageTableEntry entry = new(slot);
            if (!entry.IsPresent)
            {
                PhysicalAddress lower = _pool.Allocate();
                if (lower.IsNone)
                    return false;
                entry = PageTableEntry.Table(lower);
                Volatile.Write(ref slot, entry.Value);
            }
            else if (entry.IsLarge)
            {
                throw new InvalidOperationException($"a 2 MiB leaf is in the way at 0x{address:x}");
            }
            table = entry.Address;
        }
        return true;
    }

    private bool TryFindTable(ulong address, int level, out PhysicalAddress table)
    {
        table = Root;
        for (int current = 4; current > level; current--)
        {
            PageTableEntry entry = new(_pool.Entries(table)[Index(address, current)]);
            if (!entry.IsPresent || entry.IsLarge)
                return false;
            table = entry.Address;
        }
        return true;
    }

    private static int Index(ulong address, int level) =>
        (int)(address >> (Page.Shift + ((level - 1) * 9))) & (EntriesPerTable - 1);
}

/// <summary>Decides what an occupied leaf becomes.</summary>
public interface ILeafVisitor
{
    PageTableEntry Visit(ulong address, ulong span, PageTableEntry leaf);
}
