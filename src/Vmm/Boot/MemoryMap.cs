using Sandbox.Vmm.Machine;

namespace Sandbox.Vmm.Boot;

/// <summary>What kernels are told of the guest's memory, in ascending order.</summary>
static class MemoryMap
{
    public const uint Usable = 1, Reserved = 2;

    /// <param name="low">Bytes of RAM from 0 on, at least 1 MiB.</param>
    /// <param name="high">Bytes of RAM from 4 GiB on.</param>
    public static (ulong Start, ulong Length, uint Type)[] Of(ulong low, ulong high)
    {
        List<(ulong, ulong, uint)> map =
        [
            (0, MachineLayout.LowRamEnd, Usable),
            (MachineLayout.LowRamEnd, MachineLayout.KernelStart - MachineLayout.LowRamEnd, Reserved),
            (MachineLayout.KernelStart, low - MachineLayout.KernelStart, Usable),
            (MachineLayout.IdentityMapAddress, MachineLayout.TssAddress + 0x3000 - MachineLayout.IdentityMapAddress,
                Reserved),
        ];
        if (high > 0)
            map.Add((MachineLayout.HighRamStart, high, Usable));
        return [.. map];
    }
}
