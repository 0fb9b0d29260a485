using System.Net;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.Learning;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Network;
using Sandbox.Supervisor.Planning;
using Sandbox.Supervisor.Trust;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>What became of a run.</summary>
/// <param name="Line">For stderr; null for nothing.</param>
/// <param name="Policy">With the mounts of the command line.</param>
sealed record LaunchResult(int Status, string? Line, Outcome Outcome, PlannedLaunch Launch, PolicyModel Policy);

/// <summary>
/// Carries out <c>sandbox run</c>: asks the host, plans, opens what the plan grants, and watches the guest.
/// </summary>
static class Launcher
{
    /// <param name="vmm">The VMM, started beforehand; asked for only once nothing is wrong with the request.</param>
    /// <param name="startedAt">CLOCK_MONOTONIC nanoseconds at which the command line began.</param>
    /// <param name="detached">What this process is to a caller that does not wait for the guest; else null.</param>
    /// <returns>The command line's exit status.</returns>
    public static int Run(RunOptions options, EarlyVmm vmm, long startedAt, DetachedSupervisor? detached)
    {
        LaunchResult result = Launch(options, vmm, startedAt, null, detached);
        // Of a detached one it is in its output already.
        if (result.Line is not null && detached is null)
            StandardStreams.WriteError(result.Line);
        return result.Status;
    }

    /// <param name="learned">
    /// Takes what the guest asks for, in a run in which only mounts refuse anything; null in all others.
    /// </param>
    public static LaunchResult Launch(
        RunOptions options, EarlyVmm vmm, long startedAt, ObservationCollector? learned,
        DetachedSupervisor? detached = null)
    {
        (PolicyModel policy, long? revision) = TrustedPolicy.OfThisHost.Load(options.PolicyFile);
        using CallersTerminal? terminal = options.Terminal ? CallersTerminal.Open() : null;
        HostFacts host = HostQuestions.Ask(options.Terminal);
        Ceiling.Check(policy, isLearning: learned is not null, user: options.User);
        // Before anything is opened that the policy may not allow to be opened.
        PolicyBounds.Check(options, policy);
        NetworkGrant? network = NetworkGrant.Prepare(
            policy, static name => (HostNames.Look(name, out IPAddress[] addresses), addresses));
        using var state = new RunState(options);
        using var opened = new OpenedGrants();
        string home = (options.User ?? CompiledPolicy.UserOf(policy)).Home;
        foreach ((ShownFile shown, MountArgument mount) in PolicyOpener.Mounts(policy, home, host.Tree))
            opened.AddMount(MountOpener.Open(mount, host.WorkingDirectory), shown);
        foreach (MountArgument mount in options.Mounts)
            opened.AddMount(MountOpener.Open(mount, host.WorkingDirectory), null);
        PolicyModel obeyed = learned is null ? policy : LearningPolicy.Of(policy);
        PlannedLaunch launch = options.Machine is null
            ? PlanBuilder.Build(options, obeyed, host, opened.Mounts, network, startedAt)
            : MachinePlanBuilder.Build(options, obeyed, host, startedAt);
        // Last of what can fail: a log tells of guests, not of mistakes.
        using AuditTrail? audit = AuditTrail.Open(state.Id, policy, obeyed, revision, learned);
        FileDescriptor[] descriptors = opened.Open(launch.Grants, options, audit?.VmmEnd);

        VmmProcess process = vmm.Process;
        process.Confirm();
        using GrantedFiles? granted = Adapt(ref process, vmm, launch, descriptors);
        process.Limit(GroupLimits.For(launch.Plan.Limits, host.Cpus, launch.Plan.Machine is not null));
        DiskRates? rates = DiskRates.Of(launch, opened.Mounts, descriptors);
        if (rates is not null)
            process.Limit(rates);
        RequiredWalls.Check(policy.Isolation, process.Jail);
        rates?.Check(process.Jail);
        if (process.Jail.DeservesWarning(isRoot: geteuid() == 0))
            StandardStreams.WriteError($"warning: {process.Jail}");
        FileDescriptor[] given = granted?.Descriptors ?? descriptors;
        bool isInspected = opened.Result is not null || policy.Audit is not null || policy.Isolation.Count > 0;
        // A socket is written down before it is there: whoever is killed in between leaves one that others find.
        bool isFoundEarly = options.MustBeFound || opened.Vsock is not null;
        JailExpectation? expected = isInspected || isFoundEarly ? ExpectedJail.Of(process, launch, given) : null;
        if (isFoundEarly)
            Publish(state, options, policy, launch, process, expected!);
        if (opened.Vsock is VsockListener listener)
        {
            listener.Listen();
            state.RecordSocket(listener.Inode);
        }

        detached?.KeepOutput(state.Folder!);
        audit?.Begin(launch, () => process.Signal(SIGKILL));
        NetworkRecorder? recorder =
            network is null || audit is null ? null : new NetworkRecorder(network, policy.NetworkRules, audit, learned);
        using NetworkBroker? broker = network is null
            ? null
            : new NetworkBroker(network, opened.TakeBroker(), recorder);
        VmmProcess watched = process;
        JailInspection? inspection = isInspected
            ? new JailInspection(process, expected!, policy.Isolation, audit)
            : null;
        bool hasStarted = false;
        Outcome outcome = Watch(process, terminal, given, signals =>
            new Session(watched, launch.Plan, signals, broker, inspection)
            {
                State = state,
                Counts = opened.Counts,
                Services = opened.Services(audit),
                WhenStaying = isFoundEarly
                    ? null
                    : () => Publish(
                        state, options, policy, launch, watched, expected ?? ExpectedJail.Of(watched, launch, given)),
                WhenStarted = reported =>
                {
                    hasStarted = true;
                    state.Confirm(reported);
                    return detached?.ReportStart(state.Id) ?? true;
                },
            });
        // With these go the descriptors that a VMM which has fallen left in their queues: of pipes, whose end would not
        // come below.
        process.Channel.Dispose();
        broker?.Dispose();
        if (audit is not null)
            outcome = audit.Drain(outcome);
        (int status, string? line) = ExitReport.For(launch.Plan, outcome);
        terminal?.Restore();
        if (audit?.End(line ?? "the program exited", status, process.Usage) is string failure
            && outcome is not Outcome.AuditFailed)
            (status, line) = ExitReport.For(launch.Plan, new Outcome.AuditFailed(failure));
        GuestRecord? counts = GuestRecordFile.Read(opened.Counts!);
        if (opened.Result is ResultFile result && result.Publish(new ResultRecord(status, line, outcome,
                counts, process.CpuMicroseconds, process.Group?.Usage, inspection!.Lines)
                { Jailed = process.Phases, StartedAt = startedAt }.Write())
            is string unwritten)
            (status, line) = (ExitStatus.SandboxFailed, unwritten);
        // Copies of the streams are among them, and output ends when nobody can write any more.
        opened.Dispose();
        detached?.EndOutput(line);
        state.End(status, line, process, counts, hasStarted);
        return new LaunchResult(
            status, line, outcome, launch, policy with { Shown = PlanRules.WithMounts(policy, home, opened.Mounts) });
    }

