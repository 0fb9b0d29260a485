using Sandbox.Host;
using Sandbox.Vmm.Personality.Signals;

namespace Sandbox.Vmm.Personality;

// The table of processes, threads and groups. Guarded by TaskLock.
public sealed partial class LinuxPersonality
{
    /// <summary>
    /// Pid 1 is the sandbox itself: it has no guest process, takes in orphans and reaps them. So no guest program
    /// gets the special treatment that Linux gives to pid 1 (signals without a handler are lost on it).
    /// </summary>
    public const int SandboxPid = 1;

    /// <summary>The program that the guest was started for.</summary>
    public const int FirstPid = 2;

    /// <summary>kernel.pid_max: pids are below.</summary>
    public const int PidLimit = 32768;

    private readonly Dictionary<int, GuestThread?> _tasks = [];
    private readonly Dictionary<int, Process> _processes = [];
    private readonly Dictionary<int, ProcessGroup> _groups = [];
    private readonly Dictionary<int, int> _groupsOfSession = [];
    private int _lastPid = SandboxPid;

    /// <summary>Signals queued with information, in the whole guest; also every process's RLIMIT_SIGPENDING.</summary>
    public const int QueuedSignalLimit = 4096;

    internal QueuedSignalPool QueuedSignals { get; } = new(QueuedSignalLimit);

    /// <summary>Processes started since the guest began, for /proc/stat and the result record.</summary>
    public long ProcessesStarted { get; private set; }

    /// <summary>Threads and zombies that exist now: what --processes limits.</summary>
    public int TaskCount
    {
        get
        {
            lock (TaskLock)
                return _tasks.Count;
        }
    }

    /// <summary>The living process or zombie with this pid, or null.</summary>
    public Process? FindProcess(int pid)
    {
        lock (TaskLock)
            return _processes.GetValueOrDefault(pid);
    }

    /// <summary>The living thread with this tid, or null.</summary>
    public GuestThread? FindThread(int tid)
    {
        lock (TaskLock)
            return _tasks.GetValueOrDefault(tid) is { HasEnded: false } thread ? thread : null;
    }

    public ProcessGroup? FindGroup(int id)
    {
        lock (TaskLock)
            return _groups.GetValueOrDefault(id);
    }

    /// <summary>Living processes and zombies in the order of their pids, for /proc.</summary>
    public Process[] ListProcesses()
    {
        lock (TaskLock)
        {
            Process[] list = [.. _processes.Values];
            Array.Sort(list, static (a, b) => a.Pid.CompareTo(b.Pid));
            return list;
        }
    }

    /// <summary>Living threads of a process in the order of their tids, for /proc/PID/task.</summary>
    public GuestThread[] ListThreads(Process process)
    {
        List<GuestThread> list = [];
        lock (TaskLock)
        {
            for (GuestThread? thread = process.FirstThread; thread is not null; thread = thread.NextSibling)
                list.Add(thread);
        }
        list.Sort(static (a, b) => a.Tid.CompareTo(b.Tid));
        return [.. list];
    }

    /// <summary>Signals that kill(2) has sent to everybody, ever. Guarded by TaskLock.</summary>
    internal long SignalsToAll { get; set; }

    /// <summary>Sends a signal to every member. False when there is no such group.</summary>
    public bool SignalProcessGroup(int groupId, int signal, in siginfo_t info)
    {
        lock (TaskLock)
        {
            if (!_groups.TryGetValue(groupId, out ProcessGroup? group))
                return false;
            group.SendLocked(signal, info);
            return true;
        }
    }

    /// <summary>Reserves a pid or tid. 0 when the guest may have no more processes and threads.</summary>
    internal int ReservePid()
    {
        lock (TaskLock)
        {
            if (_tasks.Count >= Plan.Limits.Processes)
                return 0;
            for (int tries = 0; tries < PidLimit; tries++)
            {
                _lastPid = _lastPid + 1 >= PidLimit ? FirstPid : _lastPid + 1;
                if (_tasks.ContainsKey(_lastPid) || _groups.ContainsKey(_lastPid)
                    || _groupsOfSession.ContainsKey(_lastPid))
                    continue;
                _tasks.Add(_lastPid, null);
                return _lastPid;
            }
            return 0;
        }
    }

    internal void ReleasePid(int pid)
    {
        lock (TaskLock)
            _tasks.Remove(pid);
    }

    /// <summary>Under TaskLock: a reserved tid gets its thread.</summary>
    internal void AddTask(GuestThread thread)
    {
        _tasks[thread.Tid] = thread;
        if (thread.Tid == thread.Process.Pid && _processes.TryAdd(thread.Tid, thread.Process))
            ProcessesStarted++;
        _liveThreads++;
    }

    /// <summary>Under TaskLock: a thread that is not its process's leader has ended.</summary>
    internal void ForgetTask(int tid) => _tasks.Remove(tid);

    /// <summary>Under TaskLock: after execve in another thread than the leader, that thread has the pid as its tid.</summary>
    internal void Promote(GuestThread thread)
    {
        Process process = thread.Process;
        if (thread.Tid == process.Pid)
            return;
        _tasks.Remove(thread.Tid);
        thread.Tid = process.Pid;
        process.Leader = thread;
        _tasks[process.Pid] = thread;
    }

    internal void ForgetProcess(Process process)
    {
        _tasks.Remove(process.Pid);
        if (_processes.Remove(process.Pid))
            _endedProcessesCpu += process.CpuNanoseconds;
    }

    internal ProcessGroup CreateGroup(int id, Session session)
    {
        ProcessGroup group = new(id, session);
        _groups.Add(id, group);
        _groupsOfSession[session.Id] = _groupsOfSession.GetValueOrDefault(session.Id) + 1;
        return group;
    }

    internal void ForgetGroup(ProcessGroup group)
    {
        _groups.Remove(group.Id);
        int left = _groupsOfSession[group.Session.Id] - 1;
        if (left == 0)
            _groupsOfSession.Remove(group.Session.Id);
        else
            _groupsOfSession[group.Session.Id] = left;
    }
}
