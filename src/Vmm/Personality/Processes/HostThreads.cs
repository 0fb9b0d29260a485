using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Waiting;
using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Personality.Processes;

/// <summary>
/// The host threads that run guest threads. One that has finished waits for the next guest thread: a shell script's
/// many short processes cost no thread creation. As many exist as guest threads have ever run at once.
/// </summary>
public sealed class HostThreads
{
    /// <summary>System call handlers are shallow and use small buffers; only what is touched costs memory.</summary>
    private const int StackBytes = 512 << 10;

    private readonly Lock _lock = new();
    private readonly Stack<Worker> _idle = new();
    private readonly List<Worker> _all = [];

    private volatile bool _stopping;

    /// <summary>One host thread, rented for one guest thread.</summary>
    internal sealed class Worker(HostThreads owner)
    {
        private readonly Parker _parker = new();
        private GuestThread? _next;

        public ExitCounters Counters { get; } = new();

        /// <summary>Runs the guest thread to its end; then the host thread is free again.</summary>
        public void Start(GuestThread thread)
        {
            Volatile.Write(ref _next, thread);
            _parker.Unpark();
        }

        /// <summary>Makes a worker that waits look at what is asked of it.</summary>
        public void Wake() => _parker.Unpark();

        public void Work()
        {
            while (true)
            {
                while (Volatile.Read(ref _next) is null)
                {
                    if (owner._stopping)
                        return;
                    _parker.Park(Parker.Forever);
                }
                GuestThread thread = _next!;
                _next = null;
                thread.Run(Counters, owner, this);
            }
        }
    }

    /// <summary>A host thread that waits for its guest thread; null when the host gives no more.</summary>
    internal Worker? Rent()
    {
        lock (_lock)
        {
            if (_idle.TryPop(out Worker? idle))
                return idle;
        }
        Worker worker = new(this);
        try
        {
            ThreadFilter.Start("guest", ThreadRole.Guest, StackBytes, worker.Work);
        }
        catch (HostException)
        {
            return null;
        }
        lock (_lock)
            _all.Add(worker);
        return worker;
    }

    internal void Return(Worker? worker)
    {
        if (worker is null)
            return;
        lock (_lock)
            _idle.Push(worker);
    }

    /// <summary>Ends the threads as their guest threads end. For VMMs that outlive a guest: no thread starts after.</summary>
    internal void Stop()
    {
        _stopping = true;
        lock (_lock)
        {
            foreach (Worker worker in _all)
                worker.Wake();
        }
    }

    /// <summary>The times of all exits of a kind so far.</summary>
    public LatencyRecord Times(GuestExitKind kind)
    {
        LatencyRecord sum = default;
        lock (_lock)
        {
            foreach (Worker worker in _all)
                worker.Counters.AddTimes(kind, ref sum);
        }
        return sum;
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
