using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Memory;

/// <summary>
/// One process's view of memory: its mappings, its page table, and the only way in which the VMM reads or writes
/// what the process can see.
/// </summary>
/// <remarks>
/// Two rules for users: guest memory is copied once, then checked, then used; nothing is read twice. No pointer or
/// span over guest memory leaves this class, but what <see cref="TryPin"/> lends to a host call. One lock guards everything; below it come only the locks of
/// <see cref="PagedObject"/>, <see cref="FileWindow"/> and the pools.
/// </remarks>
public sealed partial class AddressSpace
{
    /// <summary>vm.mmap_min_addr: the null page and its neighbours are never mapped.</summary>
    public const ulong LowestAddress = 0x1_0000;

    /// <summary>Between the stack's lowest growth and the next mapping below, as the kernel's stack_guard_gap.</summary>
    private const ulong StackGuardGap = 256 * Page.Size;

    private readonly Lock _lock = new();
    private readonly GuestMemory _memory;
    private readonly PageTable _table;
    private readonly MappingList _mappings = new();
    private readonly List<VirtualCpu> _cpus = [];
    private int _users = 1;
    private long _residentPages;
    private ulong _mappedBytes;
    private int _mappingPages;

    internal AddressSpace(GuestMemory memory, PageTable table)
    {
        _memory = memory;
        _table = table;
    }

    /// <summary>Where mmap(2) without an address looks first: it goes down from here. Set by the loader.</summary>
    public VirtualAddress MappingTop { get; set; } = new(PageTable.UserLimit);

    /// <summary>How far the stack may grow, in bytes (RLIMIT_STACK).</summary>
    public ulong StackLimit { get; set; } = 8 << 20;

    /// <summary>The value for CR3.</summary>
    internal PhysicalAddress Root => _table.Root;

    /// <summary>Bytes resident (VmRSS) and mapped (VmSize).</summary>
    public (ulong Resident, ulong Mapped) Usage
    {
        get
        {
            lock (_lock)
                return ((ulong)_residentPages * Page.Size, _mappedBytes);
        }
    }

    /// <summary>CLONE_VM: one more process uses this space.</summary>
    public AddressSpace Share()
    {
        Interlocked.Increment(ref _users);
        return this;
    }

    public bool IsShared => Volatile.Read(ref _users) > 1;

    /// <summary>A process is done with it; the last one frees everything.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _users) > 0)
            return;
        lock (_lock)
        {
            RemoveLocked(0, PageTable.UserLimit);
            // No processor runs on these tables any more, so nothing can still reach the pages.
            ReleaseQuarantine();
            foreach (PhysicalAddress page in _exchanges.Values)
                _memory.Pool.Release(page);
            _exchanges.Clear();
            _memory.Pool.Uncharge(_mappingPages);
            _mappingPages = 0;
            _table.Free();
        }
    }

    /// <summary>The mappings in address order, for /proc/PID/maps.</summary>
    public IReadOnlyList<MappingDescription> Describe()
    {
        lock (_lock)
        {
            List<MappingDescription> lines = new(_mappings.Count);
            foreach (Mapping mapping in _mappings.All)
            {
                (ulong device, ulong inode) = mapping.Backing?.Identity ?? (0, 0);
                string name = mapping.Label.Length > 0 ? mapping.Label : mapping.Backing?.MappingName ?? "";
                lines.Add(new MappingDescription(mapping.Start, mapping.End, mapping.Protection, mapping.Shared,
                    mapping.Backing is null ? 0 : mapping.Offset, device, inode, name));
            }
            return lines;
        }
    }

    /// <summary>Whether all of a page-aligned range is mapped.</summary>
    public bool IsMapped(VirtualAddress start, ulong length)
    {
        ulong next = start.Value, end = start.Value + length;
        if (end < next)
            return false;
        lock (_lock)
        {
            for (int i = _mappings.IndexAtOrAbove(next); next < end; i++)
            {
                if (i == _mappings.Count || _mappings[i].Start > next)
                    return false;
                next = _mappings[i].End;
            }
            return true;
        }
    }

    private void AcquireBacking(Mapping mapping)
    {
        if (mapping.Backing is not IMappingBacking backing)
            return;
        backing.Acquire();
        (backing as PagedObject)?.Register(this);
        if (mapping is { Shared: true, MayWrite: true })
            (backing as PagedObject)?.AddWriter();
    }

    private void ReleaseBacking(Mapping mapping)
    {
        if (mapping.Backing is not IMappingBacking backing)
            return;
        (backing as PagedObject)?.Unregister(this);
        if (mapping is { Shared: true, MayWrite: true })
            (backing as PagedObject)?.RemoveWriter();
        backing.Release();
    }

    /// <summary>What a leaf that goes away owned: given back once no processor can reach it any more.</summary>
    private void ReleaseLeaf(PageTableEntry leaf, int pages)
    {
        if (!PagePool.Contains(leaf.Address))
            return;
        _residentPages -= pages;
        for (int i = 0; i < pages; i++)
        {
            PhysicalAddress page = new(leaf.Address.Value + ((ulong)i * Page.Size));
            // A parked leaf may have been parked by an edit that is not complete yet.
            if (leaf.IsPresent || !_table.Edits.IsEmpty)
                _table.Edits.Hold(page);
            else
                _memory.Pool.Release(page);
        }
    }

    private void ReleaseQuarantine()
    {
        foreach (PhysicalAddress page in _table.Edits.Quarantine)
            _memory.Pool.Release(page);
        _table.Edits.Clear();
    }
}

/// <summary>One line of /proc/PID/maps.</summary>
public readonly record struct MappingDescription(
    ulong Start, ulong End, Protection Protection, bool Shared, ulong Offset, ulong Device, ulong Inode, string Name);

/// <summary>Identity of a futex word; equal keys are the same word.</summary>
public readonly record struct FutexKey(object Owner, ulong Offset);
