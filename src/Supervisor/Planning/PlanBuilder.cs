using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Network;

namespace Sandbox.Supervisor.Planning;

/// <summary>
/// Turns a policy and what the caller asked for into a launch plan and the list of what to open for it. Pure: it asks
/// the host nothing beyond <see cref="HostFacts"/> and opens nothing.
/// </summary>
static class PlanBuilder
{
    /// <param name="mounts">What the policy and the command line show of the host, opened.</param>
    /// <param name="network">Null for none.</param>
    public static PlannedLaunch Build(
        RunOptions options, PolicyModel policy, HostFacts host, IReadOnlyList<MountSource> mounts,
        NetworkGrant? network,
        long startedAtNanoseconds)
    {
        GuestLimits limits = Limits(options, policy, host);
        GuestUser user = options.User ?? CompiledPolicy.UserOf(policy);
        PolicyBounds.CheckMounts(mounts, policy, user.Home);
        FoldedNames.Check(policy, user.Home, mounts);
        string hostname = options.Hostname ?? policy.Hostname?.Value ?? HostnameText.Default;
        GuestTree tree = PolicyTree(policy, new SyntheticEtc(user, hostname, network), host.Tree, mounts);
        // In the order of their guest paths, so that a mount inside another one does not depend on who was named first.
        foreach ((MountSource source, int index) in mounts.Select((mount, index) => (mount, index))
                     .Where(mount => mount.mount.Shown is null)
                     .OrderBy(mount => mount.mount.GuestPath, StringComparer.Ordinal))
            tree.Mount(source, index);

        string workingDirectory = options.WorkingDirectory
            ?? SameDirectory(host.WorkingDirectory, mounts, tree)
            ?? user.Home;
        (GuestFile[] files, List<Grant> grants) = tree.Finish();
        GuestStreams streams = Streams(options, host, grants);
        if (network is not null)
            grants.Add(new Grant.Broker());
        (PathTables? pathTables, IReadOnlyList<IRule> pathRules) = PlanRules.Paths(policy, user.Home, mounts);
        return new PlannedLaunch(
            new LaunchPlan
            {
                Version = LaunchPlan.CurrentVersion,
                Arguments = options.Arguments,
                Environment = Environment(options, policy, user, host),
                WorkingDirectory = workingDirectory,
                Hostname = hostname,
                User = user,
                Limits = limits,
                Files = files,
                PathRules = pathTables,
                SystemCallRules = PlanRules.SystemCalls(policy),
                Streams = streams,
                Network = network is null
                    ? null
                    : new GuestNetwork { Broker = grants.Count - 1, NameServer = network.HasNameServer },
                Audit = Audit(policy, grants),
                Handoff = options.Handoff,
                StartedAtNanoseconds = startedAtNanoseconds,
            },
            grants)
        {
            PathRules = pathRules,
            SystemCallRules = policy.SystemCallRules,
        };
    }

    static AuditPlan? Audit(PolicyModel policy, List<Grant> grants)
    {
        if (policy.Audit is not { Value: { RecordsDecisions: true } section })
            return null;
        grants.Add(new Grant.Decisions());
        return new AuditPlan
        {
            Descriptor = grants.Count - 1, All = section.Records(AuditEvents.Decisions), WhenFull = section.WhenFull,
        };
    }

    static GuestTree PolicyTree(
        PolicyModel policy, SyntheticEtc etc, IHostTree host, IReadOnlyList<MountSource> mounts)
    {
        var tree = new GuestTree();
        string Place(ShownFile shown) => CompiledPolicy.ExpandHome(shown.Path, etc.User.Home);
        foreach (ShownFile shown in policy.Shown.OrderBy(Place, StringComparer.Ordinal))
        {
            string path = Place(shown);
            switch (shown.Kind)
            {
                case ShownKind.Text:
                    tree.AddText(path, shown.Content!);
                    break;
                case ShownKind.Link:
                    tree.AddSymlink(path, shown.Content!);
                    break;
                case ShownKind.Generated:
                    if (etc.Content(shown.Generated) is string content)
                        tree.AddText(path, content);
                    break;
                case ShownKind.Memory:
                    tree.AddTemporary(path, shown.Mode, shown.Size ?? 0);
                    break;
                case ShownKind.Host:
                    AddHost(tree, policy, shown, path, host, mounts);
                    break;
            }
        }

        return tree;
    }

    static void AddHost(
        GuestTree tree, PolicyModel policy, ShownFile shown, string path, IHostTree host,
        IReadOnlyList<MountSource> mounts)
    {
        for (int i = 0; i < mounts.Count; i++)
            if (mounts[i].Shown == shown)
            {
                tree.Mount(mounts[i], i);
                return;
            }

        string source = shown.Content!;
        HostEntry entry = host.Look(source);
        // A link into what is shown stays a link: programs read its target (the time zone's name is only there).
        if (entry is { Kind: HostEntryKind.Symlink, Target: string target }
            && source == path
            && LeadsToShown(policy, path, target))
        {
            tree.AddSymlink(path, target);
            return;
        }

        HostEntryKind kind = host.Follow(source).Kind;
        if (kind is HostEntryKind.Directory or HostEntryKind.File)
            tree.AddSystem(path, source, kind == HostEntryKind.Directory);
        else if (!shown.Optional)
            throw new UsageException($"the host has no folder {source}, which is what guests run their programs from");
    }

