using Sandbox.Host;

namespace Sandbox.Vmm.Virtio;

/// <summary>
/// How long a worker still looks at a queue that is empty before it sleeps. Waking it costs more than most requests: a
/// driver that asks again at once finds it awake, and one that sees that does not even notify. The window opens while
/// sleeps are short and closes with the first that is not, so that an idle guest costs nothing.
/// </summary>
sealed class PollWindow
{
    /// <summary>About what an exit and a wake-up cost where both are dear: 50 us.</summary>
    private const long LongestNanoseconds = 50_000;

    private const long FirstNanoseconds = 10_000;

    private long _nanoseconds;

    /// <summary>Whether there is a processor for the driver meanwhile.</summary>
    private static bool IsWorthwhile { get; } = Environment.ProcessorCount > 1;

    public long Nanoseconds => _nanoseconds;

    /// <summary>A notification has ended a sleep of this length.</summary>
    public void Slept(long nanoseconds)
    {
        if (nanoseconds > LongestNanoseconds || !IsWorthwhile)
            _nanoseconds = 0;
        else
            _nanoseconds = Math.Clamp(2 * _nanoseconds, FirstNanoseconds, LongestNanoseconds);
    }

    /// <summary>Looks at a queue, and at what is under way for it, for as long as the window is open.</summary>
    /// <returns>Whether something is there.</returns>
    public bool Look(VirtioDevice device, int queue, DeviceWorker worker)
    {
        if (_nanoseconds == 0)
            return false;
        long end = HostClock.MonotonicNanoseconds() + _nanoseconds;
        do
        {
            for (int i = 0; i < 16; i++)
            {
                if (device.Queues[queue].HasMore || device.HasEnded(queue))
                    return true;
                Thread.SpinWait(1);
            }
        }
        while (!worker.MustYield && HostClock.MonotonicNanoseconds() < end);
        return false;
    }
}
