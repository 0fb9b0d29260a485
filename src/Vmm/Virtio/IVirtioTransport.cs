namespace Sandbox.Vmm.Virtio;

/// <summary>What a device tells its driver, by whatever transport. Any thread may call; nothing here waits.</summary>
interface IVirtioTransport
{
    /// <summary>Chains were returned to the driver, which wants to hear of it.</summary>
    void InterruptUsed();

    /// <summary>The device's configuration changed.</summary>
    void InterruptConfiguration();

    /// <summary>The device cannot go on until the driver resets it (virtio 1.2, 2.1.2).</summary>
    void NeedReset();
}
