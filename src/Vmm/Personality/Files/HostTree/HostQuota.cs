using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// What a guest may add to one granted host folder (or file), over its whole life. What it adds and takes away again is
/// free for other use; what was there before is not its to spend.
/// </summary>
sealed class HostQuota(StorageBudget budget, HostGrowth growth)
{
    public StorageBudget Budget { get; } = budget;

    public HostGrowth Growth { get; } = growth;

    /// <summary>See <see cref="HostGrowth.Names"/>.</summary>
    public Lock Names => Growth.Names;

    /// <summary>The record for a file that is being opened, under <see cref="Names"/>; the caller releases it.</summary>
    /// <returns>0; -ENOSPC when what the file has of holes is more than is left; -ENFILE without room for a record.</returns>
    public long Open(in statx status, bool forWriting, out GrowthRecord? record)
    {
        record = Growth.Hold(status, Budget);
        if (record is null)
            return -ENFILE;
        long result = forWriting ? record.BeginWriting(status) : 0;
        if (result == 0)
            return 0;
        record.Release();
        record = null;
        return result;
    }

    /// <summary>The record for a file that has just been made under a <see cref="NewName"/>; the caller releases it.</summary>
    /// <returns>Null when there is no room for it: the name stays charged.</returns>
    public GrowthRecord? Made(in statx status)
    {
        GrowthRecord? record = Growth.Hold(status, Budget);
        if (record is null)
            return null;
        record.BeginEmpty();
        Growth.AddName(record);
        return record;
    }

    /// <summary>The same for a directory or symbolic link, whose blocks are known now.</summary>
    public void MadeWhole(in statx status)
    {
        if (Made(status) is not { } record)
            return;
        record.NoteBlocks(0, GrowthRecord.PagesOnDisk(status));
        record.Release();
    }

    /// <summary>A file of any age has got one more name, which was charged.</summary>
    public void Linked(in statx status)
    {
        if (Growth.Hold(status, Budget) is not { } record)
            return;
        Growth.AddName(record);
        record.Release();
    }
}
