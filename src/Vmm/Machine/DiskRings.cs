using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Block;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// The rings of a machine guest's disks. They are made, and held to the disks' files, before the filters: those let
/// none be made, and none be changed.
/// </summary>
static class DiskRings
{
    /// <param name="descriptors">The plan's; they stay the caller's.</param>
    /// <returns>For each disk, one for each queue; none where the host's kernel has none for this process.</returns>
    /// <exception cref="HostException">It has, but no memory for them.</exception>
    public static IReadOnlyList<BlockRing>[] Create(GuestMachine machine, int vcpus, FileDescriptor[] descriptors) =>
        [.. machine.Disks.Select(disk => ForDisk(descriptors[disk.Descriptor], MachineLayout.DiskQueues(vcpus)))];

    private static List<BlockRing> ForDisk(FileDescriptor image, int queues)
    {
        List<BlockRing> rings = [];
        while (rings.Count < queues && BlockRing.TryCreate(image) is { } ring)
            rings.Add(ring);
        if (rings.Count == queues)
            return rings;
        rings.ForEach(ring => ring.Dispose());
        return [];
    }
}
