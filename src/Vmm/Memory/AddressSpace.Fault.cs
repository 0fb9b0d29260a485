namespace Sandbox.Vmm.Memory;

public sealed partial class AddressSpace
{
    /// <summary>Resolves a fault of user code.</summary>
    public FaultResult HandleFault(VirtualAddress address, bool write, bool execute)
    {
        lock (_lock)
            return ResolveLocked(address.Value, write, execute, byGuest: true);
    }

    /// <param name="byGuest">
    /// The processor itself just missed on this address, and so has no stale translation of it. An access by the VMM
    /// on the program's behalf gives no such promise.
    /// </param>
    private FaultResult ResolveLocked(ulong address, bool write, bool execute, bool byGuest)
    {
        Mapping? mapping = FindOrGrow(address);
        if (mapping is null)
            return FaultResult.NotMapped;
        Protection needed = execute ? Protection.Execute : write ? Protection.Write : Protection.Read;
        // As on real x86-64: what can be written or executed can be read.
        bool allowed = needed == Protection.Read ? mapping.Protection != Protection.None : (mapping.Protection & needed) != 0;
        if (!allowed)
            return FaultResult.Forbidden;
        ulong page = Page.RoundDown(address);
        PageTableEntry leaf = _table.Lookup(page);
        if (!leaf.IsPresent)
            return leaf.IsOccupied ? Unpark(mapping, page, leaf) : Supply(mapping, page, write);
        if (write && !leaf.IsWritable)
            return MakeWritable(mapping, page, leaf, byGuest);
        return FaultResult.Resolved;
    }

    private Mapping? FindOrGrow(ulong address)
    {
        int index = _mappings.IndexAtOrAbove(address);
        if (index == _mappings.Count)
            return null;
        Mapping mapping = _mappings[index];
        if (mapping.Start <= address)
            return mapping;
        if (!mapping.GrowsDown || mapping.End - Page.RoundDown(address) > StackLimit)
            return null;
        ulong start = Page.RoundDown(address);
        ulong below = index == 0 ? LowestAddress : _mappings[index - 1].End + StackGuardGap;
        if (start < below)
            return null;
        _mappedBytes += mapping.Start - start;
        mapping.Start = start;
        return mapping;
    }

    private FaultResult Unpark(Mapping mapping, ulong page, PageTableEntry leaf)
    {
        _table.TrySet(page, PageTableEntry.User(leaf.Address, LeafProtection(mapping, leaf.Address)));
        return FaultResult.Resolved;
    }

    private FaultResult Supply(Mapping mapping, ulong page, bool write) => mapping.Backing switch
    {
        null => SupplyAnonymous(mapping, page),
        PagedObject pages => SupplyFromObject(mapping, pages, page, write),
        WindowFile => SupplyFromWindow(mapping, page, write),
        _ => FaultResult.NoBacking,
    };

    /// <summary>
    /// Brings in the page and, the longer a program walks through its memory in order, the more pages after it, up to
    /// large entries: a fault costs an exit, and a large entry saves 512 of them.
    /// </summary>
    private FaultResult SupplyAnonymous(Mapping mapping, ulong page)
    {
        if (mapping.SequentialEnd == page)
            mapping.FaultPages = Math.Min(mapping.FaultPages * 2, Page.PerLarge);
        else if (mapping.FaultPages > Mapping.InitialFaultPages)
            mapping.FaultPages /= 2;
        if (mapping.FaultPages == Page.PerLarge && TrySupplyLarge(mapping, page))
            return FaultResult.Resolved;

        ulong start = page, end;
        if (mapping.GrowsDown)
        {
            end = page + Page.Size;
            ulong around = (ulong)Mapping.InitialFaultPages * Page.Size;
            start = Math.Max(mapping.Start, page > around ? page - around : 0);
        }
        else
        {
            end = Math.Min(mapping.End, page + ((ulong)mapping.FaultPages * Page.Size));
            // Stop at a large page's border, so that the next fault can bring in a large page.
            ulong border = (page & ~(ulong)(Page.LargeSize - 1)) + Page.LargeSize;
            end = Math.Min(end, border);
        }
        if (!TrySupplyPage(mapping, page))
            return FaultResult.OutOfMemory;
        for (ulong at = start; at < end; at += Page.Size)
            if (at != page && !_table.Lookup(at).IsOccupied && !TrySupplyPage(mapping, at))
                break;
        mapping.SequentialEnd = end;
        return FaultResult.Resolved;
    }

