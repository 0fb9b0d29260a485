using System.Globalization;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>A folder of the version 2 hierarchy: Documentation/admin-guide/cgroup-v2.rst.</summary>
sealed record VersionTwoPart(ICgroupFiles Files, string Parent, string Name, Controllers Controllers)
    : GroupPart(Files, Parent, Name, Controllers)
{
    /// <summary>The kernel's default, in microseconds.</summary>
    const long Period = 100_000;

    public override int OpenEntry(out FileDescriptor? entry) => Files.Open(Folder, O_RDONLY | O_DIRECTORY, out entry);

    public override (string File, int Errno)? Limit(in GroupLimits limits)
    {
        (string, int)? failure = null;
        if (Controllers.HasFlag(Controllers.Memory))
            failure ??= LimitMemory(limits.MemoryBytes.ToString(CultureInfo.InvariantCulture));
        if (Controllers.HasFlag(Controllers.Cpu))
        {
            failure ??= WriteAll(("cpu.weight", limits.Weight.ToString(CultureInfo.InvariantCulture)));
            if (limits.Cpus > 0)
                failure ??= WriteAll(
                    ("cpu.max", string.Create(CultureInfo.InvariantCulture, $"{limits.Cpus * Period} {Period}")));
        }

        if (Controllers.HasFlag(Controllers.Pids))
            failure ??= WriteAll(("pids.max", limits.Processes.ToString(CultureInfo.InvariantCulture)));
        return failure;
    }

    (string, int)? LimitMemory(string bytes)
    {
        if (WriteAll(("memory.max", bytes)) is (string, int) failure)
            return failure;
        // Missing without swap accounting or in kernels before 4.19: neither changes how much there may be.
        (string, string)[] more = [("memory.swap.max", "0"), ("memory.oom.group", "1")];
        foreach ((string file, string text) in more)
            if (Write(file, text) is < 0 and not -ENOENT and int error)
                return (file, -error);
        return null;
    }

    public override int Freeze(bool frozen) => Write("cgroup.freeze", frozen ? "1" : "0");

    public override bool IsFrozen => CgroupText.Number(Read("cgroup.events"), "frozen") == 1;

    public override GroupUse Use => new(
        CgroupText.Number(Read("memory.current")), Usage.MemoryPeakBytes,
        CgroupText.Number(Read("cpu.stat"), "usage_usec"), CgroupText.Number(Read("pids.current")));

    public override GroupUsage Usage => new(
        CgroupText.Number(Read("memory.peak")),
        CgroupText.Number(Read("memory.events"), "oom_kill") ?? 0,
        CgroupText.Number(Read("pids.events"), "max") ?? 0);

    public override void Kill()
    {
        if (Write("cgroup.kill", "1") < 0)
            base.Kill();
    }
}
