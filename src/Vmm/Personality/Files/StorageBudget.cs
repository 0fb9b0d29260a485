using Sandbox.Vmm.Memory;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// What all in-memory file systems together may hold, or what a guest may add to a host folder: pages of content, and
/// inodes with their names at four to a page, so that a million empty files is no way around the limit. A file system
/// in memory may have a smaller budget of its own, which counts towards the common one.
/// </summary>
/// <param name="bytes">Rounded down to whole pages.</param>
/// <param name="outer">The common budget; null for that itself.</param>
public sealed class StorageBudget(ulong bytes, StorageBudget? outer = null)
{
    private const int InodesPerPage = 4;

    private readonly Lock _lock = new();
    private long _inodes;

    public PageQuota Pages { get; } = new((long)(bytes >> Page.Shift), outer?.Pages);

    public long Inodes
    {
        get
        {
            lock (_lock)
                return _inodes;
        }
    }

    public long MaximumInodes => Pages.Limit * InodesPerPage;

    public long FreeInodes => Math.Max(MaximumInodes - Inodes, 0);

    public bool TryChargeInode()
    {
        lock (_lock)
        {
            if (_inodes % InodesPerPage == 0 && !Pages.TryCharge(1))
                return false;
            _inodes++;
            return true;
        }
    }

    public void UnchargeInode()
    {
        lock (_lock)
        {
            _inodes--;
            if (_inodes % InodesPerPage == 0)
                Pages.Uncharge(1);
        }
    }
}
