namespace Sandbox.Vmm.Devices.Serial;

/// <summary>Where a serial port's bytes go. Does not wait.</summary>
public interface ISerialOutput
{
    /// <summary>Whether the next byte will be taken.</summary>
    bool HasRoom { get; }

    /// <returns>False when the byte is lost: there was no room.</returns>
    bool TrySend(byte value);
}
