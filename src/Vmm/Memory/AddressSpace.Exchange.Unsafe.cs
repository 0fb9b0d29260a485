using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Memory;

// Pages of the platform that belong to one address space: what one process can write there, no other process sees.
public sealed unsafe partial class AddressSpace
{
    // A page once mapped stays until the end of the space: it holds nothing but what this process put there, and
    // taking an entry away costs more than a page.
    private readonly Dictionary<ulong, PhysicalAddress> _exchanges = [];

    /// <summary>
    /// Maps a page of the platform's code, and behind it a page for the program and the VMM to write, above the user
    /// half: no system call reaches either. Charged to the guest.
    /// </summary>
    /// <returns>The second page's host address, valid until <see cref="Release"/>; null at the memory limit.</returns>
    internal byte* MapExchange(ulong address, PhysicalAddress code)
    {
        lock (_lock)
        {
            if (!_exchanges.TryGetValue(address, out PhysicalAddress page))
            {
                page = _memory.Pool.AllocatePage();
                if (page.IsNone)
                    return null;
                if (!_table.TrySet(address, PageTableEntry.User(code, Protection.Read | Protection.Execute))
                    || !_table.TrySet(address + Page.Size, PageTableEntry.User(page, Protection.ReadWrite)))
                {
                    _memory.Pool.Release(page);
                    return null;
                }
                _exchanges.Add(address, page);
            }
            return _memory.Pool.HostAddress(page);
        }
    }

    /// <summary>
    /// Whether a processor that is still in the guest may go on after a call was served: nothing that the call did to
    /// the tables has to be told to it first.
    /// </summary>
    internal bool IsCurrent(VirtualCpu cpu) => _table.Edits.IsEmpty && cpu.SeenGeneration == Generation;
}
