using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Machine;

/// <summary>The RAM of a machine guest: one anonymous mapping, shown in one piece or, around the hole, in two.</summary>
public sealed unsafe class MachineRam : IDisposable
{
    private readonly MemoryMapping _memory;

    /// <param name="bytes">Whole pages, at least <see cref="MachineLayout.MinimumRam"/>.</param>
    /// <param name="slots">The virtual machine's; null for RAM that no processor sees.</param>
    /// <exception cref="HostException">The host refused.</exception>
    public MachineRam(ulong bytes, IMemorySlots? slots)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, MachineLayout.MinimumRam);
        _memory = MemoryMapping.ReserveAligned((nuint)bytes, Page.LargeSize, Libc.PROT_READ | Libc.PROT_WRITE, "guest RAM");
        // Both spare work; without them all is the same.
        _ = _memory.Advise(0, (nuint)bytes, Libc.MADV_HUGEPAGE);
        _ = _memory.Advise(0, (nuint)bytes, Libc.MADV_DONTDUMP);
        LowBytes = Math.Min(bytes, MachineLayout.HoleStart);
        HighBytes = bytes - LowBytes;
        RamRegion low = new(default, _memory.Address, LowBytes);
        Memory = HighBytes == 0
            ? new GuestRam(low)
            : new GuestRam(low, new RamRegion(new PhysicalAddress(MachineLayout.HighRamStart), _memory.Address + LowBytes, HighBytes));
        slots?.Add(low.Start, low.Host, low.Length);
        if (HighBytes != 0)
            slots?.Add(new PhysicalAddress(MachineLayout.HighRamStart), _memory.Address + LowBytes, HighBytes);
    }

    /// <summary>The one way to it.</summary>
    public GuestRam Memory { get; }

    /// <summary>Bytes from address 0 on.</summary>
    public ulong LowBytes { get; }

    /// <summary>Bytes from <see cref="MachineLayout.HighRamStart"/> on.</summary>
    public ulong HighBytes { get; }

    public void Dispose() => _memory.Dispose();
}
