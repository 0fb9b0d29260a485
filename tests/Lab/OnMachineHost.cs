namespace Sandbox.Lab;

/// <summary>
/// Tests that take turns on <see cref="Laboratory.MachineHost"/>: it has one processor, and limits of time are for one case.
/// </summary>
[CollectionDefinition(nameof(OnMachineHost))]
public sealed class OnMachineHost;
