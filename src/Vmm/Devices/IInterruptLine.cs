namespace Sandbox.Vmm.Devices;

/// <summary>How a device interrupts the guest. Any thread may call.</summary>
public interface IInterruptLine
{
    /// <summary>One edge: the guest's handler runs, unless one edge is pending already.</summary>
    void Raise();
}
