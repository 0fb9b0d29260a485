using Sandbox.Policy.Contract;
using Sandbox.Supervisor.CommandLine;
using static Sandbox.Supervisor.Planning.GuestTree;

namespace Sandbox.Supervisor.Planning;

/// <summary>
/// Turns what the caller asked for into a launch plan and the list of what to open for it. Pure: it asks the host
/// nothing beyond <see cref="HostFacts"/> and opens nothing.
/// </summary>
static class PlanBuilder
{
    /// <summary>What programs on the host need to start and to speak of time, names and certificates.</summary>
    static readonly string[] s_hostEtc =
    [
        "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
        "/etc/mime.types", "/etc/os-release", "/etc/protocols", "/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
    ];

    static readonly string[] s_rootFolders = ["/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"];

    /// <summary>The guest's PATH, the same as a Debian root login's, so that nothing installed is missed.</summary>
    const string SearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// <summary>Linux's usual hard limit for a login, and enough for a build's file tables.</summary>
    const int OpenFiles = 4096;

    public static PlannedLaunch Build(
        RunOptions options, HostFacts host, IReadOnlyList<MountSource> mounts, long startedAtNanoseconds)
    {
        GuestLimits limits = Limits(options, host);
        GuestTree tree = SystemTree(options, host.Tree);
        // In the order of their guest paths, so that a mount inside another one does not depend on who was named first.
        foreach ((MountSource source, int index) in mounts.Select((mount, index) => (mount, index))
                     .OrderBy(mount => mount.mount.GuestPath, StringComparer.Ordinal))
            tree.Mount(source, index);

        string workingDirectory = options.WorkingDirectory
            ?? SameDirectory(host.WorkingDirectory, mounts, tree)
            ?? options.User.Home;
        (GuestFile[] files, List<Grant> grants) = tree.Finish();
        GuestStreams streams = Streams(options, host, grants);
        return new PlannedLaunch(
            new LaunchPlan
            {
                Version = LaunchPlan.CurrentVersion,
                Arguments = options.Arguments,
                Environment = Environment(options, host),
                WorkingDirectory = workingDirectory,
                Hostname = options.Hostname,
                User = options.User,
                Limits = limits,
                Files = files,
                Streams = streams,
                Handoff = options.Handoff,
                StartedAtNanoseconds = startedAtNanoseconds,
            },
            grants);
    }

    static GuestTree SystemTree(RunOptions options, IHostTree host)
    {
        var tree = new GuestTree();
        if (host.Follow("/usr").Kind != HostEntryKind.Directory)
            throw new UsageException("the host has no folder /usr, which is what guests run their programs from");
        tree.AddSystem("/usr", isDirectory: true);
        foreach (string path in s_rootFolders)
        {
            HostEntry entry = host.Look(path);
            if (entry.Kind == HostEntryKind.Symlink)
                tree.AddSymlink(path, entry.Target!);
            else if (entry.Kind == HostEntryKind.Directory)
                tree.AddSystem(path, isDirectory: true);
        }

        foreach ((string path, string content) in SyntheticEtc.Files(options.User, options.Hostname))
            tree.AddText(path, content);
        tree.AddSymlink("/etc/mtab", "/proc/mounts");
        foreach (string path in s_hostEtc)
            AddHostEtc(tree, host, path);

        tree.AddTemporary("/tmp", Octal(1, 7, 7, 7));
        tree.AddTemporary("/dev/shm", Octal(1, 7, 7, 7));
        tree.AddTemporary(options.User.Home, Octal(0, 7, 0, 0));
        return tree;
    }

    static void AddHostEtc(GuestTree tree, IHostTree host, string path)
    {
        HostEntry entry = host.Look(path);
        // A link into /usr stays a link: programs read its target (the time zone's name is only there).
        if (entry is { Kind: HostEntryKind.Symlink, Target: string target }
            && (target.StartsWith("/usr/", StringComparison.Ordinal) || target.StartsWith("../usr/", StringComparison.Ordinal)))
        {
            tree.AddSymlink(path, target);
            return;
        }

        HostEntryKind kind = host.Follow(path).Kind;
        if (kind is HostEntryKind.Directory or HostEntryKind.File)
            tree.AddSystem(path, kind == HostEntryKind.Directory);
    }

