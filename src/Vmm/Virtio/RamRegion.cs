using Sandbox.Vmm.Memory;

namespace Sandbox.Vmm.Virtio;

/// <summary>A piece of the guest's RAM and where it is in the VMM: one memory slot.</summary>
/// <param name="start">Guest-physical; a multiple of a page.</param>
/// <param name="host">The first byte in the VMM; a multiple of a page. Mapped for as long as devices exist.</param>
/// <param name="length">Bytes; a multiple of a page, more than 0.</param>
public readonly unsafe struct RamRegion(PhysicalAddress start, byte* host, ulong length)
{
    public PhysicalAddress Start { get; } = start;
    public byte* Host { get; } = host;
    public ulong Length { get; } = length;
}
