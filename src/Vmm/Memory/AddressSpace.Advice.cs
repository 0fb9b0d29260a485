using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Memory;

public sealed partial class AddressSpace
{
    /// <summary>madvise(2).</summary>
    public long Advise(VirtualAddress start, ulong length, int advice)
    {
        length = Page.RoundUp(length);
        if (!Page.IsAligned(start.Value))
            return -EINVAL;
        switch (advice)
        {
            case MADV_NORMAL or MADV_RANDOM or MADV_SEQUENTIAL or MADV_WILLNEED or MADV_HUGEPAGE or MADV_NOHUGEPAGE
                or MADV_MERGEABLE or MADV_UNMERGEABLE or MADV_DONTDUMP or MADV_DODUMP or MADV_COLD or MADV_PAGEOUT
                or MADV_DONTNEED or MADV_FREE or MADV_DONTFORK or MADV_DOFORK or MADV_WIPEONFORK or MADV_KEEPONFORK
                or MADV_REMOVE or MADV_POPULATE_READ or MADV_POPULATE_WRITE:
                break;
            default:
                return -EINVAL;
        }
        if (length == 0)
            return 0;
        if (length > PageTable.UserLimit || start.Value > PageTable.UserLimit - length)
            return -ENOMEM;
        ulong end = start.Value + length;
        if (advice == MADV_REMOVE)
            return PunchHoles(start.Value, end);
        lock (_lock)
        {
            if (advice is MADV_DONTNEED or MADV_FREE && (!SplitLargeAt(start.Value) || !SplitLargeAt(end)))
                return -ENOMEM;
            if (advice is MADV_DONTFORK or MADV_DOFORK or MADV_WIPEONFORK or MADV_KEEPONFORK
                && (!HasRoom(2) || !SplitAt(start.Value) || !SplitAt(end)))
                return -ENOMEM;
            ulong next = start.Value;
            bool hole = false;
            for (int i = _mappings.IndexAtOrAbove(start.Value); i < _mappings.Count && _mappings[i].Start < end; i++)
            {
                Mapping mapping = _mappings[i];
                hole |= mapping.Start > next;
                ulong from = Math.Max(mapping.Start, start.Value), to = Math.Min(mapping.End, end);
                long error = Advise(mapping, from, to, advice);
                if (error != 0)
                    return error;
                next = mapping.End;
            }
            _mappings.MergeAround(start.Value, end, _released);
            return hole || next < end ? -ENOMEM : 0;
        }
    }

    /// <summary>Only memory that is shared, can be written and is an object of ours has holes.</summary>
    private static long CheckRemovable(Mapping mapping) => mapping switch
    {
        { Backing: null } or { Shared: true, MayWrite: true, Backing: WindowFile } => -EINVAL,
        { Shared: true, MayWrite: true } => 0,
        _ => -EACCES,
    };

    /// <summary>
    /// MADV_REMOVE. The object takes its pages from every address space that maps it, this one included, and takes
    /// one lock at a time: so none is held here.
    /// </summary>
    private long PunchHoles(ulong start, ulong end)
    {
        bool hole = false;
        while (start < end)
        {
            PagedObject pages;
            ulong offset, length;
            lock (_lock)
            {
                int index = _mappings.IndexAtOrAbove(start);
                if (index == _mappings.Count || _mappings[index].Start >= end)
                    return -ENOMEM;
                Mapping mapping = _mappings[index];
                long error = CheckRemovable(mapping);
                if (error != 0)
                    return error;
                hole |= mapping.Start > start;
                start = Math.Max(mapping.Start, start);
                length = Math.Min(mapping.End, end) - start;
                offset = mapping.Offset + (start - mapping.Start);
                pages = (PagedObject)mapping.Backing!;
                pages.Acquire();
            }
            pages.PunchHole((long)offset, (long)length);
            pages.Release();
            start += length;
        }
        return hole ? -ENOMEM : 0;
    }

    private bool SplitLargeAt(ulong address) =>
        (address & (Page.LargeSize - 1)) == 0 || address >= PageTable.UserLimit || _table.TrySplitLarge(address);

    private long Advise(Mapping mapping, ulong start, ulong end, int advice)
    {
        switch (advice)
        {
            case MADV_FREE when mapping.Shared || mapping.Backing is not null:
                return -EINVAL;
            case MADV_DONTNEED or MADV_FREE:
                // Freed at once: MADV_FREE leaves the moment to the kernel.
                RemoveLeaves visitor = new(this);
                _table.Update(start, end, ref visitor);
                return 0;
            case MADV_DONTFORK:
                mapping.DontFork = true;
                return 0;
            case MADV_DOFORK:
                mapping.DontFork = false;
                return 0;
            case MADV_WIPEONFORK when mapping.Shared || mapping.Backing is not null:
                return -EINVAL;
            case MADV_WIPEONFORK:
                mapping.WipeOnFork = true;
                return 0;
            case MADV_KEEPONFORK:
                mapping.WipeOnFork = false;
                return 0;
            case MADV_POPULATE_READ or MADV_POPULATE_WRITE:
                for (ulong at = start; at < end; at += Page.Size)
                    switch (ResolveLocked(at, advice == MADV_POPULATE_WRITE, execute: false, byGuest: false))
                    {
                        case FaultResult.Resolved:
                            break;
                        case FaultResult.OutOfMemory:
                            return -ENOMEM;
                        case FaultResult.NoBacking:
                            return -EFAULT;
                        default:
                            return -EINVAL;
                    }
                return 0;
            default:
                return 0;
        }
    }

