using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>A folder of the version 2 hierarchy: Documentation/admin-guide/cgroup-v2.rst.</summary>
sealed record VersionTwoPart(ICgroupFiles Files, string Parent, string Name, Controllers Controllers)
    : GroupPart(Files, Parent, Name, Controllers)
{
    /// <summary>The kernel's default, in microseconds.</summary>
    const ulong Period = 100_000;

    public override int OpenEntry(out FileDescriptor? entry) => Files.Open(Folder, O_RDONLY | O_DIRECTORY, out entry);

    protected override IEnumerable<GroupValue> Values(GroupLimits limits)
    {
        if (Controllers.HasFlag(Controllers.Memory))
        {
            yield return new("memory.max", Text(limits.MemoryBytes), ValueRule.AtMost);
            // Missing without swap accounting or in kernels before 4.19: neither changes how much there may be.
            yield return new("memory.swap.max", "0", ValueRule.AtMost) { IsOptional = true };
            yield return new("memory.oom.group", "1", ValueRule.Exactly) { IsOptional = true };
        }

        if (Controllers.HasFlag(Controllers.Cpu))
        {
            yield return new("cpu.weight", Text((ulong)limits.Weight), ValueRule.AtMost);
            if (limits.Cpus > 0)
                yield return new("cpu.max", $"{Text((ulong)limits.Cpus * Period)} {Text(Period)}", ValueRule.Share);
        }

        if (Controllers.HasFlag(Controllers.Pids))
            yield return new("pids.max", Text((ulong)limits.Processes), ValueRule.AtMost);
    }

    protected override IEnumerable<GroupValue> Values(DiskRate rate)
    {
        string bytes = Text(rate.BytesPerSecond), operations = Text(rate.OperationsPerSecond);
        yield return new("io.max", $"{rate.Disk}"
            + (rate.BytesPerSecond == 0 ? "" : $" rbps={bytes} wbps={bytes}")
            + (rate.OperationsPerSecond == 0 ? "" : $" riops={operations} wiops={operations}"), ValueRule.Disk);
    }

    public override int Freeze(bool frozen) => Write("cgroup.freeze", frozen ? "1" : "0");

    public override bool IsFrozen => CgroupText.Number(Read("cgroup.events"), "frozen") == 1;

    public override GroupUse Use => new(
        CgroupText.Number(Read("memory.current")), Usage.MemoryPeakBytes,
        CgroupText.Number(Read("cpu.stat"), "usage_usec"), CgroupText.Number(Read("pids.current")));

    public override GroupUsage Usage => new(
        CgroupText.Number(Read("memory.peak")),
        CgroupText.Number(Read("memory.events"), "oom_kill") ?? 0,
        CgroupText.Number(Read("pids.events"), "max") ?? 0)
    {
        CpuMicroseconds = CgroupText.Number(Read("cpu.stat"), "usage_usec"),
        Throttled = CgroupText.Number(Read("cpu.stat"), "nr_throttled"),
        ThrottledMicroseconds = CgroupText.Number(Read("cpu.stat"), "throttled_usec"),
        PeakProcesses = CgroupText.Number(Read("pids.peak")),
    };

    public override void Kill()
    {
        if (Write("cgroup.kill", "1") < 0)
            base.Kill();
    }
}
