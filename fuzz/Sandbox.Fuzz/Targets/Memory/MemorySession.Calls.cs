using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

// The calls of mmap(2)'s family.
sealed partial class MemorySession
{
    private void Map(in MemoryOperation operation)
    {
        bool shared = operation.IsShared;
        int number = objects.Mappable(operation.Object, shared) is null ? 0 : operation.Object;
        IMappable? backing = objects.Mappable(number, shared);
        ModelObject? file = number == 0 ? null : objects.Model(number);
        int index = number == 0 ? 0 : operation.Second % MemoryObjects.Pages;
        int count = file is { IsHostFile: true } ? Math.Min(operation.Count,
            MemoryObjects.Pages - index) : operation.Count;
        ulong hint = operation.Placing == 3 ? 0 : operation.Start.Value;
        int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (file is null ? MAP_ANONYMOUS : 0)
            | (operation.Placing switch { 1 => MAP_FIXED, 2 => MAP_FIXED_NOREPLACE, _ => 0 })
            | (operation.Populates ? MAP_POPULATE : 0) | (operation.GrowsDown ? MAP_GROWSDOWN : 0);
        bool mayWrite = file?.MayWrite ?? true;
        long expected = ExpectMap(operation, count, shared, file);
        long result = _current.Real.Map(new VirtualAddress(hint), (ulong)count * Page.Size, operation.Protection, flags,
            backing, (ulong)index * Page.Size, mayWrite: mayWrite);
        if (IsOutside(result, count))
        {
            // There was no place where we look: it is outside.
            if (_isComparing)
                OracleException.Check(!_current.Model.HasGap(count, AlignmentOf(count)), "a place was there");
            OracleException.Check(_current.Real.Unmap(new VirtualAddress((ulong)result), (ulong)count * Page.Size) == 0,
                "what was just mapped cannot be unmapped");
            return;
        }
        if (!Compare("mmap", result, expected))
            return;
        int first = (int)(result >> Page.Shift);
        CheckPlace(operation, hint, first, count);
        if (shared && file is null)
            file = new ModelObject(count, 0);
        _current.Model.Place(first, count, new ModelPage
        {
            IsMapped = true, IsShared = shared, MayWrite = !shared || mayWrite, GrowsDown = operation.GrowsDown,
            Protection = operation.Protection, Object = file, Index = index,
        });
        if (operation.Populates)
            for (int i = first; i < first + count; i++)
                if (_current.Model.Access(i, (operation.Protection & Protection.Write) != 0,
                    execute: false) != FaultResult.Resolved)
                    break;
    }

    /// <summary>Where there is no place below the top that we set, one is found high above it.</summary>
    private static bool IsOutside(long address, int count) => (address >> Page.Shift) + count > ModelSpace.PageCount;

    private static int AlignmentOf(int count) => count >= Page.PerLarge ? Page.PerLarge : 1;

    private long ExpectMap(in MemoryOperation operation, int count, bool shared, ModelObject? file)
    {
        bool isFixed = operation.Placing is 1 or 2;
        if (count == 0 || (operation.GrowsDown && (shared || file is not null)))
            return -EINVAL;
        if (isFixed && operation.First < ModelSpace.LowestPage)
            return -EPERM;
        if (shared && file is { MayWrite: false } && (operation.Protection & Protection.Write) != 0)
            return -EACCES;
        return _isComparing && operation.Placing == 2 && !_current.Model.IsFree(operation.First, count) ? -EEXIST : 0;
    }

    private void CheckPlace(in MemoryOperation operation, ulong hint, int first, int count)
    {
        if (operation.Placing == 1)
        {
            OracleException.Check(first == operation.First, "MAP_FIXED was placed elsewhere");
            return;
        }
        OracleException.Check(first >= ModelSpace.LowestPage && _current.Model.IsFree(first, count),
            "placed over another mapping");
        if (hint != 0 && operation.First >= ModelSpace.LowestPage && _current.Model.IsFree(operation.First, count))
            OracleException.Check(first == operation.First, "a hint that could be met was not");
    }

    private void Remap(in MemoryOperation operation)
    {
        int first = operation.First, oldCount = operation.Count;
        int target = operation.SecondPage;
        int flags = operation.Detail & 7;
        // The new length: the old one, fewer, or more.
        int newCount = (operation.Detail >> 3) switch
        {
            0 => oldCount,
            < 16 => oldCount + (operation.Detail >> 3),
            < 28 => Math.Max(0, oldCount - ((operation.Detail >> 3) - 15)),
            _ => oldCount * 2,
        };
        newCount = Math.Min(newCount, ModelSpace.PageCount - Math.Max(first, (flags & MREMAP_FIXED) != 0 ? target : 0));
        ModelSpace model = _current.Model;
        if (_isComparing && newCount > oldCount && model[first].Object is { IsHostFile: true })
            return;
        long expected = _isComparing ? ExpectRemap(first, oldCount, newCount, flags, target) : 0;
        int end = first + Math.Min(oldCount, newCount);
        int grow = newCount - Math.Min(oldCount, newCount);
        bool moves = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 || (grow > 0 && !(_isComparing && FitsInPlace(end,
            grow)));
        long result = _current.Real.Remap(operation.Start, operation.Bytes, (ulong)newCount * Page.Size, flags,
            new VirtualAddress((ulong)target * Page.Size));
        bool isOutside = IsOutside(result, newCount);
        if (isOutside)
        {
            if (_isComparing)
                OracleException.Check(moves && !model.HasGap(newCount, AlignmentOf(newCount)), "a place was there");
            OracleException.Check(_current.Real.Unmap(new VirtualAddress((ulong)result),
                (ulong)newCount * Page.Size) == 0,
                "what was just moved cannot be unmapped");
        }
        // Where a shrinking call goes on and fails, what it cut off is gone.
        if (_isComparing && newCount < oldCount && (expected == 0 || expected == -ENOMEM))
            model.Remove(first + newCount, oldCount - newCount);
        if (!Compare("mremap", result, expected))
            return;
        int place = (int)(result >> Page.Shift);
        if (isOutside)
            model.MoveAway(first, Math.Min(oldCount, newCount), (flags & MREMAP_DONTUNMAP) != 0);
        else if (!moves)
        {
            OracleException.Check(place == first, "mremap moved what it need not");
            if (grow > 0)
                model.Extend(end, grow);
        }
        else
        {
            OracleException.Check((flags & MREMAP_FIXED) != 0
                ? place == target : place >= ModelSpace.LowestPage && model.IsFree(place, newCount),
                    "mremap moved over a mapping");
            model.Move(first, Math.Min(oldCount, newCount), place, newCount, (flags & MREMAP_DONTUNMAP) != 0);
        }
    }

