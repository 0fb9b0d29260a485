using System.Globalization;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>A folder of a version 1 hierarchy: Documentation/admin-guide/cgroup-v1.</summary>
sealed record VersionOnePart(ICgroupFiles Files, string Parent, string Name, Controllers Controllers)
    : GroupPart(Files, Parent, Name, Controllers)
{
    /// <summary>The kernel's default, in microseconds.</summary>
    const long Period = 100_000;

    // Into cgroup.procs a parent would write a process, and wait tens of milliseconds for every fork of the host to pass
    // by; a thread that moves itself, by writing 0 here, waits for nobody.
    public override int OpenEntry(out FileDescriptor? entry) =>
        Files.Open($"{Folder}/tasks", O_WRONLY, out entry);

    public override (string File, int Errno)? Limit(in GroupLimits limits)
    {
        (string, int)? failure = null;
        if (Controllers.HasFlag(Controllers.Memory))
            failure ??= LimitMemory(limits.MemoryBytes.ToString(CultureInfo.InvariantCulture));
        if (Controllers.HasFlag(Controllers.Cpu))
        {
            failure ??= WriteAll(("cpu.shares", (limits.Weight * 1024L / 100).ToString(CultureInfo.InvariantCulture)));
            if (limits.Cpus > 0)
                failure ??= WriteAll(
                    ("cpu.cfs_quota_us", (limits.Cpus * Period).ToString(CultureInfo.InvariantCulture)));
        }

        if (Controllers.HasFlag(Controllers.Pids))
            failure ??= WriteAll(("pids.max", limits.Processes.ToString(CultureInfo.InvariantCulture)));
        return failure;
    }

    (string, int)? LimitMemory(string bytes)
    {
        if (WriteAll(("memory.limit_in_bytes", bytes)) is (string, int) failure)
            return failure;
        // The first must not be above the second, which a kernel without swap accounting does not have.
        int error = Write("memory.memsw.limit_in_bytes", bytes);
        if (error == -ENOENT)
            error = Write("memory.swappiness", "0");
        return error == 0 ? null : ("memory.memsw.limit_in_bytes", -error);
    }

    public override int Freeze(bool frozen) => Write("freezer.state", frozen ? "FROZEN" : "THAWED");

    public override bool IsFrozen => Read("freezer.state")?.TrimEnd() == "FROZEN";

    public override GroupUse Use => new(
        CgroupText.Number(Read("memory.usage_in_bytes")), Usage.MemoryPeakBytes,
        // In nanoseconds; most hosts mount it with the controller that limits.
        CgroupText.Number(Read("cpuacct.usage")) / 1000, CgroupText.Number(Read("pids.current")));

    public override GroupUsage Usage => new(
        CgroupText.Number(Read("memory.memsw.max_usage_in_bytes"))
            ?? CgroupText.Number(Read("memory.max_usage_in_bytes")),
        CgroupText.Number(Read("memory.oom_control"), "oom_kill") ?? 0,
        CgroupText.Number(Read("pids.events"), "max") ?? 0);
}
