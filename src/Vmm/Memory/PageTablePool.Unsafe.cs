using System.Runtime.CompilerServices;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Memory;

/// <summary>
/// Guest-physical pages that hold page tables. They are mapped in no guest page table that user code runs on, and
/// are charged to the guest's memory limit.
/// </summary>
/// <remarks>
/// A platform with shadow paging remembers what it derived from a table page, and does not notice when the host
/// writes to it. A page that was once a table is therefore retired, and used again only after
/// <see cref="IMemorySlots.ForgetTranslations"/>.
/// </remarks>
public sealed unsafe class PageTablePool : IDisposable
{
    public const ulong PhysicalBase = 0x1000_0000;

    /// <summary>
    /// 64 MiB of tables. They map at most 32 GiB in 4 KiB pages, and a process of ordinary size has 20 tables.
    /// </summary>
    public const int PageLimit = 16384;

    /// <summary>How many retired pages are worth a flush of everything rather than more fresh pages.</summary>
    private const int RecycleThreshold = 1024;

    private readonly Lock _lock = new();
    private readonly PagePool _charge;
    private readonly IMemorySlots _slots;
    private readonly MemoryMapping _memory;
    private readonly Stack<int> _free = new();
    private readonly Stack<int> _retired = new();
    private int _untouched;

    public PageTablePool(PagePool charge, IMemorySlots slots)
    {
        _charge = charge;
        _slots = slots;
        _memory = MemoryMapping.ReserveAligned(
            (nuint)PageLimit * Page.Size, Page.LargeSize, PROT_READ | PROT_WRITE, "page tables");
        _ = madvise(_memory.Address, _memory.Length, MADV_DONTDUMP);
        slots.Add(new PhysicalAddress(PhysicalBase), _memory.Address, (ulong)PageLimit * Page.Size);
    }

    public static bool Contains(PhysicalAddress table) =>
        table.Value is >= PhysicalBase and < PhysicalBase + ((ulong)PageLimit * Page.Size);

    /// <summary>A zeroed table, or None at the memory limit.</summary>
    public PhysicalAddress Allocate()
    {
        if (!_charge.TryCharge(1))
            return PhysicalAddress.None;
        lock (_lock)
        {
            if (_free.Count == 0 && (_retired.Count >= RecycleThreshold || _untouched == PageLimit))
                Recycle();
            int index;
            if (_free.Count > 0)
            {
                index = _free.Pop();
                Unsafe.InitBlockUnaligned(_memory.Address + ((long)index * Page.Size), 0, Page.Size);
            }
            else if (_untouched < PageLimit)
            {
                index = _untouched++;
            }
            else
            {
                _charge.Uncharge(1);
                return PhysicalAddress.None;
            }
            return new PhysicalAddress(PhysicalBase + ((ulong)index * Page.Size));
        }
    }

    /// <summary>Gives a table back that no address space refers to any more.</summary>
    public void Retire(PhysicalAddress table)
    {
        lock (_lock)
            _retired.Push((int)((table.Value - PhysicalBase) / Page.Size));
        _charge.Uncharge(1);
    }

    internal ulong* Entries(PhysicalAddress table)
    {
        if (!Contains(table))
            throw new InvalidOperationException($"not a page table: {table}");
        return (ulong*)(_memory.Address + (table.Value - PhysicalBase));
    }

    private void Recycle()
    {
        if (_retired.Count == 0)
            return;
        _slots.ForgetTranslations();
        while (_retired.Count > 0)
            _free.Push(_retired.Pop());
    }

    public void Dispose() => _memory.Dispose();
}
