using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail;

namespace Sandbox.Supervisor.Planning;

/// <summary>
/// Holds the command line to the policy: flags narrow it, and do more only where it gives the freedom to. What a
/// policy asks for and this version cannot give refuses the start.
/// </summary>
static class PolicyBounds
{
    public static void Check(RunOptions options, PolicyModel policy)
    {
        RequireWhatExists(options, policy);
        Limit("--cpus", options.Cpus, policy, Resource.Cpus);
        Limit("--memory", options.Memory, policy, Resource.Memory);
        Limit("--timeout", Bound(options.Timeout), policy, Resource.Time);
        Limit("--cpu-time", Bound(options.CpuTime), policy, Resource.CpuTime);
        Limit("--processes", options.Processes, policy, Resource.Processes);
        Limit("--output-limit", (ulong?)options.OutputLimit, policy, Resource.Output);
        Limit("--tmp-size", options.TmpSize, policy, Resource.TmpSize, options.Memory);
        if (options.Machine?.Root is string root)
            CheckRoot(root, options.Machine.WritableRoot, policy);
        foreach (MountArgument mount in options.Mounts)
        {
            Require(policy, Freedom.Mount, MountArgument.Flag, "host files beyond the policy's");
            if (mount.Writable)
                Require(policy, Freedom.MountWritable, MountArgument.Flag, "writable host files beyond the policy's");
        }

        if (options.Environment.Count > 0)
            Require(policy, Freedom.Environment, "--env", "variables beyond the policy's");
        foreach ((string name, string _) in options.Environment)
            if (Denials.OfVariable(policy, name) is Sourced<string> denied)
                throw new UsageException($"--env: the policy denies {name} ({denied.Span}); leave it out");
        if (options.User is not null && options.User != CompiledPolicy.UserOf(policy))
            Require(policy, Freedom.Identity, "--user", "another user than the policy's");
        foreach ((ShownFile entry, ShownFile other) in PolicyCheck.ShownTwice(
            policy, (options.User ?? CompiledPolicy.UserOf(policy)).Home))
            throw new UsageException($"--user: for this user {entry.Path} ({entry.Span}) and {other.Path} "
                + $"({other.Span}) are one path; name another user");
        if (options.Hostname is not null && options.Hostname != policy.Hostname?.Value)
            Require(policy, Freedom.Identity, "--hostname", "another host name than the policy's");
    }

    /// <summary>The image is a disk of the guest's, as a block device of the policy's is.</summary>
    static void CheckRoot(string image, bool writable, PolicyModel policy)
    {
        if (policy.DeniedDevices.FirstOrDefault(denied => denied.IsAbout(DeviceKind.Block, Path.GetFullPath(image)))
            is DeniedDevice denied)
            throw new UsageException(
                $"--root: the policy denies the guest this disk ({denied.Span}); start it from --initrd alone");
        if (writable)
            Require(policy, Freedom.MountWritable, "--root", "an image that the guest may change");
    }

    /// <summary>What the policy denies to be shown no mount of the command line shows.</summary>
    /// <param name="home">What ~ stands for.</param>
    public static void CheckMounts(IReadOnlyList<MountSource> mounts, PolicyModel policy, string home)
    {
        foreach (MountSource mount in mounts.Where(mount => mount.Shown is null))
            if (Denials.Hiding(policy, home, mount.GuestPath) is HiddenFile denied)
                throw new UsageException(
                    $"{MountArgument.Flag}: the policy denies that anything appears at {mount.GuestPath} "
                        + $"({denied.Span}); name another guest path");
    }

    /// <summary>On the command line 0 is "none".</summary>
    static ulong? Bound(long? milliseconds) => milliseconds == 0 ? Resources.Unlimited : (ulong?)milliseconds;

    static void Limit(string flag, long? given, PolicyModel policy, Resource resource) =>
        Limit(flag, (ulong?)given, policy, resource);

    /// <param name="memory">What the command line gives the guest; null for what the policy does.</param>
    static void Limit(string flag, ulong? given, PolicyModel policy, Resource resource, ulong? memory = null)
    {
        Sourced<ulong> limit = policy.Limit(resource)!;
        if (given is ulong asked && asked > policy.Amount(resource, memory) && !policy.Allows(Freedom.RaiseLimits))
            throw new UsageException(
                $"{flag}: {Resources.Format(resource, asked)} is more than the policy gives, which is "
                    + $"{Resources.Format(resource, limit.Value)} ({limit.Span}); ask for less");
    }

