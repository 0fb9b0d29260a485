using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;

namespace Sandbox.Supervisor.Planning;

/// <summary>
/// As <see cref="PlanBuilder"/>, for a guest with a kernel of its own: it has what its kernel starts from, the caller's
/// streams at its console, and nothing of the host.
/// </summary>
static class MachinePlanBuilder
{
    /// <summary>The policy of machine guests without --policy.</summary>
    public const string DefaultPolicy = "builtin:machine-default.yaml";

    public static PlannedLaunch Build(RunOptions options, PolicyModel policy, HostFacts host, long startedAtNanoseconds)
    {
        MachineOptions machine = options.Machine!;
        var grants = new List<Grant>();
        int Next(Grant grant)
        {
            grants.Add(grant);
            return grants.Count - 1;
        }

        // With a root the agent has the streams, and the console is the kernel's alone.
        bool virtioConsole = machine.Root is null && Device(policy, DeviceKind.VirtioConsole) is not null;
        if (options.Terminal && machine.Root is null && !virtioConsole)
            throw new UsageException(
                "--tty: with --kernel this needs --root, or a policy that lists '- device: virtio-console'");
        var boot = new GuestMachine
        {
            Kernel = Next(new Grant.BootFile("--kernel", machine.Kernel)),
            Initrd = machine.Initrd is null ? -1 : Next(new Grant.BootFile("--initrd", machine.Initrd)),
            CommandLine = $"{(virtioConsole ? MachineOptions.VirtioConsole : MachineOptions.SerialConsole)} "
                + $"{machine.CommandLine}",
            Disks = [],
            Taps = [.. machine.Taps.Zip(NetworkDevices(policy), (tap, device) => new GuestTap
            {
                Descriptors =
                    [.. Enumerable.Range(0, tap.Queues).Select(_ => Next(new Grant.Tap(tap.Name, tap.Queues > 1)))],
                Mac = tap.Mac,
                Address = tap.Address?.GetAddressBytes() ?? [],
                BytesPerSecond = device.BytesPerSecond ?? 0,
                OperationsPerSecond = device.OperationsPerSecond ?? 0,
            })],
            Agent = false,
            Random = Device(policy, DeviceKind.Random) is DeviceRule random
                ? new GuestRandom { BytesPerSecond = random.BytesPerSecond ?? 0 }
                : null,
            Vsock = Device(policy, DeviceKind.Vsock) is DeviceRule vsock ? Next(new Grant.VsockListener(vsock)) : -1,
            Balloon = Device(policy, DeviceKind.Balloon) is not null,
            VirtioConsole = virtioConsole,
        };
        string[] environment = [];
        string hostname = options.Hostname ?? policy.Hostname?.Value ?? HostnameText.Default;
        if (machine.Root is string root)
        {
            environment = Environment(options, policy, host);
            var order = new AgentOrder
            {
                Modules = [],
                WritableRoot = machine.WritableRoot,
                Arguments = options.Arguments,
                Environment = environment,
                WorkingDirectory = options.WorkingDirectory ?? "/",
                Hostname = hostname,
                Terminal = options.Terminal ? new AgentTerminal(host.Rows, host.Columns) : null,
                Interfaces = [.. machine.Taps.Select(tap => new AgentInterface
                {
                    Mac = tap.Mac,
                    Address = tap.Address?.GetAddressBytes() ?? [],
                    PrefixBits = (byte)tap.PrefixBits,
                    Gateway = tap.Gateway?.GetAddressBytes() ?? [],
                })],
            };
            boot = boot with
            {
                Initrd = Next(new Grant.AgentInitrd(boot.Kernel, machine.Kernel, machine.Modules, order)),
                Disks =
                [
                    new GuestDisk
                    {
                        Descriptor = Next(new Grant.BootFile("--root", root, machine.WritableRoot, IsDisk: true)),
                        Writable = machine.WritableRoot,
                        BytesPerSecond = 0,
                    },
                ],
                Agent = true,
            };
        }
        boot = boot with
            { Disks = [.. boot.Disks, .. policy.Devices.Where(rule => rule.Kind == DeviceKind.Block).Select(Disk)] };
        GuestDisk Disk(DeviceRule rule) => new()
        {
            Descriptor = Next(new Grant.BootFile("policy: device block", rule.From!, rule.Writable, IsDisk: true)),
            Writable = rule.Writable,
            BytesPerSecond = rule.BytesPerSecond ?? 0,
            OperationsPerSecond = rule.OperationsPerSecond ?? 0,
        };
        return new PlannedLaunch(
            new LaunchPlan
            {
                Version = LaunchPlan.CurrentVersion,
                Arguments = options.Arguments,
                Environment = environment,
                WorkingDirectory = options.WorkingDirectory ?? "/",
                Hostname = hostname,
                User = CompiledPolicy.UserOf(policy),
                Limits = Limits(options, policy, host),
                Files = [],
                Streams = PlanBuilder.Streams(options, host, grants),
                Machine = boot,
                Handoff = false,
                StartedAtNanoseconds = startedAtNanoseconds,
            },
            grants);
    }

    /// <summary>Each is one interface, in the order of the flags.</summary>
    public static IEnumerable<DeviceRule> NetworkDevices(PolicyModel policy) =>
        policy.Devices.Where(device => device.Kind == DeviceKind.Network);

    /// <summary>What a program finds on a machine of its own, where it is root, and what the caller names.</summary>
    static string[] Environment(RunOptions options, PolicyModel policy, HostFacts host)
    {
        var variables = new OrderedDictionary<string, string>
        {
            ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ["HOME"] = "/root",
            ["USER"] = "root",
            ["LANG"] = "C.UTF-8",
        };
        return PlanBuilder.WithFlags(variables, options, policy, host);
    }

    static DeviceRule? Device(PolicyModel policy, DeviceKind kind) =>
        policy.Devices.FirstOrDefault(rule => rule.Kind == kind);

    static GuestLimits Limits(RunOptions options, PolicyModel policy, HostFacts host)
    {
        GuestLimits limits = PlanBuilder.Limits(options, policy, host);
        if (limits.MemoryBytes < MachineOptions.MinimumMemory)
            throw new UsageException(
                $"--memory: {ByteSize.Format(limits.MemoryBytes)} is too little for a kernel; give at least "
                    + $"{ByteSize.Format(MachineOptions.MinimumMemory)}");
        // Its kernel's are its own; the host sees a thread for each vCPU.
        return limits with
            { Cpus = Math.Min(limits.Cpus, MachineOptions.MaximumCpus), TmpBytes = 0, CpuMilliseconds = 0 };
    }
}
