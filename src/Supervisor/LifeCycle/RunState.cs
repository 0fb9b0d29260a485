using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>What a supervisor tells the host's other commands about its sandbox: a folder, from its start to its end.</summary>
sealed class RunState : IDisposable
{
    readonly string _path;
    FileDescriptor? _place;
    StateFolder? _folder;
    SandboxRecord? _record;

    /// <param name="path">Of the place; that of this user unless a test says otherwise.</param>
    public RunState(string? path = null) => _path = path ?? StatePlace.Path;

    public SandboxId Id { get; } = SandboxId.Random();

    /// <summary>
    /// Lets the sandbox be seen. Done while the guest starts, when this processor has nothing else to do.
    /// </summary>
    /// <param name="expected">What the kernel is to tell of the VMM's jail.</param>
    /// <returns>Why it cannot be, for people; null when it is.</returns>
    public string? Publish(
        RunOptions options, PolicyModel policy, PlannedLaunch launch, VmmProcess vmm, JailExpectation expected)
    {
        int error = StatePlace.TryMake(_path, out _place);
        if (error == 0)
            error = StateFolder.TryMake(_place!, Id, out _folder);
        if (error == 0)
            error = _folder!.WriteJail(ExpectationText.Write(expected));
        if (error == 0)
            error = _folder!.Write(_record = Record(options, policy, launch, vmm));
        if (error == 0)
            return null;
        Dispose();
        return error == -EPERM
            ? $"{_path} can be written by others; remove it"
            : $"{_path}: {Errno.Describe(-error)}";
    }

    /// <summary>
    /// Adds what the VMM says that it has put on. Where that fails, who asks later is told that it said nothing.
    /// </summary>
    public void Confirm(StartOrders reported) => _folder?.WriteJail(ExpectationText.Write(reported));

    SandboxRecord Record(RunOptions options, PolicyModel policy, PlannedLaunch launch, VmmProcess vmm) => new()
    {
        Id = Id,
        StartedAt = HostClock.RealtimeNanoseconds() / 1_000_000,
        Command = RecordText.Cut(options.Arguments, out bool isCut),
        IsCommandCut = isCut,
        Policy = RecordText.Cut(policy.Source.Name),
        Supervisor = Environment.ProcessId,
        Vmm = vmm.Pid,
        VmmUser = vmm.Jail.Walls.HasFlag(JailWalls.OwnUser) ? VmmUser.Of(Environment.ProcessId) : geteuid(),
        Jail = vmm.Jail with { Reason = vmm.Jail.Reason is string reason ? RecordText.Cut(reason) : null },
        Required = [.. policy.Isolation.Select(wall => wall.Value)],
        Groups = [.. (vmm.Group?.Parts ?? []).Select(RecordedGroup.Of)],
        GroupLimits = vmm.Group?.Limits ?? default,
        Limits = launch.Plan.Limits,
        Descriptors = [.. launch.Grants.Select(RecordText.KindOf)],
    };

    /// <summary>The sandbox is not to be seen any more.</summary>
    public void Dispose()
    {
        // What cannot be removed is seen to be dead, and removed by those who come later.
        _folder?.Remove();
        _folder?.Dispose();
        _folder = null;
        _place?.Dispose();
        _place = null;
    }
}