    private long ExpectRemap(int first, int oldCount, int newCount, int flags, int target)
    {
        bool mayMove = (flags & MREMAP_MAYMOVE) != 0, isFixed = (flags & MREMAP_FIXED) != 0;
        bool keepsOld = (flags & MREMAP_DONTUNMAP) != 0;
        if (newCount == 0 || (isFixed && !mayMove) || (keepsOld && (!mayMove || oldCount != newCount)))
            return -EINVAL;
        if (!_current.Model[first].IsMapped)
            return -EFAULT;
        if (oldCount == 0)
            return -EINVAL;
        if (first + oldCount > EndOfMapping(first))
            return -EFAULT;
        if (isFixed && (target < ModelSpace.LowestPage || (target < first + oldCount && first < target + newCount)))
            return -EINVAL;
        int grow = newCount - oldCount;
        return mayMove || grow <= 0 || FitsInPlace(first + oldCount, grow) ? 0 : -ENOMEM;
    }

    /// <summary>
    /// Where mappings begin and end cannot be told from pages: neighbours that are alike may or may not be one.
    /// </summary>
    private int EndOfMapping(int page)
    {
        ulong address = (ulong)page * Page.Size;
        foreach (MappingDescription line in _current.Real.Describe())
            if (address >= line.Start && address < line.End)
                return (int)(line.End >> Page.Shift);
        return page;
    }

    private bool FitsInPlace(int end, int grow) => EndOfMapping(end - 1) == end && _current.Model.IsFree(end, grow);

    private static readonly int[] Advices =
    [
        MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK,
        MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_HUGEPAGE, MADV_WILLNEED, MADV_COLD,
    ];

    private void Advise(in MemoryOperation operation)
    {
        int advice = Advices[operation.Detail % Advices.Length];
        long result = _current.Real.Advise(operation.Start, operation.Bytes, advice);
        if (!_isComparing)
            return;
        long expected = _current.Model.Advise(operation.First, operation.Count, advice,
            (file, page) => Punch(file, page * ModelObject.CellsPerPage, ModelObject.CellsPerPage));
        Compare("madvise", result, expected);
    }

    private void Break(in MemoryOperation operation)
    {
        ulong requested = ((ulong)operation.First << Page.Shift) + operation.Detail;
        ModelSpace model = _current.Model;
        if (model.BreakStart == 0)
        {
            model.BreakStart = operation.First;
            model.Break = operation.Start.Value;
            _current.Real.SetBreakStart(operation.Start);
            return;
        }
        ulong result = _current.Real.SetBreak(requested);
        int oldEnd = (int)(Page.RoundUp(model.Break) >> Page.Shift),
            newEnd = (int)(Page.RoundUp(requested) >> Page.Shift);
        if (newEnd > ModelSpace.PageCount)
        {
            // Our pages end here: what is beyond would be free.
            if (result == requested)
                _current.Real.SetBreak(model.Break);
            return;
        }
        bool possible = operation.First >= model.BreakStart && (newEnd <= oldEnd || model.IsFree(oldEnd,
            newEnd - oldEnd));
        if (isTight && possible && result != requested)
            _isComparing = false;
        if (!_isComparing)
            return;
        OracleException.Check(result == (possible ? requested : model.Break), "brk answers another address");
        if (!possible)
            return;
        model.Break = requested;
        if (newEnd > oldEnd)
            model.Place(oldEnd, newEnd - oldEnd,
                new ModelPage { IsMapped = true, MayWrite = true, Protection = Protection.ReadWrite, IsHeap = true });
        else
            model.Remove(newEnd, oldEnd - newEnd);
    }

    private void Futex(in MemoryOperation operation)
    {
        Space other = _spaces[operation.Processor % _spaces.Count];
        ModelPage page = _current.Model[operation.First], otherPage = other.Model[operation.SecondPage];
        bool found = _current.Real.TryGetFutexKey(operation.Start, isPrivate: false, out FutexKey key);
        bool otherFound = other.Real.TryGetFutexKey(new VirtualAddress((ulong)operation.SecondPage * Page.Size),
            isPrivate: false,
            out FutexKey otherKey);
        if (!_isComparing)
            return;
        OracleException.Check(found == page.IsMapped && otherFound == otherPage.IsMapped, "a futex without memory");
        bool same = page.IsShared && otherPage.IsShared
            ? page.Object == otherPage.Object && page.Index == otherPage.Index
            : !page.IsShared && !otherPage.IsShared && other == _current && operation.First == operation.SecondPage;
        if (found && otherFound)
            OracleException.Check(same == (key == otherKey), "two futexes are one, or one is two");
    }
}
