using Sandbox.Vmm.Personality.Waiting;

namespace Sandbox.Vmm.Personality.Processes;

/// <summary>
/// The host threads that run guest threads. One that has finished waits for the next guest thread: a shell script's
/// many short processes cost no thread creation. As many exist as guest threads have ever run at once.
/// </summary>
public sealed class HostThreads
{
    /// <summary>System call handlers are shallow and use small buffers; see the tests for the depth that is in use.</summary>
    private const int StackBytes = 512 << 10;

    private readonly Lock _lock = new();
    private readonly Stack<Worker> _idle = new();
    private readonly List<Worker> _all = [];

    private sealed class Worker
    {
        public readonly Parker Parker = new();
        public readonly ExitCounters Counters = new();
        public GuestThread? Next;
    }

    /// <summary>Starts the guest thread. Throws <see cref="OutOfMemoryException"/> when the host gives no thread.</summary>
    internal void Start(GuestThread thread)
    {
        Worker? worker;
        lock (_lock)
        {
            if (!_idle.TryPop(out worker))
            {
                worker = new Worker();
                _all.Add(worker);
            }
            else
            {
                worker.Next = thread;
                worker.Parker.Unpark();
                return;
            }
        }
        worker.Next = thread;
        Thread host = new(() => Work(worker), StackBytes) { IsBackground = true, Name = "guest" };
        host.Start();
    }

    private void Work(Worker worker)
    {
        while (true)
        {
            while (Volatile.Read(ref worker.Next) is null)
                worker.Parker.Park(Parker.Forever);
            GuestThread thread = worker.Next!;
            worker.Next = null;
            thread.Run(worker.Counters);
            lock (_lock)
                _idle.Push(worker);
        }
    }

    /// <summary>All counts so far.</summary>
    public ExitCounters Sum()
    {
        ExitCounters sum = new();
        lock (_lock)
        {
            foreach (Worker worker in _all)
                sum.Add(worker.Counters);
        }
        return sum;
    }
}
