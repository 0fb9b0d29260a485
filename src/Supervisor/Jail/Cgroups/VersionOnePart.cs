using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>A folder of a version 1 hierarchy: Documentation/admin-guide/cgroup-v1.</summary>
sealed record VersionOnePart(ICgroupFiles Files, string Parent, string Name, Controllers Controllers)
    : GroupPart(Files, Parent, Name, Controllers)
{
    /// <summary>The kernel's default, in microseconds.</summary>
    const ulong Period = 100_000;

    // Into cgroup.procs a parent would write a process, and wait tens of milliseconds for every fork of the host to
    // pass by; a thread that moves itself, by writing 0 here, waits for nobody.
    public override int OpenEntry(out FileDescriptor? entry) =>
        Files.Open($"{Folder}/tasks", O_WRONLY, out entry);

    protected override IEnumerable<GroupValue> Values(GroupLimits limits)
    {
        if (Controllers.HasFlag(Controllers.Memory))
        {
            yield return new("memory.limit_in_bytes", Text(limits.MemoryBytes), ValueRule.AtMost);
            // The first must not be above this one, which a kernel without swap accounting does not have.
            yield return new("memory.memsw.limit_in_bytes", Text(limits.MemoryBytes), ValueRule.AtMost)
            {
                Instead = new("memory.swappiness", "0", ValueRule.Exactly),
            };
        }

        if (Controllers.HasFlag(Controllers.Cpu))
        {
            yield return new("cpu.shares", Text((ulong)limits.Weight * 1024 / 100), ValueRule.AtMost);
            if (limits.Cpus > 0)
            {
                yield return new("cpu.cfs_period_us", Text(Period), ValueRule.AtLeast);
                yield return new("cpu.cfs_quota_us", Text((ulong)limits.Cpus * Period), ValueRule.AtMost);
            }
        }

        if (Controllers.HasFlag(Controllers.Pids))
            yield return new("pids.max", Text((ulong)limits.Processes), ValueRule.AtMost);
    }

    // Writes that the page cache takes are the kernel's own later on, in version 1, and nobody's.
    protected override IEnumerable<GroupValue> Values(DiskRate rate)
    {
        foreach ((string unit, ulong bound) in ((string, ulong)[])[("bps", rate.BytesPerSecond),
            ("iops", rate.OperationsPerSecond)])
        {
            if (bound == 0)
                continue;
            string text = $"{rate.Disk} {Text(bound)}";
            yield return new($"blkio.throttle.read_{unit}_device", text, ValueRule.Disk);
            yield return new($"blkio.throttle.write_{unit}_device", text, ValueRule.Disk);
        }
    }

    public override int Freeze(bool frozen) => Write("freezer.state", frozen ? "FROZEN" : "THAWED");

    public override bool IsFrozen => Read("freezer.state")?.TrimEnd() == "FROZEN";

    /// <summary>What is frozen dies once it is thawed.</summary>
    public override void Kill()
    {
        base.Kill();
        if (Controllers.HasFlag(Controllers.Freezer))
            Freeze(false);
    }

    public override GroupUse Use => new(
        CgroupText.Number(Read("memory.usage_in_bytes")), Usage.MemoryPeakBytes,
        // In nanoseconds; most hosts mount it with the controller that limits.
        CgroupText.Number(Read("cpuacct.usage")) / 1000, CgroupText.Number(Read("pids.current")));

    public override GroupUsage Usage => new(
        CgroupText.Number(Read("memory.memsw.max_usage_in_bytes"))
            ?? CgroupText.Number(Read("memory.max_usage_in_bytes")),
        CgroupText.Number(Read("memory.oom_control"), "oom_kill") ?? 0,
        CgroupText.Number(Read("pids.events"), "max") ?? 0)
    {
        // Only where cpuacct is one hierarchy with cpu. In nanoseconds.
        CpuMicroseconds = CgroupText.Number(Read("cpuacct.usage")) / 1000,
        Throttled = CgroupText.Number(Read("cpu.stat"), "nr_throttled"),
        ThrottledMicroseconds = CgroupText.Number(Read("cpu.stat"), "throttled_time") / 1000,
        PeakProcesses = CgroupText.Number(Read("pids.peak")),
    };
}
