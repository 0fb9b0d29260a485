namespace Sandbox.Vmm.Devices.Console;

/// <summary>What a snapshot keeps of a console beside its queues.</summary>
/// <param name="OpenPorts">For each port, whether the guest listens.</param>
public sealed record ConsoleState(IReadOnlyList<bool> OpenPorts);
