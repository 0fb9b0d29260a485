using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// The rates of a policy, on the disks of the host behind what it grants. A machine's disk is held to its rates by its
/// VMM as well; those of a folder or file are in the control group alone.
/// </summary>
/// <param name="Rates">One for each disk of the host: the sum of what lies there. None where something lacks.</param>
/// <param name="Lacks">What lies on no disk that can be told, for people; null for nothing.</param>
sealed record DiskRates(IReadOnlyList<DiskRate> Rates, string? Lacks)
{
    /// <summary>
    /// What nothing but these rates holds to what the policy gives it, and the policy's place; null without.
    /// </summary>
    public (string Origin, string Name)? Only { get; private init; }

    /// <param name="Name">For people.</param>
    /// <param name="BytesPerSecond">0 for none.</param>
    /// <param name="OperationsPerSecond">0 for none.</param>
    /// <param name="IsMachines">A machine's disk: its VMM keeps to the rates, too.</param>
    readonly record struct Source(
        string Name, FileDescriptor File, ulong BytesPerSecond, ulong OperationsPerSecond, bool IsMachines);

    /// <param name="descriptors">In the plan's order.</param>
    /// <returns>Null when there is nothing to hold to a rate.</returns>
    public static DiskRates? Of(
        PlannedLaunch launch, IReadOnlyList<MountSource> mounts, ReadOnlySpan<FileDescriptor> descriptors)
    {
        List<Source> sources = [];
        (string, string)? only = null;
        for (int i = 0; i < descriptors.Length; i++)
        {
            int index = i;
            if (launch.Grants[i] is Grant.Mount mount && mounts[mount.Index] is { Shown: { } shown } source
                && (shown.Rate ?? shown.Operations) is not null)
            {
                only ??= (source.Origin, source.Host);
                sources.Add(new Source(source.Host, descriptors[i], shown.Rate ?? 0, shown.Operations ?? 0, false));
            }
            else if (launch.Grants[i] is Grant.BootFile boot
                && Array.Find(launch.Plan.Machine!.Disks, disk => disk.Descriptor == index) is GuestDisk disk)
            {
                sources.Add(new Source(boot.Path, descriptors[i], disk.BytesPerSecond, disk.OperationsPerSecond, true));
            }
        }

        DiskRates rates = Add(sources);
        return rates is { Rates.Count: 0, Lacks: null } ? null : rates with { Only = only };
    }

    static DiskRates Add(List<Source> sources)
    {
        Dictionary<HostDisk, DiskRate> rates = [];
        // What a machine's disk may do without a bound cannot be bounded because something else lies beside it; the VMM
        // keeps each disk to its own rates.
        HashSet<HostDisk> freeOfBytes = [], freeOfOperations = [];
        string? lacks = null;
        foreach (Source source in sources)
        {
            HostDisk? disk = DiskOf(source.File);
            if (source is { IsMachines: true, BytesPerSecond: 0 } && disk is HostDisk its)
                freeOfBytes.Add(its);
            if (source is { IsMachines: true, OperationsPerSecond: 0 } && disk is HostDisk same)
                freeOfOperations.Add(same);
            if (source is { BytesPerSecond: 0, OperationsPerSecond: 0 })
                continue;
            if (disk is HostDisk known)
                rates[known] = Sum(rates.GetValueOrDefault(known, new DiskRate(known, 0)), source);
            else
                lacks ??= $"{Quote.Value(source.Name)} lies on no block device of its own";
        }

        // All or nothing: half of a wall would be shown as the whole.
        IEnumerable<DiskRate> kept = rates.Values.Select(rate => rate with
        {
            BytesPerSecond = freeOfBytes.Contains(rate.Disk) ? 0 : rate.BytesPerSecond,
            OperationsPerSecond = freeOfOperations.Contains(rate.Disk) ? 0 : rate.OperationsPerSecond,
        });
        return new DiskRates(
            lacks is not null ? [] : [.. kept.Where(rate => (rate.BytesPerSecond | rate.OperationsPerSecond) != 0)],
            lacks);
    }

    static DiskRate Sum(DiskRate rate, Source source) => rate with
    {
        BytesPerSecond = ulong.CreateSaturating((UInt128)rate.BytesPerSecond + source.BytesPerSecond),
        OperationsPerSecond = rate.OperationsPerSecond + source.OperationsPerSecond,
    };

    static HostDisk? DiskOf(FileDescriptor file) => file.GetStatus(out stat status) == 0
        ? HostDisk.Of(HostCgroupFiles.Instance, S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev)
        : null;

    /// <exception cref="UsageException">Something is held to its rate by nothing.</exception>
    public void Check(BuiltJail jail)
    {
        if (Only is (string origin, string name) && jail.Missing.HasFlag(JailWalls.DiskRates))
            throw new UsageException($"{origin}: the policy holds {Quote.Value(name)} to a rate, "
                + $"which this host does not let the caller build ({jail.Reason}); see sandbox doctor, or leave the "
                + "rate out");
    }
}
