using Sandbox.Host;
using Sandbox.Vmm.Personality.Ipc;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// What a guest has added to host folders that have a quota, by file: whichever name or folder a file is reached through, its
/// growth is counted once, so that two folders that are one on the host cannot be played off against each other.
/// </summary>
/// <param name="memory">What the records are charged to; null outside a guest.</param>
public sealed class HostGrowth(KernelMemory? memory)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<FileKey, GrowthRecord> _records = [];

    /// <summary>
    /// Held while a file is opened, or a name comes or goes: who opens a file and who deletes it see the same record.
    /// Outside the locks of records.
    /// </summary>
    internal Lock Names { get; } = new();

    /// <summary>False when the guest may make the VMM keep no more records.</summary>
    internal bool HasRoom => memory is null || memory.Used + GrowthRecord.Cost <= memory.Limit;

    /// <summary>
    /// The record of a file, with one hold for the caller. One that is new belongs to <paramref name="budget"/>.
    /// </summary>
    /// <returns>Null when there is no room for one more.</returns>
    internal GrowthRecord? Hold(in statx status, StorageBudget budget)
    {
        FileKey key = FileKey.Of(status);
        lock (_lock)
        {
            if (!_records.TryGetValue(key, out GrowthRecord? record))
            {
                if (memory?.TryReserve(GrowthRecord.Cost) == false)
                    return null;
                _records.Add(key, record = new GrowthRecord(this, key, budget) { IsLinked = status.stx_nlink > 0 });
            }
            record.Holds++;
            return record;
        }
    }

    internal void Acquire(GrowthRecord record)
    {
        lock (_lock)
            record.Holds++;
    }

    internal void Release(GrowthRecord record)
    {
        lock (_lock)
        {
            record.Holds--;
            DropIfUnused(record);
        }
    }

    /// <summary>A directory may have got larger by what was put into it.</summary>
    internal void NoteDirectory(in statx before, in statx now, StorageBudget budget)
    {
        long grown = GrowthRecord.PagesOnDisk(now) - GrowthRecord.PagesOnDisk(before);
        if (grown == 0 && BudgetOf(now) is null)
            return;
        if (Hold(now, budget) is not { } record)
        {
            budget.Pages.Charge(Math.Max(grown, 0));
            return;
        }
        record.NoteBlocks(GrowthRecord.PagesOnDisk(before), GrowthRecord.PagesOnDisk(now));
        Release(record);
    }

    /// <summary>Whose quota one more name of this file is charged to; null for a file without a record.</summary>
    internal StorageBudget? BudgetOf(in statx status)
    {
        lock (_lock)
            return _records.GetValueOrDefault(FileKey.Of(status))?.Budget;
    }

    /// <summary>A name that was charged before now leads to the file of a record that the caller holds.</summary>
    internal void AddName(GrowthRecord record)
    {
        lock (_lock)
            record.Names++;
    }

    /// <param name="wasLast">No name of the file is left.</param>
    internal void RemoveName(in statx status, bool wasLast)
    {
        lock (_lock)
        {
            if (!_records.TryGetValue(FileKey.Of(status), out GrowthRecord? record))
                return;
            if (record.Names > 0)
            {
                record.Names--;
                record.Budget.UnchargeInode();
            }
            if (wasLast)
                record.IsLinked = false;
            DropIfUnused(record);
        }
    }

    /// <summary>Under the lock. Nobody who holds a record is left to change what it says.</summary>
    private void DropIfUnused(GrowthRecord record)
    {
        if (record.Holds > 0 || (record.IsLinked && (record.Names > 0 || record.SaysSomething)))
            return;
        for (; record.Names > 0; record.Names--)
            record.Budget.UnchargeInode();
        record.GiveBack();
        _records.Remove(record.Key);
        memory?.Release(GrowthRecord.Cost);
    }
}

/// <summary>One file of the host. The time of its birth tells apart files that had one number, one after the other.</summary>
readonly record struct FileKey(ulong Device, ulong Number, long BornSeconds, uint BornNanoseconds)
{
    public static FileKey Of(in statx status)
    {
        bool known = (status.stx_mask & STATX_BTIME) != 0;
        return new(
            HostFileSystem.DeviceOf(status), status.stx_ino,
            known ? status.stx_btime.tv_sec : 0, known ? status.stx_btime.tv_nsec : 0);
    }
}
