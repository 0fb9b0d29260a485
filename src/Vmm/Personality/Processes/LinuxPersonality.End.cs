using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

/// <summary>Why and how the guest ended; the numbers are those of <see cref="ChannelMessage"/>.</summary>
public readonly record struct GuestEnd(EndCause Cause, long Value, long Detail, string Message);

// The end of the guest: one cause, after which every guest thread leaves.
public sealed partial class LinuxPersonality
{
    private readonly Parker _endWaiter = new();
    private GuestEnd _end;
    private volatile bool _ended;
    private volatile bool _auditIsFull;
    private int _liveThreads;
    private long _endedAt;

    /// <summary>How long the guest's threads may take to leave after the end, in nanoseconds.</summary>
    private const long LeaveTime = 500_000_000;

    public bool HasEnded => _ended;

    /// <summary>
    /// The guest's first process has stopped (true) or continued: for the supervisor to do the same. Runs under
    /// TaskLock: be brief, never park.
    /// </summary>
    public Action<bool>? FirstProcessStopped { get; set; }

    /// <summary>Ends the guest. The first caller decides; from any thread.</summary>
    public void End(EndCause cause, long value, long detail) => End(new GuestEnd(cause, value, detail, ""));

    /// <summary>The VMM cannot go on: not the guest's doing.</summary>
    /// <param name="message">What an operator needs to know.</param>
    public void Fail(VmmFailure failure, int errno, string message) =>
        End(new GuestEnd(EndCause.Failed, errno, (long)failure, message));

    /// <summary>A decision could not be recorded: the thread that waits for the end ends the guest. Takes no lock.</summary>
    private void StopForAudit()
    {
        _auditIsFull = true;
        _endWaiter.Unpark();
    }

    private void End(in GuestEnd end)
    {
        lock (TaskLock)
        {
            if (_ended)
                return;
            _end = end;
            _endedAt = Clock.Monotonic;
            _ended = true;
            foreach (GuestThread? thread in _tasks.Values)
            {
                if (thread is null or { HasEnded: true })
                    continue;
                thread.SetWork(ThreadWork.Exit);
                thread.Kick();
            }
        }
        _endWaiter.Unpark();
    }

    /// <summary>Blocks until the guest has ended and its threads have left, or had the time to. One caller.</summary>
    public GuestEnd WaitForEnd()
    {
        while (!_ended)
        {
            if (_auditIsFull)
                End(EndCause.AuditFull, 0, 0);
            else
                _endWaiter.Park(Parker.Forever);
        }
        long deadline = _endedAt + LeaveTime;
        while (Volatile.Read(ref _liveThreads) > 0 && _endWaiter.Park(deadline))
        {
        }
        Tracer?.Finish();
        return _end;
    }

    /// <summary>Nanoseconds from the start of the first program to the guest's end (or until now).</summary>
    public long WallNanoseconds => _startedAt == 0 ? 0 : (_ended ? _endedAt : Clock.Monotonic) - _startedAt;

    internal void OnThreadEnded(GuestThread thread)
    {
        Platform.ReturnCpu(thread.Cpu);
        lock (TaskLock)
            _liveThreads--;
        _endWaiter.Unpark();
    }

    /// <summary>Under TaskLock.</summary>
    internal void OnProcessEnded(Process process)
    {
        if (!process.IsFirst)
            return;
        int status = process.ExitStatus;
        if (WTERMSIG(status) is var signal and not 0)
            End(EndCause.Signaled, signal, 0);
        else
            End(EndCause.Exited, WEXITSTATUS(status), 0);
    }

    /// <summary>Under TaskLock: a process whose parent is the sandbox itself has stopped or continued.</summary>
    internal void OnFirstLevelStop(Process process, bool stopped)
    {
        if (process.IsFirst)
            FirstProcessStopped?.Invoke(stopped);
    }

    /// <summary>
    /// A signal from the supervisor. Those that a terminal would send go to the first process's whole group, as they
    /// would without a sandbox; others to the process.
    /// </summary>
    public void SignalFirstProcess(int signal)
    {
        if (!SignalSet.IsValid(signal))
            return;
        lock (TaskLock)
        {
            if (!_processes.TryGetValue(FirstPid, out Process? first) || first.IsZombie)
                return;
            if (signal is SIGINT or SIGQUIT or SIGTSTP or SIGCONT or SIGHUP or SIGWINCH)
                first.Group.SendLocked(signal, SignalInfo.Kernel(signal));
            else
                first.SendSignalLocked(signal, SignalInfo.User(signal, 0, 0), null);
        }
    }
}
