using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Platforms;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// A processor that does nothing but remember translations, as long as it may: like a TLB that never forgets by
/// itself, or a hypervisor with shadow page tables that notices no host-side edit. It trusts what it remembers until
/// the address space tells it otherwise, so that an edit that was not recorded shows.
/// </summary>
sealed class ShadowCpu(GuestMemory memory, AddressSpace space) : VirtualCpu
{
    /// <summary>Remembering everything would make each check slow, and the newest are the most interesting.</summary>
    private const int Capacity = 48;

    private const int Levels = 4;
    private const int BitsPerLevel = 9;

    private readonly List<Translation> _translations = [];

    /// <param name="Entry">Guest-physical address of the page-table entry.</param>
    private readonly record struct Translation(ulong Start, ulong Length, ulong Entry, PageTableEntry Leaf);

    /// <summary>What the program's own access meets: the page behind it, or why there is none.</summary>
    public FaultResult Access(ulong address, bool write, bool execute, out PhysicalAddress page)
    {
        const int attempts = 3;
        for (int i = 0; i < attempts; i++)
        {
            OracleException.Check(space.CompleteEdits(this), "the processor failed");
            int known = _translations.FindIndex(t => address - t.Start < t.Length);
            if (known >= 0 && Permits(_translations[known].Leaf, write, execute))
            {
                ulong start = _translations[known].Leaf.Address.Value;
                page = new PhysicalAddress(start + Page.RoundDown(address - _translations[known].Start));
                return FaultResult.Resolved;
            }
            if (known >= 0)
                // A processor drops the translation that made it fault.
                _translations.RemoveAt(known);
            if (TryWalk(address, out Translation found) && Permits(found.Leaf, write, execute))
            {
                if (_translations.Count == Capacity)
                    _translations.RemoveAt(0);
                _translations.Add(found);
                continue;
            }
            page = PhysicalAddress.None;
            FaultResult result = space.HandleFault(new VirtualAddress(address), write, execute);
            if (result != FaultResult.Resolved)
                return result;
        }
        throw new OracleException("a fault is answered, and comes again");
    }

    private static bool Permits(PageTableEntry leaf, bool write, bool execute) =>
        (leaf.Value & PageTableEntry.UserBit) != 0 && (!write || leaf.IsWritable) && (!execute || leaf.IsExecutable);

    /// <summary>With nothing left to complete, whatever is remembered must still be so.</summary>
    public void CheckTranslations()
    {
        OracleException.Check(space.CompleteEdits(this), "the processor failed");
        foreach (Translation remembered in _translations)
        {
            OracleException.Check(TryWalk(remembered.Start, out Translation now), "a page is gone, and no edit tells");
            OracleException.Check(now.Leaf.Address == remembered.Leaf.Address && now.Length == remembered.Length,
                "a page is another one, and no edit tells");
            OracleException.Check(now.Leaf.IsWritable || !remembered.Leaf.IsWritable,
                "a page was narrowed, and no edit tells");
            OracleException.Check(now.Leaf.IsExecutable || !remembered.Leaf.IsExecutable,
                "a page lost execution, and no edit tells");
        }
    }

    /// <summary>Between the edit and its completion the page may still be reached: it must not be free.</summary>
    public void CheckQuarantine()
    {
        foreach (Translation remembered in _translations)
            if (PagePool.Contains(remembered.Leaf.Address))
                OracleException.Check(memory.Pool.References(remembered.Leaf.Address) > 0,
                    "a page that can be reached is free");
    }

    private unsafe bool TryWalk(ulong address, out Translation found)
    {
        PhysicalAddress table = space.Root;
        for (int level = Levels; ; level--)
        {
            int shift = Page.Shift + ((level - 1) * BitsPerLevel);
            ulong index = (address >> shift) & ((1 << BitsPerLevel) - 1);
            PageTableEntry entry = new(memory.Tables.Entries(table)[index]);
            ulong span = 1UL << shift;
            found = new Translation(address & ~(span - 1), span, table.Value + (index * sizeof(ulong)), entry);
            if (!entry.IsPresent)
                return false;
            if (level == 1 || entry.IsLarge)
                return true;
            table = entry.Address;
        }
    }

    public void Forget() => _translations.Clear();

    public override bool RewriteEntries(PageTableEdits edits)
    {
        Rewritten?.Invoke(edits);
        return true;
    }

    /// <summary>Makes all processors of the machine notice.</summary>
    public Action<PageTableEdits>? Rewritten { get; init; }

    public void Drop(PageTableEdits edits)
    {
        foreach (PageTableEdits.Run run in edits.Runs)
            _translations.RemoveAll(t => t.Entry - run.Entry < (ulong)run.Count * sizeof(ulong));
    }

    public override ref GuestRegisters Registers => throw Unused();

    public override ulong FsBase { get; set; }

    public override ulong GsBase { get; set; }

    public override ulong ExtendedStateComponents => 0;

    public override void Attach(AddressSpace memory) => throw Unused();

    public override GuestExit Run() => throw Unused();

    public override void Interrupt() => throw Unused();

    public override void SaveExtendedState(Span<byte> state) => throw Unused();

    public override bool TryLoadExtendedState(ReadOnlySpan<byte> state) => throw Unused();

    public override void ResetForExec() => throw Unused();

    public override void Dispose()
    {
    }

    private static NotSupportedException Unused() => new("no program runs here");
}
