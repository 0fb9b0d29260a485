using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.LifeCycle;

namespace Sandbox.Supervisor.Tests.LifeCycle;

/// <summary>Records for tests.</summary>
static class Records
{
    public static SandboxRecord Simple(SandboxId id) => new()
    {
        Id = id,
        StartedAt = 1_764_000_000_123,
        Command = ["true"],
        Policy = "builtin:default.yaml",
        Supervisor = 100,
        Vmm = 101,
        Jail = new BuiltJail(JailWalls.All, JailWalls.None, null),
        Required = [],
        VmmUser = 0x7000_0064,
        Groups = [],
        GroupLimits = default,
        Limits = new GuestLimits
        {
            MemoryBytes = 1 << 30, Cpus = 2, WallMilliseconds = 3_600_000, CpuMilliseconds = 0, Processes = 256,
            OutputBytes = 0, TmpBytes = 1 << 29, OpenFiles = 1024,
        },
        Descriptors = [],
    };

    /// <summary>Every field has a value, and texts are as nasty as they can be.</summary>
    public static SandboxRecord Full(SandboxId id) => Simple(id) with
    {
        Name = "web-1_a.b",
        Command = ["sh", "-c", "", "a\nb\\c\0\x1b[31m\u2028 \ud83d\ude00 end of record", "\ud800"],
        IsCommandCut = true,
        Policy = "my policy\n.yaml",
        Jail = new BuiltJail(JailWalls.Landlock, JailWalls.User | JailWalls.Seccomp, "clone3: no\n"),
        Required = [Wall.Seccomp, Wall.Namespaces],
        Groups =
        [
            new RecordedGroup(false, Controllers.Memory | Controllers.Cpu, "/sys/fs/cgroup/memory/a b\\040/sandbox-1-2-3"),
            new RecordedGroup(true, Controllers.Freezer, "/sys/fs/cgroup/sandbox-1-2-3"),
        ],
        GroupLimits = new GroupLimits(1234, 2, 200, 320),
        Descriptors = ["system-folder", "mount", "stream", "stream"],
        Socket = new RecordedSocket(ulong.MaxValue, "/run/a b\\\n/vsock"),
        IsKept = true,
        IsDetached = true,
        IsPaused = true,
        End = new RecordedEnd(137, "stopped\n", 1_764_000_100_000, 77, 88),
    };
}
