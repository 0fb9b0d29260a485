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
/// A fresh personality with files in memory and one process without a program: what its threads "execute" is decided
/// by a script.
/// </summary>
sealed class ScriptedGuest
{
    private const ulong GuestMemoryBytes = 16 << 20;

    /// <summary>Threads may take a moment to leave, and long on a busy host. Milliseconds.</summary>
    private const int LeaveChecks = 10_000;

    private static readonly byte[] Prepared = PreparedMemory.Build();

    private readonly ScriptedPlatform _platform;
    private readonly GuestMemory _memory;

    public ScriptedGuest(ScriptedPlatform platform)
    {
        _platform = platform;
        _memory = new GuestMemory(GuestMemoryBytes, new NoSlots());
        Personality = new LinuxPersonality(Plan, _memory, platform);
        Personality.BuildFiles([]);
        OracleException.Check(Personality.TryInitializeLoader(new LoaderOptions { Seed = 1 }), "no room for the vDSO");
        FileSystemContext context = Personality.Files.CreateContext(Personality.Files.Root);
        First = Personality.CreateFirstProcess(new DescriptorTable(Plan.Limits.OpenFiles), context);
        // Nobody will continue a process that stops.
        Personality.FirstProcessStopped = stopped => Personality.End(EndCause.Exited, 0, 0);
        First.Process.Memory = CreateMemory();
        First.InitialState = GuestThread.StateFor(CallScript.Code, CallScript.StackTop);
    }

    public LinuxPersonality Personality { get; }

    public GuestThread First { get; }

    /// <summary>
    /// Runs the first thread on this thread, because allocation is counted by thread, and waits for the others.
    /// </summary>
    /// <param name="wallMilliseconds">Ends a guest whose first thread waits for something that will not come.</param>
    public void Run(Waker waker, long wallMilliseconds)
    {
        new WallTimeLimit(Personality, wallMilliseconds).Start();
        First.Run(new ExitCounters(), Personality.HostThreads, new HostThreads.Worker(Personality.HostThreads));
        End(waker);
    }

    /// <summary>
    /// Ends the guest, whether it ran or not. Nothing of it may stay, and nothing may have gone wrong.
    /// </summary>
    public void End(Waker? waker)
    {
        Personality.End(EndCause.Exited, 0, 0);
        GuestEnd end = Personality.WaitForEnd();
        Personality.Timers.Stop();
        Personality.HostThreads.Stop();
        for (int i = 0; _platform.Rented > (waker is null ? 1 : 0) && i < LeaveChecks; i++)
            Thread.Sleep(1);
        waker?.Forget();
        OracleException.Check(_platform.Rented <= (waker is null ? 1 : 0),
            $"{_platform.Rented} guest threads never left");
        if (end.Cause == EndCause.Failed)
            throw new EscapedException(end.Message);
        _memory.Dispose();
    }

    private AddressSpace CreateMemory()
    {
        AddressSpace space = _memory.CreateAddressSpace() ?? throw new InvalidOperationException("no room");
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
        space.Map(new VirtualAddress(CallScript.Data), CallScript.DataSize, Protection.ReadWrite, flags, null, 0);
        space.Map(new VirtualAddress(CallScript.ReadOnlyPage), Page.Size, Protection.Read, flags, null, 0);
        space.Map(new VirtualAddress(CallScript.NoAccessPage), Page.Size, Protection.None, flags, null, 0);
        OracleException.Check(space.TryWrite(new VirtualAddress(CallScript.Data), Prepared), "preparing memory");
        space.SetBreakStart(new VirtualAddress(0x1000_0000));
        return space;
    }

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
