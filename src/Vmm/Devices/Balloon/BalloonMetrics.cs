using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Balloon;

/// <summary>What a balloon counts. One thread counts.</summary>
public sealed class BalloonMetrics() : DeviceMetrics(queues: 4)
{
    /// <summary>Pages that were put into the balloon.</summary>
    public long Inflated { get; internal set; }

    /// <summary>Pages that were taken out.</summary>
    public long Deflated { get; internal set; }

    /// <summary>Pages that are no RAM, or that the host would not take back.</summary>
    public long Refused { get; internal set; }

    /// <summary>Bytes of free memory that went back to the host.</summary>
    public long ReportedBytes { get; internal set; }

    public override void Report(Action<string, long> tell)
    {
        base.Report(tell);
        tell("pages_inflated", Inflated);
        tell("pages_deflated", Deflated);
        tell("pages_refused", Refused);
        tell("reported_bytes", ReportedBytes);
    }
}