    /// <summary>msync(2): shared host files are written back.</summary>
    public long Synchronize(VirtualAddress start, ulong length, int flags)
    {
        length = Page.RoundUp(length);
        if (!Page.IsAligned(start.Value) || (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0
            || (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
            return -EINVAL;
        ulong end = start.Value + length;
        if (end < start.Value || end > PageTable.UserLimit)
            return -ENOMEM;
        lock (_lock)
        {
            ulong next = start.Value;
            for (int i = _mappings.IndexAtOrAbove(start.Value); next < end; i++)
            {
                if (i == _mappings.Count || _mappings[i].Start > next)
                    return -ENOMEM;
                Mapping mapping = _mappings[i];
                if (mapping is { Shared: true, Backing: WindowFile { Writable: true } file } && (flags & MS_SYNC) != 0)
                {
                    long error = Synchronize(mapping, file, next, Math.Min(mapping.End, end));
                    if (error != 0)
                        return error;
                }
                next = mapping.End;
            }
            return 0;
        }
    }

    private long Synchronize(Mapping mapping, WindowFile file, ulong start, ulong end)
    {
        while (start < end)
        {
            ulong offset = mapping.Offset + (start - mapping.Start);
            ulong run = Math.Min(end - start, FileWindow.ChunkSize - (offset & (FileWindow.ChunkSize - 1)));
            PhysicalAddress at = file.AddressOf(offset);
            long error = at.IsNone ? 0 : _memory.Window.Synchronize(at, run, MS_SYNC);
            if (error != 0)
                return error;
            start += run;
        }
        return 0;
    }

    /// <summary>mincore(2): whether each page of a mapped range is resident. False when part is not mapped.</summary>
    public bool TryGetResidency(VirtualAddress start, Span<byte> pages)
    {
        lock (_lock)
        {
            for (int i = 0; i < pages.Length; i++)
            {
                ulong address = start.Value + ((ulong)i * Page.Size);
                if (_mappings.Find(address) is null)
                    return false;
                pages[i] = _table.Lookup(address).IsOccupied ? (byte)1 : (byte)0;
            }
            return true;
        }
    }

    /// <summary>
    /// The object became shorter, and private copies of what it no longer has vanish with it, as in ftruncate(2); or
    /// it got a hole, which private copies survive. No program of this space uses the pages any more when this returns.
    /// </summary>
    /// <param name="isOriginal">
    /// Which pages at which indices were the object's own: of private mappings nothing else goes. Null for all.
    /// </param>
    internal void DropObjectPages(
        PagedObject pages, long firstPage, long endPage, Func<long, PhysicalAddress, bool>? isOriginal)
    {
        lock (_lock)
        {
            foreach (Mapping mapping in _mappings.All)
            {
                if (mapping.Backing != pages)
                    continue;
                ulong mapFirst = mapping.Offset >> Page.Shift, mapEnd = mapFirst + (mapping.Length >> Page.Shift);
                ulong first = Math.Max(mapFirst, (ulong)firstPage), end = Math.Min(mapEnd, (ulong)endPage);
                if (first >= end)
                    continue;
                DropLeaves visitor = new(this, mapping, mapping.Shared ? null : isOriginal);
                _table.Update(mapping.Start + ((first - mapFirst) << Page.Shift),
                    mapping.Start + ((end - mapFirst) << Page.Shift), ref visitor);
            }
            // The caller is of another space, or may be: processors of this one that are in the guest have to complete the
            // edits before they go on.
            if (!_table.Edits.IsEmpty)
                CallOut(self: null);
        }
    }

    private readonly struct DropLeaves(
        AddressSpace space, Mapping mapping, Func<long, PhysicalAddress, bool>? isOriginal) : ILeafVisitor
    {
        public PageTableEntry Visit(ulong address, ulong span, PageTableEntry leaf)
        {
            long index = (long)((mapping.Offset + (address - mapping.Start)) >> Page.Shift);
            if (isOriginal is not null && !isOriginal(index, leaf.Address))
                return leaf;
            space.ReleaseLeaf(leaf, (int)(span / Page.Size));
            return default;
        }
    }
}
