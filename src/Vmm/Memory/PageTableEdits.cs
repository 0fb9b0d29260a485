namespace Sandbox.Vmm.Memory;

/// <summary>
/// Page-table entries that changed in a way the platform may not have noticed, as runs of guest-physical addresses,
/// and the pages that must not be used again before it has.
/// </summary>
public sealed class PageTableEdits
{
    /// <summary>More entries than this are cheaper to handle by forgetting every translation.</summary>
    public const int EntryLimit = 512;

    private readonly List<Run> _runs = [];
    private readonly List<PhysicalAddress> _quarantine = [];
    private int _entries;

    /// <param name="Entry">Guest-physical address of the first entry.</param>
    /// <param name="Count">How many consecutive entries.</param>
    public readonly record struct Run(ulong Entry, int Count);

    public bool IsEmpty => _entries == 0;

    /// <summary>True when <see cref="Runs"/> is no longer complete and everything has to be forgotten.</summary>
    public bool IsOverflown => _entries > EntryLimit;

    public IReadOnlyList<Run> Runs => _runs;

    public IReadOnlyList<PhysicalAddress> Quarantine => _quarantine;

    public void Add(ulong entry)
    {
        _entries++;
        if (IsOverflown)
            return;
        if (_runs.Count > 0 && _runs[^1] is var last && last.Entry + ((ulong)last.Count * sizeof(ulong)) == entry)
            _runs[^1] = last with { Count = last.Count + 1 };
        else
            _runs.Add(new Run(entry, 1));
    }

    /// <summary>A page whose last mapping is among the edits: it is released once they are done.</summary>
    public void Hold(PhysicalAddress page) => _quarantine.Add(page);

    public void Clear()
    {
        _runs.Clear();
        _quarantine.Clear();
        _entries = 0;
    }
}
