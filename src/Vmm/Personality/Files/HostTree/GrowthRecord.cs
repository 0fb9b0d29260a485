using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// What a guest has added to one host file. Charged are the pages of its length (holes too, since a mapping fills them
/// without a call) and of what fallocate(2) has taken beyond it, less those that it had on the disk when the guest first
/// opened it for writing.
/// </summary>
/// <remarks>
/// <see cref="Lock"/> guards the content: it is held across the host calls that change it. Holds, names and links
/// are guarded by <see cref="HostGrowth"/>'s.
/// </remarks>
sealed class GrowthRecord(HostGrowth growth, FileKey key, StorageBudget budget) : IContentHold
{
    /// <summary>Bytes that a record takes, its place in the table included.</summary>
    public const int Cost = 256;

    /// <summary>What stx_blocks counts in.</summary>
    private const int BlocksPerPage = Page.Size / 512;

    private const long NotYet = -1;

    /// <summary>Pages that are not the guest's; NotYet before it may write.</summary>
    private long _foreignPages = NotYet;

    /// <summary>Bytes up to which the file's length and what is allocated may reach.</summary>
    private long _extent;

    public Lock Lock { get; } = new();

    public FileKey Key { get; } = key;

    public StorageBudget Budget { get; } = budget;

    /// <summary>Open files and host mappings.</summary>
    public int Holds { get; set; }

    /// <summary>Names that the guest has given the file.</summary>
    public int Names { get; set; }

    /// <summary>The file has a name, the guest's or another.</summary>
    public bool IsLinked { get; set; }

    /// <summary>Some descriptor of the guest's can change the file; before, each call that would is refused by the host.</summary>
    public bool MayGrow => _foreignPages != NotYet;

    /// <summary>Whether it would be another record if it were made anew.</summary>
    public bool SaysSomething => _foreignPages != NotYet && PagesOf(_extent) != _foreignPages;

    private long Charged => Math.Max(PagesOf(_extent) - _foreignPages, 0);

    public void Acquire() => growth.Acquire(this);

    public void Release() => growth.Release(this);

    /// <summary>A file that the guest has just made: all of it is the guest's.</summary>
    public void BeginEmpty()
    {
        lock (Lock)
        {
            // Of a file with this number whose end went unnoticed.
            GiveBack();
            _foreignPages = _extent = 0;
        }
    }

    /// <summary>From now on the guest may fill what the file has of holes; they are charged.</summary>
    /// <returns>0 or -ENOSPC.</returns>
    public long BeginWriting(in statx status)
    {
        lock (Lock)
        {
            if (_foreignPages != NotYet)
                return 0;
            long pages = PagesOnDisk(status);
            if (!Budget.Pages.TryCharge(Math.Max(PagesOf((long)status.stx_size) - pages, 0)))
                return -ENOSPC;
            _foreignPages = pages;
            _extent = (long)status.stx_size;
            return 0;
        }
    }

    /// <summary>
    /// A directory or link has got larger, as the host found necessary: charged afterwards, beyond the limit if need be.
    /// </summary>
    public void NoteBlocks(long before, long now)
    {
        lock (Lock)
        {
            if (_foreignPages == NotYet)
                (_foreignPages, _extent) = (before, before * Page.Size);
            long old = Charged;
            // What came since the last time came from somebody else.
            _foreignPages += Math.Max(before - PagesOf(_extent), 0);
            _extent = now * Page.Size;
            Budget.Pages.Charge(Charged - old);
        }
    }

    /// <summary>Charges a write before it happens. Under <see cref="Lock"/>.</summary>
    /// <param name="before">For <see cref="Settle"/>.</param>
    /// <returns>Bytes that may be written, fewer than asked for at the end of the quota; or -ENOSPC, -EFBIG.</returns>
    public long Reserve(FileDescriptor file, long offset, long length, out long before)
    {
        before = _extent;
        if (offset > long.MaxValue - length)
            return -EFBIG;
        long end = offset + length;
        if (end > _extent)
        {
            long result = NoteLength(file);
            if (result < 0)
                return result;
            before = _extent;
        }
        if (end <= _extent)
            return length;
        long held = Math.Max(_foreignPages, PagesOf(_extent));
        long missing = PagesOf(end) - held;
        if (missing > 0)
        {
            long granted = Budget.Pages.ChargeUpTo(missing);
            if (granted < missing)
                end = (held + granted) * Page.Size;
            if (end <= offset)
            {
                Budget.Pages.Uncharge(granted);
                return -ENOSPC;
            }
        }
        _extent = Math.Max(_extent, end);
        return end - offset;
    }

    /// <summary>The same for what is done whole or not at all.</summary>
    /// <returns>0, -ENOSPC or -EFBIG.</returns>
    public long ReserveAll(FileDescriptor file, long offset, long length, out long before)
    {
        long room = Reserve(file, offset, length, out before);
        if (room < 0 || room == length)
            return Math.Min(room, 0);
        SetExtent(before);
        return -ENOSPC;
    }

    /// <summary>Gives back what was charged for a write that did less. Under <see cref="Lock"/>.</summary>
    public void Settle(FileDescriptor file, long before)
    {
        if (file.GetStatus(out stat status) == 0)
            SetExtent(Math.Clamp(status.st_size, before, _extent));
    }

    /// <summary>Nothing of the file is left beyond this. Under <see cref="Lock"/>.</summary>
    public void SetExtent(long length)
    {
        long old = Charged;
        _extent = length;
        Budget.Pages.Uncharge(old - Charged);
    }

    /// <summary>The file is gone.</summary>
    public void GiveBack()
    {
        if (_foreignPages != NotYet)
            Budget.Pages.Uncharge(Charged);
    }

    /// <summary>Pages that are taken on the disk, the last one rounded up.</summary>
    public static long PagesOnDisk(in statx status) => ((long)status.stx_blocks + BlocksPerPage - 1) / BlocksPerPage;

    /// <summary>A file that is longer than the guest has made it was made so by somebody else.</summary>
    private long NoteLength(FileDescriptor file)
    {
        int result = file.GetStatus(out stat status);
        if (result < 0)
            return result;
        if (status.st_size > _extent)
        {
            _foreignPages += Math.Max(PagesOf(status.st_size) - Math.Max(_foreignPages, PagesOf(_extent)), 0);
            _extent = status.st_size;
        }
        return 0;
    }

    private static long PagesOf(long bytes) => bytes / Page.Size + (bytes % Page.Size != 0 ? 1 : 0);
}