    /// <summary>
    /// Gives a VMM with a user of its own what is granted in a form that this user can use. Where a file system cannot
    /// be had so, the VMM is started again as the caller.
    /// </summary>
    static GrantedFiles? Adapt(ref VmmProcess process, EarlyVmm vmm, PlannedLaunch launch, FileDescriptor[] descriptors)
    {
        if (!process.Jail.Walls.HasFlag(JailWalls.OwnUser))
            return null;
        var granted = new GrantedFiles(launch.Plan, descriptors,
            index => launch.Grants[index] is Grant.SystemPath, VmmUser.Of(Environment.ProcessId));
        if (granted.Failure is not string failure)
            return granted;
        granted.Dispose();
        process = vmm.Restart(JailWalls.OwnUser, failure);
        return null;
    }

    static void Publish(
        RunState state, RunOptions options, PolicyModel policy, PlannedLaunch launch, VmmProcess process,
        JailExpectation expected)
    {
        if (state.Publish(policy, launch, process, expected) is string failure)
            StandardStreams.WriteError(options.MustBeFound
                ? throw new UsageException(
                    $"run: other commands could not find this sandbox: {Quote.Printable(failure)}")
                : $"warning: sandbox ps will not show this sandbox: {Quote.Printable(failure)}");
        else if (options.MustBeFound && StatePlace.IsSubstitute)
            StandardStreams.WriteError(
                "warning: there is no XDG_RUNTIME_DIR of this user's; what is known of sandboxes is in "
                    + $"{StatePlace.Path}");
    }

    static Outcome Watch(
        VmmProcess process, CallersTerminal? terminal, FileDescriptor[] descriptors,
        Func<SignalForwarder, Session> makeSession)
    {
        using SignalForwarder signals = SignalForwarder.Start(process, terminal);
        try
        {
            terminal?.MakeRaw();
            return makeSession(signals).Run(descriptors);
        }
        catch
        {
            // Also on the way to a crash, which runs no finally.
            terminal?.Restore();
            throw;
        }
    }
}