    private bool TrySupplyPage(Mapping mapping, ulong page)
    {
        PhysicalAddress frame = _memory.Pool.AllocatePage();
        if (frame.IsNone)
            return false;
        if (!_table.TrySet(page, PageTableEntry.User(frame, mapping.Protection)))
        {
            _memory.Pool.Release(frame);
            return false;
        }
        _residentPages++;
        return true;
    }

    private bool TrySupplyLarge(Mapping mapping, ulong page)
    {
        ulong start = page & ~(ulong)(Page.LargeSize - 1);
        if (start < mapping.Start || start + Page.LargeSize > mapping.End || !_table.CanSetLarge(start))
            return false;
        PhysicalAddress block = _memory.Pool.AllocateLarge();
        if (block.IsNone)
            return false;
        if (!_table.TrySetLarge(start, PageTableEntry.User(block, mapping.Protection, large: true)))
        {
            ReleaseBlock(block);
            return false;
        }
        _residentPages += Page.PerLarge;
        mapping.SequentialEnd = start + Page.LargeSize;
        return true;
    }

    private void ReleaseBlock(PhysicalAddress block)
    {
        for (int i = 0; i < Page.PerLarge; i++)
            _memory.Pool.Release(new PhysicalAddress(block.Value + ((ulong)i * Page.Size)));
    }

    private FaultResult SupplyFromObject(Mapping mapping, PagedObject pages, ulong page, bool write)
    {
        long index = (long)((mapping.Offset + (page - mapping.Start)) >> Page.Shift);
        PhysicalAddress frame = pages.GetPage(index, create: true, out bool pastEnd);
        if (frame.IsNone)
            return pastEnd ? FaultResult.NoBacking : FaultResult.OutOfMemory;
        if (write && !mapping.Shared)
        {
            PhysicalAddress copy = CopyOf(frame);
            _memory.Pool.Release(frame);
            if (copy.IsNone)
                return FaultResult.OutOfMemory;
            frame = copy;
        }
        if (!_table.TrySet(page, PageTableEntry.User(frame, LeafProtection(mapping, frame))))
        {
            _memory.Pool.Release(frame);
            return FaultResult.OutOfMemory;
        }
        _residentPages++;
        return FaultResult.Resolved;
    }

    private FaultResult SupplyFromWindow(Mapping mapping, ulong page, bool write)
    {
        ulong large = page & ~(ulong)(Page.LargeSize - 1);
        if (!FillFromWindow(mapping, Math.Max(mapping.Start, large), Math.Min(mapping.End, large + Page.LargeSize)))
            return FaultResult.OutOfMemory;
        PageTableEntry leaf = _table.Lookup(page);
        if (!leaf.IsPresent)
            return FaultResult.NoBacking;
        return write && !leaf.IsWritable ? MakeWritable(mapping, page, leaf, byGuest: true) : FaultResult.Resolved;
    }

    /// <summary>The largest private writable file mapping that is copied when it is made.</summary>
    private const ulong EagerCopyLimit = 4 << 20;

    private const int CopyBatch = 32;

    /// <summary>
    /// A file mapping at an address that the program chose is a segment in its final place: entries for it cost next
    /// to nothing now, and a fault each later. Its writable data is about to be relocated, so it is copied at once.
    /// </summary>
    private void PrepareSegment(Mapping mapping)
    {
        if (mapping.Shared || (mapping.Protection & Protection.Write) == 0)
            FillFromWindow(mapping, mapping.Start, Math.Min(mapping.End, mapping.Start + Page.LargeSize));
        else if (mapping.Length <= EagerCopyLimit)
            CopyFromWindow(mapping);
    }

