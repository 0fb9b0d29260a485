namespace Sandbox.Vmm.Devices;

/// <summary>
/// Registers that a guest reads and writes, in memory or in port space. Calls come from any vCPU's thread, several at
/// once. The guest chooses everything: a device answers whatever arrives, and throws nothing.
/// </summary>
public interface IBusDevice
{
    /// <summary>A load. All of <paramref name="data"/> is written.</summary>
    /// <param name="offset">From the device's base; the access lies within the device's range.</param>
    /// <param name="data">1, 2, 4 or 8 bytes, little endian.</param>
    void Read(ulong offset, Span<byte> data);

    /// <summary>A store.</summary>
    /// <param name="offset">From the device's base; the access lies within the device's range.</param>
    /// <param name="data">1, 2, 4 or 8 bytes, little endian.</param>
    void Write(ulong offset, ReadOnlySpan<byte> data);
}