    /// <summary>Where the guest sees the caller's working directory, by the closest mount above it; null if nowhere.</summary>
    static string? SameDirectory(string? callers, IReadOnlyList<MountSource> mounts, GuestTree tree)
    {
        if (callers is null)
            return null;
        MountSource? closest = mounts.Where(mount => mount.IsDirectory && GuestPath.IsWithin(callers, mount.RealPath))
            .MaxBy(mount => mount.RealPath.Length);
        if (closest is not null)
        {
            string below = closest.RealPath == "/" ? callers[1..] : callers[closest.RealPath.Length..].TrimStart('/');
            return below.Length == 0 ? closest.GuestPath : $"{closest.GuestPath}/{below}";
        }

        return GuestPath.IsWithin(callers, "/usr") && tree.ShowsSystem("/usr") ? callers : null;
    }

    static string[] Environment(RunOptions options, HostFacts host)
    {
        var variables = new OrderedDictionary<string, string>
        {
            ["PATH"] = SearchPath,
            ["HOME"] = options.User.Home,
            ["USER"] = options.User.Name,
            ["LANG"] = "C.UTF-8",
        };
        if (options.Terminal)
            variables["TERM"] = host.TerminalType ?? "dumb";
        foreach ((string name, string value) in options.Environment)
            variables[name] = value;
        return [.. variables.Select(variable => $"{variable.Key}={variable.Value}")];
    }

    static GuestLimits Limits(RunOptions options, HostFacts host)
    {
        ulong memory = options.Memory ?? Math.Min(RunOptions.DefaultMemory, host.Memory / 2);
        if (memory > host.Memory)
            throw new UsageException(
                $"--memory: {ByteSize.Format(memory)} is more than this host has ({host.Memory >> 20} MiB); ask for less");
        if (memory > RunOptions.MaximumMemory)
            throw new UsageException(
                $"--memory: {ByteSize.Format(memory)} is too much; give at most {ByteSize.Format(RunOptions.MaximumMemory)}");
        if (options.Cpus > host.Cpus)
            throw new UsageException(
                $"--cpus: {options.Cpus} is more than this host offers ({host.Cpus}); ask for less, or leave the flag out to use them all");
        if (options.TmpSize > memory)
            throw new UsageException(
                $"--tmp-size: {ByteSize.Format(options.TmpSize.Value)} is more than the guest's memory ({ByteSize.Format(memory)}), which holds these files; raise --memory");
        return new GuestLimits
        {
            MemoryBytes = WholePages(memory),
            Cpus = options.Cpus ?? Math.Clamp(host.Cpus, 1, RunOptions.MaximumCpus),
            WallMilliseconds = options.Timeout,
            CpuMilliseconds = options.CpuTime,
            Processes = options.Processes,
            OutputBytes = options.OutputLimit,
            TmpBytes = WholePages(options.TmpSize ?? memory / 2),
            OpenFiles = OpenFiles,
        };
    }

    static ulong WholePages(ulong bytes) => bytes & ~0xfffUL;

    static GuestStreams Streams(RunOptions options, HostFacts host, List<Grant> grants)
    {
        int Next(Grant grant)
        {
            grants.Add(grant);
            return grants.Count - 1;
        }

        // A stream that the caller had closed is closed for the guest too.
        int Stream(int number) => host.OpenStreams[number] ? Next(new Grant.StandardStream(number)) : -1;

        int standardInput = Stream(0), standardOutput = Stream(1), standardError = Stream(2);
        return new GuestStreams
        {
            Stdin = standardInput,
            Stdout = standardOutput,
            Stderr = standardError,
            Terminal = options.Terminal,
            Rows = options.Terminal ? host.Rows : (ushort)0,
            Columns = options.Terminal ? host.Columns : (ushort)0,
            Result = options.ResultFile is null ? -1 : Next(new Grant.Result()),
            Trace = options.TraceFile is null ? -1 : Next(new Grant.Trace()),
        };
    }
}