    static void Require(PolicyModel policy, Freedom freedom, string flag, string what)
    {
        if (!policy.Allows(freedom))
            throw new UsageException(
                $"{flag}: the policy {policy.Source.Name} does not let the command line give {what}; it would have to "
                    + $"list {Freedoms.Names[(int)freedom]} under command-line");
    }

    static void RequireWhatExists(RunOptions options, PolicyModel policy)
    {
        if (policy.IsFragment)
            throw new UsageException($"--policy: {policy.Source.Name} is a fragment; write a policy that extends it");
        bool isMachine = policy.Kind is { Value: GuestKind.Machine };
        if (isMachine && options.Machine is null)
            throw new UsageException(
                $"{policy.Kind!.Span}: the policy is for a machine guest; name its kernel with --kernel");
        if (!isMachine && options.Machine is not null)
            throw new UsageException(
                $"--kernel: the policy {policy.Source.Name} is not for machine guests; it would have to say kind: "
                    + "machine");
        if (policy.Platforms.Count > 0 && policy.Platforms.All(platform => platform.Value != "kvm"))
            throw NotYet(policy.Platforms[0].Span, "the platform lite");
        if (policy.Devices.Count > 0 && !isMachine)
            throw NotYet(policy.Devices[0].Span, "a device");
        if (isMachine)
            RequireMachine(policy);
        RequireTaps(options.Machine?.Taps.Count ?? 0, policy);
        if (policy.Isolation.FirstOrDefault(wall => RequiredWalls.For(wall.Value) is null) is Sourced<Wall> missing)
            throw NotYet(missing.Span, $"the wall {Walls.Names[(int)missing.Value]}");
    }

    /// <summary>
    /// Devices are what a machine guest may have. Of what else is shown or ruled it has nothing, so far.
    /// </summary>
    static void RequireMachine(PolicyModel policy)
    {
        if (!policy.Devices.Any(device => device.Kind is DeviceKind.Console or DeviceKind.VirtioConsole))
            throw new UsageException(
                $"--kernel: the policy {policy.Source.Name} does not give the guest a console, which every one has");
        if (policy.Shown.Count > 0)
            throw NotYet(policy.Shown[0].Span, "files in a machine guest");
        if (policy.PathRules.Count > 0)
            throw NotYet(policy.PathRules[0].Span, "rules for the files of a machine guest");
        if (policy.NetworkRules.Count > 0)
            throw NotYet(policy.NetworkRules[0].Span, "rules for the network of a machine guest");
        if (policy.SystemCallRules.Count > 0)
            throw NotYet(policy.SystemCallRules[0].Span, "rules for system calls of a machine guest");
        if (policy.Limit(Resource.CpuTime) is { Value: not Resources.Unlimited } time)
            throw OfPrograms(time.Span, "cpu-time", "write cpu-time: none, and bound time");
        if (policy.User is Sourced<string> user)
            throw OfPrograms(user.Span, "user", "leave it out: the program is root in its own kernel");
        if (policy.Environment.Count > 0)
            throw OfPrograms(policy.Environment[0].Span, "variables", "leave them out, and name them with --env");
    }

    static UsageException OfPrograms(SourceSpan span, string what, string advice) =>
        new($"{span}: only programs without a kernel of their own have {what} of the policy's; {advice}");

    /// <summary>An interface for each device that the policy lists, and no more.</summary>
    static void RequireTaps(int taps, PolicyModel policy)
    {
        int given = MachinePlanBuilder.NetworkDevices(policy).Count();
        if (taps <= given)
            return;
        throw new UsageException(given == 0
            ? $"--tap: the policy {policy.Source.Name} gives the guest no network; it would have to list '- device: "
                + "network' under devices"
            : $"--tap: the policy {policy.Source.Name} gives the guest fewer network devices than {taps}; it would "
                + "have to list '- device: network' for each");
    }

    static UsageException NotYet(SourceSpan span, string what) =>
        new($"{span}: the policy asks for {what}, which this version does not have; it does not start without");
}
