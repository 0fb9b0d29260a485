using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Vsock;

/// <summary>What a socket device counts. One thread counts.</summary>
public sealed class VsockMetrics() : DeviceMetrics(queues: 3)
{
    /// <summary>Connections that were opened, by either side.</summary>
    public long Opened { get; internal set; }

    /// <summary>Connections that were refused: too many, nobody there, or not in time.</summary>
    public long Refused { get; internal set; }

    /// <summary>Packets of the guest that belong to nothing, or break a rule, and were answered with a reset.</summary>
    public long PacketsReset { get; internal set; }

    /// <summary>Such packets that were not even answered: the guest takes no answers.</summary>
    public long Dropped { get; internal set; }

    public long BytesToGuest { get; internal set; }

    public long BytesFromGuest { get; internal set; }

    public override void Report(Action<string, long> tell)
    {
        base.Report(tell);
        tell("connections_opened", Opened);
        tell("connections_refused", Refused);
        tell("packets_reset", PacketsReset);
        tell("packets_dropped", Dropped);
        tell("to_guest_bytes", BytesToGuest);
        tell("from_guest_bytes", BytesFromGuest);
    }
}
