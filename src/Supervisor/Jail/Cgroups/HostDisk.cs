using System.Globalization;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>A whole disk of the host's, by its device number: what control groups hold to a rate.</summary>
readonly record struct HostDisk(uint Major, uint Minor)
{
    /// <param name="device">st_rdev of a block device, or st_dev of a file.</param>
    /// <returns>
    /// Null where the kernel shows no disk of that number: file systems in memory, over others or over a network, and
    /// those that number their own parts (overlay, tmpfs, 9p, NFS, btrfs, ZFS).
    /// </returns>
    public static HostDisk? Of(ICgroupFiles files, ulong device)
    {
        string node = string.Create(CultureInfo.InvariantCulture, $"/sys/dev/block/{major(device)}:{minor(device)}");
        // The folder is a link to the device's own; a partition's lies in that of its disk.
        string? number = files.Read(files.Read($"{node}/partition") is null ? $"{node}/dev" : $"{node}/../dev");
        return number?.TrimEnd().Split(':') is [var high, var low]
            && uint.TryParse(high, NumberStyles.None, CultureInfo.InvariantCulture, out uint its)
            && uint.TryParse(low, NumberStyles.None, CultureInfo.InvariantCulture, out uint own)
                ? new HostDisk(its, own)
                : null;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Major}:{Minor}");
}
