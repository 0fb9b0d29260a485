using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Learning;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>What became of a run.</summary>
/// <param name="Line">For stderr; null for nothing.</param>
/// <param name="Policy">With the mounts of the command line.</param>
sealed record LaunchResult(int Status, string? Line, Outcome Outcome, PlannedLaunch Launch, PolicyModel Policy);

/// <summary>Carries out <c>sandbox run</c>: asks the host, plans, opens what the plan grants, and watches the guest.</summary>
static class Launcher
{
    /// <param name="vmm">The VMM, started beforehand; asked for only once nothing is wrong with the request.</param>
    /// <param name="startedAt">CLOCK_MONOTONIC nanoseconds at which the command line began.</param>
    /// <returns>The command line's exit status.</returns>
    public static int Run(RunOptions options, Func<VmmProcess> vmm, long startedAt)
    {
        LaunchResult result = Launch(options, vmm, startedAt, null);
        if (result.Line is not null)
            StandardStreams.WriteError(result.Line);
        return result.Status;
    }

    /// <param name="learned">
    /// Takes what the guest asks for, in a run in which only mounts refuse anything; null in all others.
    /// </param>
    public static LaunchResult Launch(
        RunOptions options, Func<VmmProcess> vmm, long startedAt, ObservationCollector? learned)
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
        PolicyModel obeyed = learned is null ? policy : LearningPolicy.Of(policy);
        PlannedLaunch launch = PlanBuilder.Build(options, obeyed, host, opened.Mounts, startedAt);
        // Last of what can fail: a log tells of guests, not of mistakes.
        using AuditTrail? audit = AuditTrail.Open(policy, obeyed, revision: null, learned);
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
        return new LaunchResult(
            status, line, outcome, launch, policy with { Shown = PlanRules.WithMounts(policy, home, opened.Mounts) });
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
