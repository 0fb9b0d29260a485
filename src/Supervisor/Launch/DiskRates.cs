using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// The rates of a policy, on the disks of the host behind what it grants. Of a machine's disk the rate is what its VMM
/// holds it to as well; of a folder or file it is in the control group alone.
/// </summary>
/// <param name="Rates">One for each disk of the host: the sum of what lies there. None where something lacks.</param>
/// <param name="Lacks">What lies on no disk that can be told, for people; null for nothing.</param>
sealed record DiskRates(IReadOnlyList<DiskRate> Rates, string? Lacks)
{
    /// <summary>The entry of a policy that nothing but these rates holds to its rate; null without one.</summary>
    public MountSource? Only { get; private init; }

    /// <param name="Name">For people.</param>
    /// <param name="BytesPerSecond">0 for a machine's disk that has no rate.</param>
    readonly record struct Source(string Name, FileDescriptor File, ulong BytesPerSecond);

    /// <param name="descriptors">In the plan's order.</param>
    /// <returns>Null when there is nothing to hold to a rate.</returns>
    public static DiskRates? Of(
        PlannedLaunch launch, IReadOnlyList<MountSource> mounts, ReadOnlySpan<FileDescriptor> descriptors)
    {
        List<Source> sources = [];
        MountSource? only = null;
        for (int i = 0; i < descriptors.Length; i++)
        {
            int index = i;
            if (launch.Grants[i] is Grant.Mount mount && mounts[mount.Index] is { Shown.Rate: ulong rate } source)
            {
                only ??= source;
                sources.Add(new Source(source.Host, descriptors[i], rate));
            }
            else if (launch.Grants[i] is Grant.BootFile boot
                && Array.Find(launch.Plan.Machine!.Disks, disk => disk.Descriptor == index) is GuestDisk disk)
                sources.Add(new Source(boot.Path, descriptors[i], disk.BytesPerSecond));
        }

        DiskRates rates = Add(sources);
        return rates is { Rates.Count: 0, Lacks: null } ? null : rates with { Only = only };
    }

    static DiskRates Add(List<Source> sources)
    {
        Dictionary<HostDisk, ulong> rates = [];
        // What may be used without a bound cannot be bounded because something else lies beside it.
        HashSet<HostDisk> free = [];
        string? lacks = null;
        foreach (Source source in sources)
        {
            HostDisk? disk = DiskOf(source.File);
            if (source.BytesPerSecond == 0)
            {
                if (disk is HostDisk its)
                    free.Add(its);
            }
            else if (disk is HostDisk known)
                rates[known] = ulong.CreateSaturating((UInt128)rates.GetValueOrDefault(known) + source.BytesPerSecond);
            else
                lacks ??= $"{Quote.Value(source.Name)} lies on no block device of its own";
        }

        // All or nothing: half of a wall would be shown as the whole.
        return new DiskRates(lacks is not null ? [] :
            [.. rates.Where(rate => !free.Contains(rate.Key)).Select(rate => new DiskRate(rate.Key, rate.Value))], lacks);
    }

    static HostDisk? DiskOf(FileDescriptor file) => file.GetStatus(out stat status) == 0
        ? HostDisk.Of(HostCgroupFiles.Instance, S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev)
        : null;

    /// <exception cref="UsageException">Something is held to its rate by nothing.</exception>
    public void Check(BuiltJail jail)
    {
        if (Only is MountSource source && jail.Missing.HasFlag(JailWalls.DiskRates))
            throw new UsageException($"{source.Origin}: the policy holds {Quote.Value(source.Host)} to a rate, "
                + $"which this host does not let the caller build ({jail.Reason}); see sandbox doctor, or leave the rate out");
    }
}
