using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>Carries out <c>sandbox run</c>: asks the host, plans, opens what the plan grants, and watches the guest.</summary>
static class Launcher
{
    /// <param name="vmm">The VMM, started beforehand; asked for only once nothing is wrong with the request.</param>
    /// <param name="startedAt">CLOCK_MONOTONIC nanoseconds at which the command line began.</param>
    /// <returns>The command line's exit status.</returns>
    public static int Run(RunOptions options, Func<VmmProcess> vmm, long startedAt)
    {
        PolicyModel policy = PolicyOpener.Load(options.PolicyFile);
        using CallersTerminal? terminal = options.Terminal ? CallersTerminal.Open() : null;
        HostFacts host = HostQuestions.Ask(options.Terminal);
        Ceiling.Check(policy);
        // Before anything is opened that the policy may not allow to be opened.
        PolicyBounds.Check(options, policy);
        using var opened = new OpenedGrants();
        string home = (options.User ?? CompiledPolicy.UserOf(policy)).Home;
        foreach ((ShownFile shown, MountArgument mount) in PolicyOpener.Mounts(policy, home, host.Tree))
            opened.AddMount(MountOpener.Open(mount, host.WorkingDirectory), shown);
        foreach (MountArgument mount in options.Mounts)
            opened.AddMount(MountOpener.Open(mount, host.WorkingDirectory), null);
        PlannedLaunch launch = PlanBuilder.Build(options, policy, host, opened.Mounts, startedAt);
        // Last of what can fail: a log tells of guests, not of mistakes.
        using AuditTrail? audit = AuditTrail.Open(policy, revision: null, isLearning: false);
        FileDescriptor[] descriptors = opened.Open(launch.Grants, options, audit?.VmmEnd);

        VmmProcess process = vmm();
        audit?.Begin(launch, () => process.Signal(SIGKILL));
        Outcome outcome = Watch(process, launch.Plan, terminal, descriptors);
        if (audit is not null)
            outcome = audit.Drain(outcome);
        (int status, string? line) = ExitReport.For(launch.Plan, outcome);
        terminal?.Restore();
        if (audit?.End(line ?? "the program exited", status) is string failure && outcome is not Outcome.AuditFailed)
            (status, line) = ExitReport.For(launch.Plan, new Outcome.AuditFailed(failure));
        opened.Result?.Publish();
        if (line is not null)
            StandardStreams.WriteError(line);
        return status;
    }

    static Outcome Watch(VmmProcess process, LaunchPlan plan, CallersTerminal? terminal, FileDescriptor[] descriptors)
    {
        using SignalForwarder signals = SignalForwarder.Start(process, terminal);
        try
        {
            terminal?.MakeRaw();
            return new Session(process, plan, signals).Run(descriptors);
        }
        catch
        {
            // Also on the way to a crash, which runs no finally.
            terminal?.Restore();
            throw;
        }
    }
}
