using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>A tmpfs: directories in the VMM's own memory, file contents in the guest's (tmpfs(5)).</summary>
/// <param name="memory">Where contents go; null only for trees that never hold any.</param>
/// <param name="budget">Null for what the guest's memory limit alone bounds (memfd_create).</param>
public sealed class TemporaryFileSystem(ulong device, GuestMemory? memory, StorageBudget? budget)
    : FileSystem(device, "tmpfs", TMPFS_MAGIC)
{
    /// <summary>Guards names, link counts and attributes of the whole file system. A leaf; held for a few stores.</summary>
    internal Lock Lock { get; } = new();

    internal StorageBudget? Budget { get; } = budget;

    public TemporaryDirectory CreateRoot(uint mode, Owner owner)
    {
        Budget?.TryChargeInode();
        return new TemporaryDirectory(this, mode, owner);
    }

    internal PagedObject CreateContent(string name, ulong inode) =>
        (memory ?? throw new InvalidOperationException("this tree has no memory for contents"))
        .CreateObject(name, Device, inode, Budget?.Pages);

    internal static timespec Now() => HostClock.ToTimespec(HostClock.RealtimeNanoseconds());

    public override long GetStatistics(out statfs statistics)
    {
        statistics = new statfs
        {
            f_type = Magic,
            f_bsize = Page.Size,
            f_frsize = Page.Size,
            f_namelen = NAME_MAX,
            f_flags = ST_NOSUID | ST_NODEV,
        };
        if (Budget is not null)
        {
            statistics.f_blocks = Budget.Pages.Limit;
            statistics.f_bfree = statistics.f_bavail = Budget.Pages.Free;
            statistics.f_files = Budget.MaximumInodes;
            statistics.f_ffree = Budget.FreeInodes;
        }
        return 0;
    }
}
