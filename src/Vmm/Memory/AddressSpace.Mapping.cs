using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Memory;

public sealed partial class AddressSpace
{
    private ulong _breakStart;
    private ulong _break;

    /// <summary>mmap(2).</summary>
    /// <param name="backing">Null for anonymous memory; MAP_SHARED then makes an object of its own.</param>
    /// <param name="mayWrite">False when a shared mapping must never become writable.</param>
    /// <param name="label">What /proc/self/maps shows instead of the backing's name, such as "[vdso]".</param>
    /// <returns>The address, or -EINVAL, -ENOMEM, -EEXIST, -EACCES, -EPERM (sealed), -ENODEV, -EOVERFLOW.</returns>
    public long Map(VirtualAddress hint, ulong length, Protection protection, int flags, IMappable? backing, ulong offset,
        string label = "", bool mayWrite = true)
    {
        if (length == 0 || !Page.IsAligned(offset))
            return -EINVAL;
        length = Page.RoundUp(length);
        if (length == 0 || length > PageTable.UserLimit)
            return -ENOMEM;
        if (offset + length < offset)
            return -EOVERFLOW;
        bool shared = (flags & MAP_TYPE) is MAP_SHARED or MAP_SHARED_VALIDATE;
        if ((flags & MAP_GROWSDOWN) != 0 && (shared || backing is not null))
            return -EINVAL;
        bool isFixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0;
        if (isFixed && !Page.IsAligned(hint.Value))
            return -EINVAL;
        if (isFixed && (hint.Value > PageTable.UserLimit - length || hint.Value < LowestAddress))
            return hint.Value < LowestAddress ? -EPERM : -ENOMEM;
        if (backing is HostFileMapping { Writable: false } && shared && (protection & Protection.Write) != 0)
            return -EACCES;

        IMappingBacking? held = null;
        switch (backing)
        {
            case HostFileMapping file:
                long error = _memory.Window.Open(file, offset, length, out WindowFile? window);
                if (error != 0)
                    return error;
                held = window;
                break;
            case PagedObject existing:
                existing.Acquire();
                held = existing;
                break;
            case not null:
                return -ENODEV;
            case null when shared:
                PagedObject anonymous = _memory.CreateObject("/dev/zero (deleted)", 0, 0, quota: null);
                anonymous.SetLength((long)length);
                held = anonymous;
                offset = 0;
                break;
        }

        // A sealed file's shared mappings stay as they are made; one that counts as a writer keeps it from being sealed.
        PagedObject? written = shared && mayWrite ? held as PagedObject : null;
        if (written?.TryAddWriter() == false)
        {
            if ((protection & Protection.Write) != 0)
            {
                written.Release();
                return -EPERM;
            }
            written = null;
            mayWrite = false;
        }
        lock (_lock)
        {
            long result = MapLocked(hint, length, protection, flags, shared, isFixed, held, offset, label, mayWrite);
            if (result < 0)
            {
                written?.RemoveWriter();
                held?.Release();
            }
            return result;
        }
    }

    private long MapLocked(VirtualAddress hint, ulong length, Protection protection, int flags, bool shared, bool isFixed,
        IMappingBacking? backing, ulong offset, string label, bool mayWrite)
    {
        if (!HasRoom(1))
            return -ENOMEM;
        if (backing is null && (protection & Protection.Write) != 0 && (flags & MAP_NORESERVE) == 0
            && length / Page.Size > (ulong)_memory.Pool.AvailablePages)
            return -ENOMEM;

        ulong start = hint.Value;
        if (!isFixed)
        {
            start = FindPlace(Page.RoundDown(hint.Value), length);
            if (start == 0)
                return -ENOMEM;
        }
        else if ((flags & MAP_FIXED_NOREPLACE) != 0)
        {
            if (!_mappings.IsFree(start, start + length))
                return -EEXIST;
        }
        else if (!RemoveLocked(start, start + length))
        {
            return -ENOMEM;
        }

        Mapping mapping = new()
        {
            Start = start,
            End = start + length,
            Protection = protection,
            Shared = shared,
            MayWrite = !shared || mayWrite,
            GrowsDown = (flags & MAP_GROWSDOWN) != 0,
            Backing = backing,
            Offset = offset,
            Label = label,
        };
        (backing as PagedObject)?.Register(this);
        _mappings.Insert(mapping);
        _mappedBytes += length;
        if ((flags & MAP_POPULATE) != 0)
            Populate(mapping);
        else if (backing is WindowFile && isFixed)
            PrepareSegment(mapping);
        _mappings.MergeAround(start, start + length, _released);
        return (long)start;
    }

