using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// A name that the guest is about to give something in a host directory: charged before it is there, given back if it
/// does not come to be. Holds <see cref="HostGrowth.Names"/>. Where no quota is, it does nothing.
/// </summary>
struct NewName
{
    private readonly HostQuota? _quota;
    private readonly StorageBudget? _payer;
    private readonly int _directory;
    private readonly statx _before;
    private bool _isThere;

    private NewName(HostQuota? quota, StorageBudget? payer, int directory, in statx before)
    {
        _quota = quota;
        _payer = payer;
        _directory = directory;
        _before = before;
    }

    /// <param name="directory">Its descriptor, which must stay open as long as this.</param>
    /// <param name="payer">Whose quota it is charged to; null when nobody pays: a name only moves here.</param>
    /// <returns>0, -ENOSPC, or why the directory cannot be looked at.</returns>
    public static long Begin(HostQuota? quota, int directory, StorageBudget? payer, out NewName name)
    {
        name = default;
        if (quota is null)
            return 0;
        quota.Names.Enter();
        long result = HostCalls.GetStatus(directory, out statx before);
        if (result == 0 && payer is not null && !(quota.Growth.HasRoom && payer.TryChargeInode()))
            result = -ENOSPC;
        if (result < 0)
        {
            quota.Names.Exit();
            return result;
        }
        name = new NewName(quota, payer, directory, before);
        return 0;
    }

    /// <summary>The name is there, and stays charged.</summary>
    public void SetThere() => _isThere = true;

    public readonly void Dispose()
    {
        if (_quota is null)
            return;
        if (!_isThere)
            _payer?.UnchargeInode();
        if (HostCalls.GetStatus(_directory, out statx now) == 0)
            _quota.Growth.NoteDirectory(_before, now, _quota.Budget);
        _quota.Names.Exit();
    }
}
