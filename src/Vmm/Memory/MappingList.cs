using System.Runtime.InteropServices;

namespace Sandbox.Vmm.Memory;

/// <summary>The mappings of one address space, sorted and disjoint. Not thread-safe.</summary>
internal sealed class MappingList
{
    /// <summary>vm.max_map_count's default.</summary>
    public const int Limit = 65530;

    /// <summary>So many take a page of the VMM's own memory or less: an object, its place here and in its backing.</summary>
    public const int PerPage = 32;

    private readonly List<Mapping> _mappings = [];

    public int Count => _mappings.Count;

    public Mapping this[int index] => _mappings[index];

    public ReadOnlySpan<Mapping> All => CollectionsMarshal.AsSpan(_mappings);

    /// <summary>The first mapping that ends above the address: the one that holds it, or the next.</summary>
    public int IndexAtOrAbove(ulong address)
    {
        int low = 0, high = _mappings.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_mappings[middle].End <= address)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    public Mapping? Find(ulong address)
    {
        int index = IndexAtOrAbove(address);
        return index < _mappings.Count && _mappings[index].Start <= address ? _mappings[index] : null;
    }

    public bool IsFree(ulong start, ulong end)
    {
        int index = IndexAtOrAbove(start);
        return index == _mappings.Count || _mappings[index].Start >= end;
    }

    public void Insert(Mapping mapping) => _mappings.Insert(IndexAtOrAbove(mapping.Start), mapping);

    public void RemoveAt(int index) => _mappings.RemoveAt(index);

    public void RemoveRange(int index, int count) => _mappings.RemoveRange(index, count);

    /// <summary>
    /// Makes mapping borders at both ends of a range. Each piece that a cut adds takes its own reference to the
    /// backing; <paramref name="added"/> is called for it.
    /// </summary>
    public void SplitAt(ulong address, Action<Mapping> added)
    {
        int index = IndexAtOrAbove(address);
        if (index == _mappings.Count)
            return;
        Mapping mapping = _mappings[index];
        if (mapping.Start >= address)
            return;
        Mapping tail = mapping.Slice(address, mapping.End);
        mapping.End = address;
        _mappings.Insert(index + 1, tail);
        added(tail);
    }

    /// <summary>Joins neighbours that are alike around a range; <paramref name="removed"/> is called for each that goes.</summary>
    public void MergeAround(ulong start, ulong end, Action<Mapping> removed)
    {
        int index = Math.Max(IndexAtOrAbove(start) - 1, 0);
        while (index + 1 < _mappings.Count && _mappings[index].Start <= end)
        {
            Mapping mapping = _mappings[index], next = _mappings[index + 1];
            if (mapping.CanMergeWith(next))
            {
                mapping.End = next.End;
                _mappings.RemoveAt(index + 1);
                removed(next);
            }
            else
            {
                index++;
            }
        }
    }

    /// <summary>The highest gap of a size below a limit, or 0.</summary>
    public ulong FindGapBelow(ulong limit, ulong size, ulong alignment, ulong floor)
    {
        ulong gapEnd = limit;
        for (int index = IndexAtOrAbove(limit) is var at && at < _mappings.Count && _mappings[at].Start < limit ? at : at - 1; ; index--)
        {
            ulong gapStart = index < 0 ? floor : Math.Max(_mappings[index].End, floor);
            if (gapEnd > gapStart && gapEnd - gapStart >= size)
            {
                ulong start = (gapEnd - size) & ~(alignment - 1);
                if (start >= gapStart)
                    return start;
            }
            if (index < 0)
                return 0;
            gapEnd = Math.Min(gapEnd, _mappings[index].Start);
        }
    }
}
