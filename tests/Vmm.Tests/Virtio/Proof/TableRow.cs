namespace Sandbox.Vmm.Tests.Virtio.Proof;

/// <summary>A row of docs/virtio.md.</summary>
/// <param name="Name">What tests call it.</param>
/// <param name="Text">In our own words.</param>
/// <param name="Counts">The counts of DeviceCounters that show it, if any; see <see cref="KnownFlaws"/>.</param>
/// <param name="Without">Why no test is needed; null where one is.</param>
sealed record TableRow(string Name, string Text, string Counts = "", string? Without = null);