    private ulong FindPlace(ulong hint, ulong length)
    {
        if (hint >= LowestAddress && hint <= PageTable.UserLimit - length && _mappings.IsFree(hint, hint + length))
            return hint;
        // Large mappings start on a large page, so that large entries can serve them.
        ulong alignment = length >= Page.LargeSize ? Page.LargeSize : (ulong)Page.Size;
        ulong start = _mappings.FindGapBelow(MappingTop.Value, length, alignment, LowestAddress);
        return start != 0 ? start : _mappings.FindGapBelow(PageTable.UserLimit, length, Page.Size, LowestAddress);
    }

    /// <summary>munmap(2).</summary>
    public long Unmap(VirtualAddress start, ulong length)
    {
        length = Page.RoundUp(length);
        if (!Page.IsAligned(start.Value) || length == 0 || length > PageTable.UserLimit
            || start.Value > PageTable.UserLimit - length)
            return -EINVAL;
        lock (_lock)
        {
            ulong end = start.Value + length;
            return HasRoomForHole(start.Value, end) && RemoveLocked(start.Value, end) ? 0 : -ENOMEM;
        }
    }

    /// <summary>shmdt(2): removes what is left of a mapping of a whole object that began here.</summary>
    /// <param name="isSegment">Whether it is one of those that can be removed so.</param>
    /// <returns>The object, which the caller may only name: nobody may hold it any more. Null for none.</returns>
    public PagedObject? Detach(VirtualAddress start, Func<PagedObject, bool> isSegment)
    {
        lock (_lock)
        {
            int index = _mappings.IndexAtOrAbove(start.Value);
            PagedObject? found = null;
            while (index < _mappings.Count && (found is null || _mappings[index].Start - start.Value < (ulong)found.Length))
            {
                Mapping mapping = _mappings[index];
                if (mapping.Backing is PagedObject pages && mapping.Start - mapping.Offset == start.Value
                    && (found is null ? isSegment(pages) : pages == found))
                {
                    found = pages;
                    if (!RemoveLocked(mapping.Start, mapping.End))
                        break;
                }
                else
                {
                    index++;
                }
            }
            return found;
        }
    }

    /// <summary>Only a hole inside of one mapping makes one mapping more.</summary>
    private bool HasRoomForHole(ulong start, ulong end) =>
        _mappings.Find(start) is not { } around || around.Start >= start || around.End <= end || HasRoom(1);

    /// <summary>
    /// Whether there may be so many mappings more than now. What the VMM itself needs for them is charged to the guest.
    /// </summary>
    private bool HasRoom(int more)
    {
        int count = _mappings.Count + more;
        int missing = (count / MappingList.PerPage) - _mappingPages;
        if (count > MappingList.Limit || (missing > 0 && !_memory.Pool.TryCharge(missing)))
            return false;
        _mappingPages += Math.Max(missing, 0);
        return true;
    }

    /// <summary>Gives back what is charged for mappings that are gone, but for one page, which may be needed soon.</summary>
    private void ReturnRoom()
    {
        int unused = _mappingPages - (_mappings.Count / MappingList.PerPage) - 1;
        if (unused <= 0)
            return;
        _memory.Pool.Uncharge(unused);
        _mappingPages -= unused;
    }

    /// <summary>Removes what is mapped in a range. False when a large entry at its edge could not be split.</summary>
    private bool RemoveLocked(ulong start, ulong end)
    {
        if (!SplitAt(start) || !SplitAt(end))
            return false;
        int index = _mappings.IndexAtOrAbove(start);
        if (index == _mappings.Count || _mappings[index].Start >= end)
            return true;
        RemoveLeaves visitor = new(this);
        _table.Update(start, end, ref visitor);
        int count = 0;
        for (; index + count < _mappings.Count && _mappings[index + count].Start < end; count++)
        {
            Mapping mapping = _mappings[index + count];
            _mappedBytes -= mapping.Length;
            ReleaseBacking(mapping);
        }
        _mappings.RemoveRange(index, count);
        ReturnRoom();
        return true;
    }

    private readonly struct RemoveLeaves(AddressSpace space) : ILeafVisitor
    {
        public PageTableEntry Visit(ulong address, ulong span, PageTableEntry leaf)
        {
            space.ReleaseLeaf(leaf, (int)(span / Page.Size));
            return default;
        }
    }

    /// <summary>Makes a mapping border, and a leaf border, at an address. False at the memory limit.</summary>
    private bool SplitAt(ulong address)
    {
        if ((address & (Page.LargeSize - 1)) != 0 && address < PageTable.UserLimit && !_table.TrySplitLarge(address))
            return false;
        _mappings.SplitAt(address, _acquired);
        return true;
    }

    private Action<Mapping> _acquired => field ??= AcquireBacking;

    private Action<Mapping> _released => field ??= ReleaseBacking;

