using Sandbox.Vmm.Memory;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// What all in-memory file systems together may hold: pages of content, and inodes with their names at four to a
/// page, so that a million empty files is no way around the limit.
/// </summary>
public sealed class TemporaryBudget(ulong bytes)
{
    private const int InodesPerPage = 4;

    private readonly Lock _lock = new();
    private long _inodes;

    public PageQuota Pages { get; } = new((long)Math.Min(bytes >> Page.Shift, long.MaxValue));

    public long Inodes
    {
        get
        {
            lock (_lock)
                return _inodes;
        }
    }

    public long MaximumInodes => Pages.Limit * InodesPerPage;

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
