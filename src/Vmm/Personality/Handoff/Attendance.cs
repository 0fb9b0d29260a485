using Sandbox.Host;
using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Personality.Handoff;

/// <summary>
/// Decides whose calls are attended. An attendant looks for calls of one guest thread without sleeping, which costs a
/// CPU, and saves the exit of each call. So it is given to threads whose calls come quickly one after another, gives
/// up when they no longer do, and only CPUs that the guest may use and does not are used for it.
/// </summary>
sealed class Attendance
{
    /// <summary>One for the guest, one for who answers.</summary>
    public const int MinimumCpus = 2;

    /// <summary>
    /// Calls less than so many nanoseconds apart are frequent; an attendant waits so long for the next one. A few
    /// times what an exit costs where exits are expensive.
    /// </summary>
    public const long FrequentNanoseconds = 150_000;

    private const int MaximumAttendants = 8;

    private readonly LinuxPersonality _personality;
    private readonly int _cpus;
    private readonly Attendant[] _attendants;
    private int _running;
    private int _attending;

    public Attendance(LinuxPersonality personality, int cpus)
    {
        _personality = personality;
        _cpus = cpus;
        _attendants = new Attendant[Math.Min(cpus / MinimumCpus, MaximumAttendants)];
    }

    /// <summary>CLOCK_MONOTONIC nanoseconds.</summary>
    public static long Now => HostClock.MonotonicNanoseconds();

    /// <summary>Whether one more that does not sleep would leave every running guest thread its CPU.</summary>
    public bool HasRoom => Volatile.Read(ref _running) + Volatile.Read(ref _attending) <= _cpus;

    /// <summary>Makes the attendants' threads, so that no guest thread has to wait for one to start.</summary>
    public void Start()
    {
        for (int i = 0; i < _attendants.Length; i++)
        {
            Attendant attendant = new(this, _personality);
            attendant.Start();
            Volatile.Write(ref _attendants[i], attendant);
        }
    }

    /// <summary>A guest thread enters the guest (1) or has left it (-1).</summary>
    public void CountRunning(int change) => Interlocked.Add(ref _running, change);

    public void CountAttending(int change) => Interlocked.Add(ref _attending, change);

    /// <summary>A call has arrived by an exit: whether it came soon after the one before.</summary>
    public static bool IsFrequent(GuestThread thread) => Now - thread.LastCallAt < FrequentNanoseconds;

    /// <summary>A call that arrived by an exit has been served.</summary>
    public void AfterCall(GuestThread thread, bool frequent)
    {
        thread.LastCallAt = Now;
        if (!frequent || thread.Attendant is not null || !HasRoomForTwo || !thread.Engagements.IsWorthwhile())
            return;
        foreach (ref Attendant slot in _attendants.AsSpan())
        {
            Attendant? attendant = Volatile.Read(ref slot);
            if (attendant is null || !attendant.IsFree)
                continue;
            if (thread.Cpu.Exchange is null && !thread.Cpu.TryOpenExchange())
                return;
            if (attendant.TryEngage(thread, thread.Cpu.Exchange!))
                return;
        }
    }

    /// <summary>The thread itself, about to run again, and one who attends it.</summary>
    private bool HasRoomForTwo =>
        Volatile.Read(ref _running) + Volatile.Read(ref _attending) + MinimumCpus <= _cpus;
}