    /// <summary>mprotect(2).</summary>
    public long Protect(VirtualAddress start, ulong length, Protection protection)
    {
        length = Page.RoundUp(length);
        if (!Page.IsAligned(start.Value))
            return -EINVAL;
        if (length == 0)
            return 0;
        if (length > PageTable.UserLimit || start.Value > PageTable.UserLimit - length)
            return -ENOMEM;
        ulong end = start.Value + length;
        using PinsRefused unpinned = RefusePins();
        lock (_lock)
        {
            if (!HasRoom(2) || !SplitAt(start.Value) || !SplitAt(end))
                return -ENOMEM;
            ulong next = start.Value;
            for (int i = _mappings.IndexAtOrAbove(start.Value); next < end; i++)
            {
                // The kernel changes what comes before a hole and then reports it.
                if (i == _mappings.Count || _mappings[i].Start > next)
                {
                    _mappings.MergeAround(start.Value, end, _released);
                    return -ENOMEM;
                }
                Mapping mapping = _mappings[i];
                bool isReadOnly = !mapping.MayWrite || mapping is { Shared: true, Backing: WindowFile { Writable: false } };
                if (isReadOnly && (protection & Protection.Write) != 0)
                    return -EACCES;
                if (mapping.Protection != protection)
                {
                    // A parked entry keeps its page; only a 4 KiB one has room to say so.
                    if (protection == Protection.None && !_table.TrySplitLarge(mapping.Start, mapping.End))
                        return -ENOMEM;
                    mapping.Protection = protection;
                    ProtectLeaves visitor = new(this, mapping);
                    _table.Update(mapping.Start, mapping.End, ref visitor);
                }
                next = mapping.End;
            }
            _mappings.MergeAround(start.Value, end, _released);
            return 0;
        }
    }

    private readonly struct ProtectLeaves(AddressSpace space, Mapping mapping) : ILeafVisitor
    {
        public PageTableEntry Visit(ulong address, ulong span, PageTableEntry leaf)
        {
            return mapping.Protection == Protection.None
                ? PageTableEntry.Parked(leaf.Address)
                : PageTableEntry.User(leaf.Address, space.LeafProtection(mapping, leaf.Address), span == Page.LargeSize);
        }
    }

    /// <summary>The protection a leaf gets: without write while the page is shared copy-on-write.</summary>
    private Protection LeafProtection(Mapping mapping, PhysicalAddress page)
    {
        bool mayWrite = mapping.Shared
            ? mapping.Backing is not WindowFile { Writable: false }
            : PagePool.Contains(page) && _memory.Pool.References(page) == 1;
        return mayWrite ? mapping.Protection : mapping.Protection & ~Protection.Write;
    }

    /// <summary>
    /// How many mappings a move may make: a hole at the target, the moved one, and what is left on both sides of the old.
    /// </summary>
    private const int MappingsOfMove = 4;