    static bool LeadsToShown(PolicyModel policy, string path, string target)
    {
        string resolved = Path.GetFullPath(target, GuestPath.Parent(path));
        return policy.Shown.Any(
            shown => shown.Kind == ShownKind.Host && shown.Path != path && GuestPath.IsWithin(resolved, shown.Path));
    }

    /// <summary>
    /// Where the guest sees the caller's working directory: by the closest mount above it, or at its own path if
    /// something is mounted below that; null if nowhere.
    /// </summary>
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

        bool showsBelow = callers != "/" && mounts.Any(mount => GuestPath.IsWithin(mount.GuestPath, callers));
        return showsBelow || (GuestPath.IsWithin(callers, "/usr") && tree.ShowsSystem("/usr")) ? callers : null;
    }

    static string[] Environment(RunOptions options, PolicyModel policy, GuestUser user, HostFacts host)
    {
        var variables = new OrderedDictionary<string, string> { ["HOME"] = user.Home, ["USER"] = user.Name };
        foreach (EnvironmentVariable variable in policy.Environment.Select(given => given.Value))
            if ((variable.Value ?? host.Variable(variable.Name)) is string value)
                variables[variable.Name] = variable.Value is null ? value : CompiledPolicy.ExpandHome(value, user.Home);
        return WithFlags(variables, options, policy, host);
    }

    /// <summary>Variables with those that flags set, and without those that the policy denies.</summary>
    internal static string[] WithFlags(
        OrderedDictionary<string, string> variables, RunOptions options, PolicyModel policy, HostFacts host)
    {
        if (options.Terminal)
            variables["TERM"] = host.TerminalType ?? "dumb";
        foreach ((string name, string value) in options.Environment)
            variables[name] = value;
        foreach (Sourced<string> denied in policy.DeniedVariables)
            variables.Remove(denied.Value);
        return [.. variables.Select(variable => $"{variable.Key}={variable.Value}")];
    }

    internal static GuestLimits Limits(RunOptions options, PolicyModel policy, HostFacts host)
    {
        ulong memory = options.Memory ?? Math.Min(policy.Limit(Resource.Memory)!.Value, host.Memory / 2);
        if (memory > host.Memory)
            throw new UsageException(
                $"--memory: {ByteSize.Format(memory)} is more than this host or control group has ({host.Memory >> 20} "
                    + "MiB); ask for less");
        if (memory > RunOptions.MaximumMemory)
            throw new UsageException(
                $"--memory: {ByteSize.Format(memory)} is too much; give at most "
                    + $"{ByteSize.Format(RunOptions.MaximumMemory)}");
        // A kernel's processors may take turns on the host's.
        if (options.Machine is null && options.Cpus > host.Cpus)
            throw new UsageException(
                $"--cpus: {options.Cpus} is more than this host offers ({host.Cpus}); ask for less, or leave the flag "
                    + "out to use them all");
        if (options.TmpSize > memory)
            throw new UsageException(
                $"--tmp-size: {ByteSize.Format(options.TmpSize.Value)} is more than the guest's memory "
                    + $"({ByteSize.Format(memory)}), which holds these files; raise --memory");
        ulong tmp = policy.Limit(Resource.TmpSize)!.Value;
        return new GuestLimits
        {
            MemoryBytes = WholePages(memory),
            Cpus = options.Cpus ?? (int)Math.Min(
                policy.Limit(Resource.Cpus)!.Value, (ulong)Math.Clamp(host.Cpus, 1, RunOptions.MaximumCpus)),
            WallMilliseconds = options.Timeout ?? OrNone(policy, Resource.Time),
            CpuMilliseconds = options.CpuTime ?? OrNone(policy, Resource.CpuTime),
            Processes = options.Processes ?? (int)policy.Limit(Resource.Processes)!.Value,
            OutputBytes = options.OutputLimit ?? OrNone(policy, Resource.Output),
            TmpBytes = WholePages(options.TmpSize ?? (tmp == Resources.Unlimited ? memory / 2 : Math.Min(tmp, memory))),
            OpenFiles = (int)policy.Limit(Resource.OpenFiles)!.Value,
        };
    }

    /// <summary>In a plan 0 is no limit.</summary>
    static long OrNone(PolicyModel policy, Resource resource) =>
        policy.Limit(resource)!.Value is var value && value == Resources.Unlimited ? 0 : (long)value;

    static ulong WholePages(ulong bytes) => bytes & ~0xfffUL;

    internal static GuestStreams Streams(RunOptions options, HostFacts host, List<Grant> grants)
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
            Result = Next(new Grant.Result()),
            Trace = options.TraceFile is null ? -1 : Next(new Grant.Trace()),
        };
    }
}
