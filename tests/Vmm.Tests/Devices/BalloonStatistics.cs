using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Balloon;

namespace Sandbox.Vmm.Tests.Devices;

static class BalloonStatistics
{
    /// <summary>What the guest said last, as its record tells it.</summary>
    public static ulong[] Statistics(this BalloonDevice device)
    {
        BalloonRecord record = default;
        device.Write(ref record);
        return ((ReadOnlySpan<ulong>)record.Statistics).ToArray();
    }
}