    /// <summary>mremap(2).</summary>
    /// <returns>The new address, or -EINVAL, -EFAULT, -ENOMEM.</returns>
    public long Remap(VirtualAddress old, ulong oldLength, ulong newLength, int flags, VirtualAddress target)
    {
        oldLength = Page.RoundUp(oldLength);
        newLength = Page.RoundUp(newLength);
        bool mayMove = (flags & MREMAP_MAYMOVE) != 0;
        bool isFixed = (flags & MREMAP_FIXED) != 0;
        bool keepsOld = (flags & MREMAP_DONTUNMAP) != 0;
        if (!Page.IsAligned(old.Value) || newLength == 0 || newLength > PageTable.UserLimit
            || (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 || (isFixed && !mayMove)
            || (keepsOld && (!mayMove || oldLength != newLength)))
            return -EINVAL;
        if (old.Value > PageTable.UserLimit || oldLength > PageTable.UserLimit - old.Value)
            return -EINVAL;
        lock (_lock)
        {
            Mapping? mapping = _mappings.Find(old.Value);
            if (mapping is null)
                return -EFAULT;
            if (oldLength == 0)
                return -EINVAL;
            if (old.Value + oldLength > mapping.End)
                return -EFAULT;
            if (isFixed)
            {
                if (!Page.IsAligned(target.Value) || target.Value < LowestAddress
                    || target.Value > PageTable.UserLimit - newLength)
                    return -EINVAL;
                if (target.Value < old.Value + oldLength && old.Value < target.Value + newLength)
                    return -EINVAL;
            }
            if ((isFixed || keepsOld) && !HasRoom(MappingsOfMove))
                return -ENOMEM;
            if (newLength < oldLength && !(HasRoomForHole(old.Value + newLength, old.Value + oldLength)
                && RemoveLocked(old.Value + newLength, old.Value + oldLength)))
                return -ENOMEM;
            oldLength = Math.Min(oldLength, newLength);
            if (!isFixed && !keepsOld && newLength == oldLength)
                return (long)old.Value;
            ulong grow = newLength - oldLength;
            if (mapping.Backing is null && grow / Page.Size > (ulong)_memory.Pool.AvailablePages
                && (mapping.Protection & Protection.Write) != 0)
                return -ENOMEM;
            long error = GrowBacking(mapping, old.Value, oldLength, newLength);
            if (error != 0)
                return error;
            ulong oldEnd = old.Value + oldLength;
            if (!isFixed && !keepsOld && oldEnd == mapping.End && oldEnd <= PageTable.UserLimit - grow
                && _mappings.IsFree(oldEnd, oldEnd + grow))
            {
                mapping.End += grow;
                _mappedBytes += grow;
                _mappings.MergeAround(mapping.Start, mapping.End, _released);
                return (long)old.Value;
            }
            if (!mayMove || !HasRoom(MappingsOfMove))
                return -ENOMEM;
            return MoveLocked(old.Value, oldLength, newLength, isFixed ? target.Value : 0, keepsOld);
        }
    }

    private long GrowBacking(Mapping mapping, ulong start, ulong oldLength, ulong newLength)
    {
        // A file's new part must be in the window; the descriptor it was mapped from is long gone, so only what
        // the chunk already covers can be added.
        if (mapping.Backing is WindowFile file && newLength > oldLength
            && file.AddressOf(mapping.Offset + (start - mapping.Start) + newLength - Page.Size).IsNone)
            return -ENOMEM;
        return 0;
    }

    private long MoveLocked(ulong old, ulong oldLength, ulong newLength, ulong target, bool keepsOld)
    {
        if (target != 0)
        {
            if (!RemoveLocked(target, target + newLength))
                return -ENOMEM;
        }
        else
        {
            target = FindPlace(0, newLength);
            if (target == 0)
                return -ENOMEM;
        }
        if (!SplitAt(old) || !SplitAt(old + oldLength))
            return -ENOMEM;
        if (!_table.TrySplitLarge(old, old + oldLength))
            return -ENOMEM;
        Mapping source = _mappings.Find(old)!;
        Mapping moved = source.Slice(old, old + newLength);
        moved.Start = target;
        moved.End = target + newLength;
        AcquireBacking(moved);
        _mappings.Insert(moved);
        _mappedBytes += newLength;
        MoveLeaves visitor = new(_table, old, target);
        _table.Update(old, old + oldLength, ref visitor);
        if (visitor.Failed)
        {
            // The tables that the pages came from are still there: back they go.
            MoveLeaves back = new(_table, target, old);
            _table.Update(target, target + oldLength, ref back);
            RemoveLocked(target, target + newLength);
            return -ENOMEM;
        }
        if (!keepsOld)
        {
            int index = _mappings.IndexAtOrAbove(old);
            _mappedBytes -= _mappings[index].Length;
            _mappings.RemoveAt(index);
            ReleaseBacking(source);
        }
        else
        {
            _mappings.MergeAround(old, old + oldLength, _released);
        }
        _mappings.MergeAround(target, target + newLength, _released);
        return (long)target;
    }

    private struct MoveLeaves(PageTable table, ulong from, ulong to) : ILeafVisitor
    {
        public bool Failed { get; private set; }

        public PageTableEntry Visit(ulong address, ulong span, PageTableEntry leaf)
        {
            if (Failed || !table.TrySet(to + (address - from), leaf))
            {
                Failed = true;
                return leaf;
            }
            return default;
        }
    }

    /// <summary>Sets where brk(2) begins: behind the program's last segment.</summary>
    public void SetBreakStart(VirtualAddress start)
    {
        lock (_lock)
            _breakStart = _break = start.Value;
    }

    /// <summary>brk(2): the new break, or the old one when the request cannot be met.</summary>
    public ulong SetBreak(ulong requested)
    {
        lock (_lock)
        {
            ulong oldEnd = Page.RoundUp(_break);
            ulong newEnd = Page.RoundUp(requested);
            if (requested < _breakStart || newEnd < requested || newEnd > PageTable.UserLimit)
                return _break;
            if (newEnd > oldEnd)
            {
                ulong grow = newEnd - oldEnd;
                if (!_mappings.IsFree(oldEnd, newEnd) || grow / Page.Size > (ulong)_memory.Pool.AvailablePages
                    || !HasRoom(1))
                    return _break;
                _mappings.Insert(new Mapping
                {
                    Start = oldEnd,
                    End = newEnd,
                    Protection = Protection.ReadWrite,
                    Shared = false,
                    Label = "[heap]",
                });
                _mappedBytes += grow;
                _mappings.MergeAround(oldEnd, newEnd, _released);
            }
            else if (newEnd < oldEnd && !RemoveLocked(newEnd, oldEnd))
            {
                return _break;
            }
            return _break = requested;
        }
    }
}
