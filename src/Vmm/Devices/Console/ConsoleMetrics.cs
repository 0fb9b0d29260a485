using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Console;

/// <summary>What a console counts. One thread counts.</summary>
public sealed class ConsoleMetrics(int queues) : DeviceMetrics(queues)
{
    public long BytesToGuest { get; internal set; }

    public long BytesFromGuest { get; internal set; }

    /// <summary>Messages about ports that made no sense.</summary>
    public long Refused { get; internal set; }

    public override void Report(Action<string, long> tell)
    {
        base.Report(tell);
        tell("to_guest_bytes", BytesToGuest);
        tell("from_guest_bytes", BytesFromGuest);
        tell("messages_refused", Refused);
    }
}
