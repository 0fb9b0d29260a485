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

        var boot = new GuestMachine
        {
            Kernel = Next(new Grant.BootFile("--kernel", machine.Kernel)),
            Initrd = machine.Initrd is null ? -1 : Next(new Grant.BootFile("--initrd", machine.Initrd)),
            CommandLine = machine.CommandLine,
            Disks = [],
            Agent = false,
        };
        return new PlannedLaunch(
            new LaunchPlan
            {
                Version = LaunchPlan.CurrentVersion,
                Arguments = options.Arguments,
                Environment = [],
                WorkingDirectory = "/",
                Hostname = policy.Hostname?.Value ?? HostnameText.Default,
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

    static GuestLimits Limits(RunOptions options, PolicyModel policy, HostFacts host)
    {
        GuestLimits limits = PlanBuilder.Limits(options, policy, host);
        if (limits.MemoryBytes < MachineOptions.MinimumMemory)
            throw new UsageException(
                $"--memory: {ByteSize.Format(limits.MemoryBytes)} is too little for a kernel; give at least {ByteSize.Format(MachineOptions.MinimumMemory)}");
        // Its kernel's are its own; the host sees a thread for each vCPU.
        return limits with { Cpus = Math.Min(limits.Cpus, MachineOptions.MaximumCpus), TmpBytes = 0, CpuMilliseconds = 0 };
    }
}
