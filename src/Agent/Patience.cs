using Sandbox.Host;

namespace Sandbox.Agent;

/// <summary>Waits for what kernels find a while after its driver is there.</summary>
static class Patience
{
    private const long Limit = 30 * HostClock.NanosecondsPerSecond;

    /// <returns>False when it has not come in 30 s.</returns>
    public static bool Until(Func<bool> isThere)
    {
        long start = HostClock.MonotonicNanoseconds();
        while (!isThere())
        {
            if (HostClock.MonotonicNanoseconds() - start > Limit)
                return false;
            Thread.Sleep(1);
        }
        return true;
    }
}
