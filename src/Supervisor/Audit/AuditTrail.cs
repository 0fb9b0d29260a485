using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Learning;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Audit;

/// <summary>
/// Everything that is recorded of one sandbox: its start and end, what its VMM decides, what the supervisor does.
/// </summary>
sealed class AuditTrail : IDecisionSink, IDisposable
{
    readonly AuditSection _section;
    readonly AuditedRun _run;
    readonly IAuditLog _log;
    readonly AuditWriter _writer;
    readonly DecisionSocket? _socket;
    readonly ObservationCollector? _learned;
    readonly long _startedAt = HostClock.MonotonicNanoseconds();
    Thread? _reader;
    DecisionCheck? _check;
    Action _kill = static () => { };
    string? _misbehaved;
    string? _endFailure;
    long _decisions;
    long _droppedByVmm;
    long _sequence;

    AuditTrail(AuditSection section, AuditedRun run, IAuditLog log, ObservationCollector? learned)
    {
        _learned = learned;
        _section = section;
        _run = run;
        _log = log;
        _writer = new AuditWriter(log, section.WhenFull, count => AuditEvent.Dropped(run, count), () => _kill());
        _socket = section.RecordsDecisions ? new DecisionSocket() : null;
    }

    /// <summary>Null when nothing is recorded.</summary>
    /// <param name="policy">What the lines name.</param>
    /// <param name="obeyed">What is done: the same, or in a learning run what stands for it.</param>
    /// <param name="learned">Takes what the guest asks for, in a learning run; else null.</param>
    /// <exception cref="UsageException">The log cannot be continued, or its places cannot be used.</exception>
    /// <exception cref="HostException">The host refused.</exception>
    public static AuditTrail? Open(
        SandboxId id, PolicyModel policy, PolicyModel obeyed, long? revision, ObservationCollector? learned)
    {
        if (obeyed.Audit is null)
            return null;
        // Who learns under a policy without a log wants to know and keeps nothing.
        IAuditLog log = policy.Audit is null ? new NoLog() : AuditLog.Open(policy.Audit.Value.To);
        return Open(obeyed.Audit.Value, AuditedRun.Of(id, policy, revision, learned is not null), log, learned);
    }

    /// <param name="log">Taken over.</param>
    public static AuditTrail Open(
        AuditSection section, AuditedRun run, IAuditLog log, ObservationCollector? learned = null) =>
        new(section, run, log, learned);

    /// <summary>The VMM's end of the socket; null when no decisions are recorded.</summary>
    public FileDescriptor? VmmEnd => _socket?.VmmEnd;

    /// <summary>Records the start, and from now on what the VMM says.</summary>
    /// <param name="kill">Ends the VMM; from any thread.</param>
    /// <exception cref="UsageException">The log cannot be continued.</exception>
    /// <exception cref="HostException">It cannot be written.</exception>
    public void Begin(PlannedLaunch launch, Action kill)
    {
        _kill = kill;
        if (_section.Records(AuditEvents.Lifecycle))
            _log.Append([AuditEvent.Start(_run, launch.Plan)]);
        _writer.Start();
        // A guest with a kernel of its own is decided about here alone.
        if (_socket is null || launch.Plan.Audit is null)
            return;
        _check = new DecisionCheck(launch.Plan, launch.PathRules, launch.SystemCallRules);
        _reader = new Thread(Read, 256 << 10) { IsBackground = true, Name = "audit records" };
        _reader.Start();
    }

    public bool HasRoom => _writer.HasRoom;

    /// <summary>Records what stands around the VMM, as the kernel shows it.</summary>
    public void RecordWalls(IReadOnlyList<FactLine> lines)
    {
        if (_section.Records(AuditEvents.Lifecycle))
            _writer.Add(AuditEvent.Walls(_run, lines));
    }

    public bool Record(DecisionRecord decision) =>
        !_section.Records(decision.Allowed) || _writer.Offer(Number(decision));

    /// <summary>Takes what the VMM, which has ended, has said until then.</summary>
    /// <returns>The outcome, or what the records say about it.</returns>
    public Outcome Drain(Outcome outcome)
    {
        // Nobody waits any longer for a disk that is full.
        _writer.GiveUpWhenFull();
        _socket?.End();
        _reader?.Join();
        // With the descriptors that the VMM may have left in it.
        _socket?.Dispose();
        if (_misbehaved is not null)
        {
            _writer.Add(AuditEvent.Misbehaved(_run, _misbehaved));
            return new Outcome.VmmMisbehaved(_misbehaved);
        }

        return _writer.Failure is string failure ? new Outcome.AuditFailed(failure) : outcome;
    }

    /// <summary>Records the end.</summary>
    /// <param name="usage">What the VMM took.</param>
    /// <returns>Why not everything is in the log that should be; null when it is.</returns>
    public string? End(string cause, int status, in rusage usage)
    {
        _writer.Close();
        bool complete = (_check is null || _check.HasEnded) && _droppedByVmm + _writer.Dropped == 0;
        if (_section.Records(AuditEvents.Lifecycle) && _writer.Failure is null)
            Append(AuditEvent.End(_run, cause, status, Usage(usage), complete));
        return _writer.Failure ?? _endFailure;
    }

    public void Dispose()
    {
        _socket?.Dispose();
        _writer.Dispose();
        _log.Dispose();
    }

    void Append(AuditEvent line)
    {
        try
        {
            _log.Append([line]);
        }
        catch (Exception failure) when (failure is HostException or UsageException)
        {
            _endFailure = failure.Message;
        }
    }

    void Read()
    {
        try
        {
            while (_misbehaved is null && _socket!.Receive(out DecisionMessage message))
                Take(message);
        }
        catch (HostException bad) when (bad.Errno == EBADMSG)
        {
            _misbehaved = $"broke the rules of its records ({bad.Advice ?? bad.Subject})";
        }

        if (_misbehaved is not null)
            _kill();
    }

    void Take(in DecisionMessage message)
    {
        _misbehaved = _check!.Fault(message);
        if (_misbehaved is not null || message.Kind == DecisionKind.End)
            return;
        if (message.Kind == DecisionKind.Dropped)
        {
            _droppedByVmm += (long)Math.Min(message.Count, int.MaxValue);
            _writer.Add(AuditEvent.Dropped(_run, (long)Math.Min(message.Count, int.MaxValue)));
            return;
        }

        _learned?.Take(message);
        DecisionRecord decision = DecisionText.Of(message, _check.RuleOf(message));
        // With a full queue the socket fills, and the VMM does what the policy says.
        if (_section.Records(decision.Allowed))
            _writer.Add(Number(decision));
    }

    AuditEvent Number(DecisionRecord decision)
    {
        Interlocked.Increment(ref _decisions);
        return AuditEvent.Of(decision, _run, Interlocked.Increment(ref _sequence));
    }

    AuditedUsage Usage(in rusage usage)
    {
        static long Milliseconds(timeval time) => time.tv_sec * 1000 + time.tv_usec / 1000;
        return new AuditedUsage(
            (HostClock.MonotonicNanoseconds() - _startedAt) / 1_000_000,
            Milliseconds(usage.ru_utime) + Milliseconds(usage.ru_stime), usage.ru_maxrss, _decisions,
            _droppedByVmm + _writer.Dropped);
    }
}
