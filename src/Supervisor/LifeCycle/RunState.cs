using System.Text;
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

/// <summary>
/// What a supervisor tells the host's other commands about its sandbox: a folder, from its start to its end.
/// </summary>
/// <param name="path">Of the place; that of this user unless a test says otherwise.</param>
sealed class RunState(RunOptions options, string? path = null) : IDisposable
{
    /// <summary>Another start that is choosing its name is waited for, so many milliseconds.</summary>
    const int NamingMilliseconds = 5_000;

    readonly string _path = path ?? StatePlace.Path;
    FileDescriptor? _place;
    SandboxRecord? _record;
    StartOrders? _reported;

    public SandboxId Id { get; } = SandboxId.Random();

    /// <summary>Null before the sandbox can be seen, and where it cannot be.</summary>
    public StateFolder? Folder { get; private set; }

    /// <summary>Where orders come in. Null before the sandbox can be seen, and where it cannot be.</summary>
    public ControlSocket? Control { get; private set; }

    /// <summary>
    /// Lets the sandbox be seen. For most this is done once the guest has stayed for a moment, so that one which is
    /// gone at once does not pay for it.
    /// </summary>
    /// <param name="expected">What the kernel is to tell of the VMM's jail.</param>
    /// <returns>Why it cannot be, for people; null when it is.</returns>
    /// <exception cref="UsageException">Its name is taken.</exception>
    public string? Publish(PolicyModel policy, PlannedLaunch launch, VmmProcess vmm, JailExpectation expected)
    {
        int error = StatePlace.TryMake(_path, out _place);
        if (StatePlace.Problem(_path, error) is string problem)
            return problem;
        if (error == 0 && options.Name is not null)
            error = ClaimName(options.Name);
        if (error == 0)
            error = Fill(policy, launch, vmm, expected);
        if (error == 0)
        {
            if (options.Name is not null)
                _ = flock(_place!.Value, LOCK_UN);
            Leftovers.RemoveSome(_path, _place!, Id);
            return null;
        }

        Dispose();
        return $"{_path}: {Errno.Describe(-error)}; make room there, or have it writable";
    }

    /// <summary>Holds the place until the record with the name is in it.</summary>
    int ClaimName(string name)
    {
        for (int waited = 0; flock(_place!.Value, LOCK_EX | LOCK_NB) != 0; waited++)
        {
            if (errno is not (EWOULDBLOCK or EINTR) || waited == NamingMilliseconds)
                return -errno;
            Thread.Sleep(1);
        }

        foreach (ListedSandbox other in StateList.Read(_path))
            if (other.IsAlive && other.Record?.Name == name)
                throw new UsageException($"{SandboxName.Flag}: {other.Id} runs under the name {name}; choose another, "
                    + $"or stop that one: sandbox stop {name}");
        return 0;
    }

    int Fill(PolicyModel policy, PlannedLaunch launch, VmmProcess vmm, JailExpectation expected)
    {
        int error = StateFolder.TryMake(_place!, Id, out StateFolder? folder);
        if (error != 0)
            return error;
        Folder = folder!;
        error = Folder.WritePolicy(Encoding.UTF8.GetBytes(PolicyText.Write(policy, origins: false)));
        if (error == 0)
            error = Folder.WriteJail(ExpectationText.Write(expected));
        if (error == 0 && _reported is StartOrders reported)
            error = Folder.WriteJail(ExpectationText.Write(reported));
        if (error == 0)
        {
            error = ControlSocket.TryOpen(Folder, out ControlSocket? control);
            Control = control;
        }

        return error == 0 ? Folder.Write(_record = Record(policy, launch, vmm)) : error;
    }

    /// <summary>
    /// Adds what the VMM says that it has put on. Where that fails, who asks later is told that it said nothing.
    /// </summary>
    public void Confirm(StartOrders reported)
    {
        _reported = reported;
        Folder?.WriteJail(ExpectationText.Write(reported));
    }

    SandboxRecord Record(PolicyModel policy, PlannedLaunch launch, VmmProcess vmm) => new()
    {
        Id = Id,
        Name = options.Name,
        StartedAt = Now,
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
        Socket = launch.Grants.OfType<Grant.VsockListener>().FirstOrDefault()?.Rule.From is string path
            ? new RecordedSocket(SocketFile.AnyInode, path)
            : null,
        IsDetached = options.Detach,
        IsKept = options.Detach && !options.Remove,
    };

    static long Now => HostClock.RealtimeNanoseconds() / 1_000_000;

    /// <summary>Writes down whether the guest stands still.</summary>
    /// <returns>0 or a negative error number.</returns>
    public int RecordPause(bool paused) =>
        Folder is null || _record is null ? -ENOENT : Folder.Write(_record = _record with { IsPaused = paused });

    /// <summary>Writes down which socket has been put at the path that the record names.</summary>
    public void RecordSocket(ulong inode)
    {
        if (Folder is not null && _record is { Socket: RecordedSocket socket })
            Folder.Write(_record = _record with { Socket = socket with { Inode = inode } });
    }

    /// <summary>Puts what was counted of the guest where other commands find it.</summary>
    /// <returns>0 or a negative error number.</returns>
    public int KeepCounts(GuestRecord counts) => Folder is null ? -ENOENT : Folder.WriteCounts(counts);

    /// <summary>The sandbox has ended: says so to those who wait, and in the record of one that is kept.</summary>
    /// <param name="counts">What its VMM counted; null for nothing.</param>
    /// <param name="hasStarted">A guest that never ran leaves nothing.</param>
    /// <remarks>One whose end cannot be recorded is seen to have been lost.</remarks>
    public void End(int status, string? line, VmmProcess vmm, GuestRecord? counts, bool hasStarted)
    {
        if (hasStarted && Folder is not null && _record is { IsKept: true })
        {
            var end = new RecordedEnd(
                status, line is null ? null : RecordText.Cut(line), Now, vmm.Group?.Usage.MemoryPeakBytes,
                vmm.CpuMicroseconds);
            if (counts is GuestRecord counted)
                Folder.WriteCounts(counted);
            Folder.Write(_record with { End = end, IsPaused = false, Socket = null });
            Folder.RemoveControl();
            Folder.Dispose();
            Folder = null;
        }

        Control?.End(status);
        if (_place is null)
            RemoveLeftovers();
    }

    /// <summary>For one that was gone before it could be seen: those that are seen do so when they begin.</summary>
    void RemoveLeftovers()
    {
        if (StatePlace.LooksEmpty(_path))
            return;
        if (StatePlace.TryOpen(_path, out FileDescriptor? place) == 0)
            using (place)
                Leftovers.RemoveSome(_path, place!, Id);
    }

    /// <summary>The sandbox is not to be seen any more, unless its end has been recorded.</summary>
    public void Dispose()
    {
        // What cannot be removed is seen to be dead, and removed by those who come later.
        Folder?.Remove();
        Folder?.Dispose();
        Folder = null;
        Control?.Dispose();
        Control = null;
        _place?.Dispose();
        _place = null;
    }
}