    private void CopyFromWindow(Mapping mapping)
    {
        WindowFile file = (WindowFile)mapping.Backing!;
        Span<PhysicalAddress> copies = stackalloc PhysicalAddress[CopyBatch];
        for (ulong at = mapping.Start; at < mapping.End;)
        {
            ulong offset = mapping.Offset + (at - mapping.Start);
            ulong inChunk = FileWindow.ChunkSize - (offset & (FileWindow.ChunkSize - 1));
            int count = (int)Math.Min(Math.Min(mapping.End - at, inChunk) / Page.Size, CopyBatch);
            PhysicalAddress source = file.AddressOf(offset);
            if (source.IsNone)
                return;
            int allocated = 0;
            while (allocated < count && _memory.Pool.AllocatePageForOverwrite() is { IsNone: false } page)
                copies[allocated++] = page;
            int copied = _memory.Window.CopyPages(source, _memory.Pool, copies[..allocated]);
            int placed = 0;
            while (placed < copied
                && _table.TrySet(at + ((ulong)placed * Page.Size), PageTableEntry.User(copies[placed], mapping.Protection)))
                placed++;
            _residentPages += placed;
            foreach (PhysicalAddress unused in copies[placed..allocated])
                _memory.Pool.Release(unused);
            // The rest is past the end of the file or over the limit: a fault will tell.
            if (placed < count)
                return;
            at += (ulong)count * Page.Size;
        }
    }

    /// <summary>Maps what the window has of a file range. Entries cost nothing until they are touched.</summary>
    private bool FillFromWindow(Mapping mapping, ulong start, ulong end)
    {
        if (mapping.Protection == Protection.None)
            return true;
        WindowFile file = (WindowFile)mapping.Backing!;
        Protection protection = mapping.Shared && file.Writable ? mapping.Protection : mapping.Protection & ~Protection.Write;
        for (ulong at = start; at < end;)
        {
            ulong offset = mapping.Offset + (at - mapping.Start);
            ulong run = Math.Min(end - at, FileWindow.ChunkSize - (offset & (FileWindow.ChunkSize - 1)));
            PhysicalAddress first = file.AddressOf(offset);
            if (!first.IsNone && !_table.TryFill(at, first, (int)(run / Page.Size), protection))
                return false;
            at += run;
        }
        return true;
    }

    /// <summary>A write to a page that is present without write permission: copy-on-write, or the last sharer.</summary>
    private FaultResult MakeWritable(Mapping mapping, ulong page, PageTableEntry leaf, bool byGuest)
    {
        if (leaf.IsLarge)
        {
            // Large leaves are never shared: this one was narrowed by mprotect and is being widened again.
            ulong start = page & ~(ulong)(Page.LargeSize - 1);
            _table.TrySetLarge(start, PageTableEntry.User(leaf.Address, mapping.Protection, large: true));
            return FaultResult.Resolved;
        }
        if ((LeafProtection(mapping, leaf.Address) & Protection.Write) != 0)
        {
            _table.TrySet(page, PageTableEntry.User(leaf.Address, mapping.Protection));
            return FaultResult.Resolved;
        }
        if (mapping.Shared)
            return FaultResult.Forbidden;
        PhysicalAddress copy = CopyOf(leaf.Address);
        if (copy.IsNone)
            return PagePool.Contains(leaf.Address) || _memory.Pool.AvailablePages == 0
                ? FaultResult.OutOfMemory : FaultResult.NoBacking;
        // The processor that faulted sees the new page at once. Any other one that runs on these tables, and this one
        // when it did not fault, may hold a translation of the old page: those need the entry rewritten.
        bool quiet = byGuest && _cpus.Count <= 1;
        _table.Replace(page, PageTableEntry.User(copy, mapping.Protection), recordEdit: !quiet);
        if (PagePool.Contains(leaf.Address))
        {
            if (quiet)
                _memory.Pool.Release(leaf.Address);
            else
                _table.Edits.Hold(leaf.Address);
        }
        else
        {
            _residentPages++;
        }
        return FaultResult.Resolved;
    }

    private unsafe PhysicalAddress CopyOf(PhysicalAddress page)
    {
        PhysicalAddress copy = _memory.Pool.AllocatePageForOverwrite();
        if (copy.IsNone)
            return copy;
        Span<byte> target = new(_memory.Pool.HostAddress(copy), Page.Size);
        if (PagePool.Contains(page))
        {
            new ReadOnlySpan<byte>(_memory.Pool.HostAddress(page), Page.Size).CopyTo(target);
        }
        else if (!_memory.Window.TryRead(page, target))
        {
            _memory.Pool.Release(copy);
            return PhysicalAddress.None;
        }
        return copy;
    }

    /// <summary>MAP_POPULATE and MADV_POPULATE: best effort, as in Linux.</summary>
    private void Populate(Mapping mapping)
    {
        for (ulong at = mapping.Start; at < mapping.End; at += Page.Size)
            if (ResolveLocked(at, (mapping.Protection & Protection.Write) != 0, execute: false, byGuest: false)
                != FaultResult.Resolved)
                return;
    }
}
