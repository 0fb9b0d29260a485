using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Platforms;
using Sandbox.Vmm.Tests.Memory;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>A personality with a scripted first process, real guest memory, and files if it is given some.</summary>
sealed class ScriptedGuest : IDisposable
{
    /// <summary>Read-write memory that every program finds mapped: 256 KiB, with the stack at its end.</summary>
    public const ulong Data = 0x2000_0000;
    public const ulong DataSize = 0x4_0000;
    public const ulong StackTop = Data + DataSize - 0x1000;

    /// <summary>Shared between processes that fork.</summary>
    public const ulong Shared = 0x3000_0000;

    public ScriptedGuest(Action<LimitsBuilder>? configure = null, uint uid = 1000, GuestFile[]? files = null,
        GuestNetwork? network = null, PathTables? pathRules = null)
    {
        LimitsBuilder limits = new();
        configure?.Invoke(limits);
        Memory = new GuestMemory(64 << 20, new NoSlots());
        Plan = new LaunchPlan
        {
            Version = LaunchPlan.CurrentVersion,
            Arguments = ["test"],
            Environment = [],
            WorkingDirectory = "/",
            Hostname = "guest",
            User = new() { Name = "user", Uid = uid, Gid = uid, Home = "/home/user" },
            Limits = limits.Build(),
            Files = files ?? [],
            Streams = new() { Stdin = -1, Stdout = -1, Stderr = -1, Terminal = false, Result = -1, Trace = -1 },
            Network = network,
            PathRules = pathRules,
            SystemCallRules = limits.Rules,
            Audit = limits.Audit,
            Handoff = limits.Handoff,
            StartedAtNanoseconds = 0,
        };
        Platform.HandsOver = limits.Handoff;
        Personality = new LinuxPersonality(Plan, Memory, Platform);
    }

    public sealed class LimitsBuilder
    {
        public int Cpus { get; set; } = 256;
        public int Processes { get; set; } = 64;
        public bool Handoff { get; set; }
        public SystemCallTables? Rules { get; set; }
        public AuditPlan? Audit { get; set; }
        public long WallMilliseconds { get; set; } = 60_000;
        public long CpuMilliseconds { get; set; }

        public GuestLimits Build() => new()
        {
            MemoryBytes = 64 << 20, Cpus = Cpus, WallMilliseconds = WallMilliseconds,
            CpuMilliseconds = CpuMilliseconds, Processes = Processes, OutputBytes = 0, TmpBytes = 1 << 20,
            OpenFiles = 256,
        };
    }

    public ScriptedPlatform Platform { get; } = new();

    public GuestMemory Memory { get; }

    public LaunchPlan Plan { get; }

    public LinuxPersonality Personality { get; }

    /// <summary>Runs a program to the guest's end.</summary>
    public GuestEnd Run(Routine program)
    {
        Begin(program);
        return Personality.WaitForEnd();
    }

    public GuestThread Begin(Routine program)
    {
        AddressSpace memory = Memory.CreateAddressSpace()!;
        Assert.Equal((long)Data, memory.Map(
            new VirtualAddress(Data), DataSize, Protection.ReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, null, 0));
        Assert.Equal((long)Shared, memory.Map(
            new VirtualAddress(Shared), Page.Size, Protection.ReadWrite, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, null, 0));
        if (Plan.Files.Length > 0)
            Personality.BuildFiles([]);
        FileSystemContext files = Plan.Files.Length > 0
            ? Personality.Files.CreateContext(Personality.Files.Root) : new(null!, null!, 0x12);
        GuestThread thread = Personality.CreateFirstProcess(new DescriptorTable(256), files);
        Personality.StartAt(thread, memory, Platform.AddressOf(program), StackTop);
        return thread;
    }

    public static int Exited(GuestEnd end)
    {
        Assert.True(end.Cause == EndCause.Exited, $"{end.Cause} {end.Value}: {end.Message}");
        return (int)end.Value;
    }

    public void Dispose()
    {
        Personality.End(EndCause.Exited, 0, 0);
        Personality.WaitForEnd();
        // A thread that failed to leave would still use the memory.
        if (Platform.Rented == 0)
            Memory.Dispose();
    }
}
