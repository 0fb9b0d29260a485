using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Memory;

public sealed partial class AddressSpace
{
    /// <summary>
    /// fork(2): a copy-on-write copy. Private pages of the pool become read-only in both; shared ones stay shared. No
    /// processor can write to them any more when this returns.
    /// </summary>
    /// <param name="self">The caller's processor, between two runs.</param>
    /// <returns>Null when the memory limit has no room for the page tables, or the platform failed.</returns>
    public AddressSpace? Fork(VirtualCpu self)
    {
        AddressSpace? child = _memory.CreateAddressSpace();
        if (child is null)
            return null;
        using PinsRefused unpinned = RefusePins();
        lock (_lock)
        {
            // The first mapping of an object makes the child known to whoever takes pages out of that object.
            lock (child._lock)
            {
                // With the lock still held: a page that another thread copies now must have no writer left.
                if (CopyTo(child) && CompleteLocked(self))
                    return child;
            }
        }
        child.Release();
        return null;
    }

    private bool CopyTo(AddressSpace child)
    {
        child.MappingTop = MappingTop;
        child.StackLimit = StackLimit;
        child._breakStart = _breakStart;
        child._break = _break;
        if (!child.HasRoom(_mappings.Count))
            return false;
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
            if (!_table.TrySplitLarge(mapping.Start, mapping.End))
                return false;
            ForkLeaves visitor = new(this, child, mapping);
            _table.Update(mapping.Start, mapping.End, ref visitor);
            if (visitor.Failed)
                return false;
        }
        return true;
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
