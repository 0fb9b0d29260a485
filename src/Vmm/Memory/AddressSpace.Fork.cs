namespace Sandbox.Vmm.Memory;

public sealed partial class AddressSpace
{
    /// <summary>
    /// fork(2): a copy-on-write copy. Private pages of the pool become read-only in both; shared ones stay shared.
    /// </summary>
    /// <returns>Null when the memory limit has no room for the page tables.</returns>
    public AddressSpace? Fork()
    {
        AddressSpace? child = _memory.CreateAddressSpace();
        if (child is null)
            return null;
        using PinsRefused unpinned = RefusePins();
        lock (_lock)
        {
            child.MappingTop = MappingTop;
            child.StackLimit = StackLimit;
            child._breakStart = _breakStart;
            child._break = _break;
            foreach (Mapping mapping in _mappings.All)
            {
                if (mapping.DontFork)
                    continue;
                Mapping copy = mapping.Slice(mapping.Start, mapping.End);
                child.AcquireBacking(copy);
                child._mappings.Insert(copy);
                child._mappedBytes += copy.Length;
                if (mapping.WipeOnFork)
                    continue;
                if (!SplitLargeLeaves(mapping.Start & ~(ulong)(Page.LargeSize - 1), mapping.End))
                {
                    child.Release();
                    return null;
                }
                ForkLeaves visitor = new(this, child, mapping);
                _table.Update(mapping.Start, mapping.End, ref visitor);
                if (visitor.Failed)
                {
                    child.Release();
                    return null;
                }
            }
        }
        return child;
    }

    private struct ForkLeaves(AddressSpace parent, AddressSpace child, Mapping mapping) : ILeafVisitor
    {
        public bool Failed { get; private set; }

        public PageTableEntry Visit(ulong address, ulong span, PageTableEntry leaf)
        {
            if (Failed)
                return leaf;
            bool isPool = PagePool.Contains(leaf.Address);
            PageTableEntry both = isPool && !mapping.Shared && leaf.IsWritable
                ? new PageTableEntry(leaf.Value & ~PageTableEntry.WritableBit) : leaf;
            if (!child._table.TrySet(address, both))
            {
                Failed = true;
                return leaf;
            }
            if (isPool)
            {
                parent._memory.Pool.Acquire(leaf.Address);
                child._residentPages++;
            }
            return both;
        }
    }
}
