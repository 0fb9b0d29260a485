using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Loader;
using Sandbox.Vmm.Personality.Processes;
using Sandbox.Vmm.Personality.Time;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The system-call layer as a whole. The input is a guest program (<see cref="CallScript"/>) that runs against a fresh
/// personality with files in memory. Whatever it does, no exception escapes, nothing of the host is left open, and
/// every thread leaves.
/// </summary>
sealed class SystemCallTarget : FuzzTarget
{
    private const ulong GuestMemoryBytes = 16 << 20;

    /// <summary>Ends guests whose first thread waits for something that will not come.</summary>
    private const long WallMilliseconds = 200;

    /// <summary>Threads of earlier inputs may take a moment to leave.</summary>
    private const int LeaveChecks = 200;

    private static readonly byte[] Prepared = PreparedMemory.Build();

    private readonly Waker _waker = new();
    private int _hostDescriptors = -1;
    private int _allDescriptors;
    private int _hostThreads = -1;

    public override string Name => "syscalls";

    public override string Summary => "hostile system calls against a fresh personality";

    public override int MaximumLength => 4096;

    public override long AllocationLimit => 64 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } = CallSeeds.Dictionary();

    public override IEnumerable<(string Name, byte[] Input)> Seeds() => CallSeeds.All();

    public override bool Run(ReadOnlySpan<byte> input)
    {
        CallScript script = RunGuest(input.ToArray(), _waker);
        CheckHost();
        return script.Calls > 0;
    }

    private static CallScript RunGuest(byte[] input, Waker waker)
    {
        CallScript script = null!;
        using ScriptedPlatform platform = new(cpu => script.Next(cpu));
        GuestMemory memory = new(GuestMemoryBytes, new NoSlots());
        LinuxPersonality personality = new(Plan, memory, platform);
        personality.BuildFiles([]);
        OracleException.Check(personality.TryInitializeLoader(new LoaderOptions { Seed = 1 }), "no room for the vDSO");
        FileSystemContext context = personality.Files.CreateContext(personality.Files.Root);
        GuestThread thread = personality.CreateFirstProcess(new DescriptorTable(Plan.Limits.OpenFiles), context);
        platform.Main = thread;
        script = new CallScript(input, () => thread.Process.Memory);
        // Nobody will continue a process that stops.
        personality.FirstProcessStopped = stopped => personality.End(EndCause.Exited, 0, 0);

        thread.Process.Memory = CreateMemory(memory);
        thread.InitialState = GuestThread.StateFor(0x40_0000, CallScript.StackTop);
        new WallTimeLimit(personality, WallMilliseconds).Start();
        waker.Watched = thread;
        // This thread is the guest thread's: allocation is counted by thread.
        thread.Run(new ExitCounters(), personality.HostThreads, new HostThreads.Worker(personality.HostThreads));
        waker.Watched = null;
        personality.End(EndCause.Exited, 0, 0);
        GuestEnd end = personality.WaitForEnd();

        personality.Timers.Stop();
        personality.HostThreads.Stop();
        for (int i = 0; platform.Rented != 0 && i < LeaveChecks; i++)
            Thread.Sleep(1);
        OracleException.Check(platform.Rented == 0, $"{platform.Rented} guest threads never left");
        if (end.Cause == EndCause.Failed)
            throw new EscapedException(end.Message);
        memory.Dispose();
        return script;
    }

    private static AddressSpace CreateMemory(GuestMemory memory)
    {
        AddressSpace space = memory.CreateAddressSpace() ?? throw new InvalidOperationException("no room");
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
        space.Map(new VirtualAddress(CallScript.Data), CallScript.DataSize, Protection.ReadWrite, flags, null, 0);
        space.Map(new VirtualAddress(CallScript.ReadOnlyPage), Page.Size, Protection.Read, flags, null, 0);
        space.Map(new VirtualAddress(CallScript.NoAccessPage), Page.Size, Protection.None, flags, null, 0);
        OracleException.Check(space.TryWrite(new VirtualAddress(CallScript.Data), Prepared), "preparing memory");
        space.SetBreakStart(new VirtualAddress(0x1000_0000));
        return space;
    }

    /// <summary>Descriptors and threads of this process: as many as after the first input.</summary>
    private void CheckHost()
    {
        int all = Count("/proc/self/fd");
        if (all > _allDescriptors)
        {
            // The runtime keeps the assemblies open that it has loaded.
            int before = _hostDescriptors;
            int now = CountOurs();
            // Threads that are just starting hold a few for a moment.
            for (int i = 0; before >= 0 && now > before && i < LeaveChecks; i++)
            {
                Thread.Sleep(1);
                now = CountOurs();
            }
            _hostDescriptors = now;
            _allDescriptors = all;
            OracleException.Check(
                before < 0 || now <= before, "the host process has more open descriptors than before");
        }
        int threads = Count("/proc/self/task");
        if (_hostThreads < 0)
            _hostThreads = threads + 4;
        for (int i = 0; threads > _hostThreads && i < LeaveChecks; i++)
        {
            Thread.Sleep(1);
            threads = Count("/proc/self/task");
        }
        OracleException.Check(threads <= _hostThreads, "the host process has more threads than before");
    }

    private static int CountOurs() => Directory.GetFileSystemEntries("/proc/self/fd").Count(IsOurs);

    private static bool IsOurs(string descriptor)
    {
        string? target = new FileInfo(descriptor).LinkTarget;
        return target is not null && !target.EndsWith(".dll", StringComparison.Ordinal)
            && !target.EndsWith(".pdb", StringComparison.Ordinal);
    }

    private static int Count(string directory) => Directory.GetFileSystemEntries(directory).Length;

    private static readonly LaunchPlan Plan = new()
    {
        Version = LaunchPlan.CurrentVersion,
        Arguments = ["fuzz"],
        Environment = [],
        WorkingDirectory = "/",
        Hostname = "guest",
        User = new() { Name = "user", Uid = 1000, Gid = 1000, Home = "/home/user" },
        Limits = new()
        {
            MemoryBytes = GuestMemoryBytes, Cpus = 256, WallMilliseconds = 0, CpuMilliseconds = 0, Processes = 16,
            OutputBytes = 0, TmpBytes = 1 << 20, OpenFiles = 64,
        },
        Files =
        [
            new() { Kind = GuestFileKind.Temporary, Path = "/tmp", Writable = true },
            new() { Kind = GuestFileKind.Text, Path = "/etc/hosts", Content = "127.0.0.1 localhost\n" },
            new() { Kind = GuestFileKind.Symlink, Path = "/link", Content = "tmp/a" },
        ],
        Streams = new() { Stdin = -1, Stdout = -1, Stderr = -1, Terminal = false, Result = -1, Trace = -1 },
        Handoff = false,
        StartedAtNanoseconds = 0,
    };
}
