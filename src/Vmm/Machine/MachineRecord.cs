using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Machine;

/// <summary>What has been counted of a machine guest.</summary>
static class MachineRecord
{
    /// <param name="record">Empty but for what all records have.</param>
    public static void Write(ref GuestRecord record, MachineSession session)
    {
        VirtualMachine machine = session.Machine;
        record.WallNanoseconds = (ulong)session.WallNanoseconds;
        record.MemoryLimitBytes = machine.Ram.TotalBytes;
        record.OutputBytes = (ulong)session.OutputBytes;
        record.Vcpus = (ulong)machine.Vcpus.Count;
        record.LostBytes = (ulong)session.LostBytes;
        record.RefusedRegisterAccesses = (ulong)machine.Vcpus.Sum(vcpu => vcpu.RefusedMsrs);
        record.StrayReads = (ulong)(machine.Registers.StrayReads + machine.Ports.StrayReads);
        record.StrayWrites = (ulong)(machine.Registers.StrayWrites + machine.Ports.StrayWrites);
        for (int reason = 0; reason < GuestRecord.MachineExitLimit; reason++)
            foreach (MachineVcpu vcpu in machine.Vcpus)
                record.MachineExitTimes[reason].Add(vcpu.ExitTimes[reason].Read());
        foreach (VirtioDevice device in session.Devices.Take(GuestRecord.DeviceLimit))
            device.Metrics.Write(ref record.Devices[(int)record.DeviceCount++], KindOf(device));
        session.Balloon?.Write(ref record.Balloon);
        foreach (kvm_cpuid_entry2 leaf in machine.Vcpus[0].Cpuid.Take(GuestRecord.CpuidLimit))
            record.Cpuid[(int)record.CpuidCount++] = new CpuidRecord
            {
                Leaf = leaf.function, Index = leaf.index, Eax = leaf.eax, Ebx = leaf.ebx, Ecx = leaf.ecx, Edx = leaf.edx,
            };
    }

    internal static VirtioKind KindOf(VirtioDevice device) => device.Type switch
    {
        VirtioAbi.VIRTIO_ID_BLOCK => VirtioKind.Block,
        VirtioAbi.VIRTIO_ID_NET => VirtioKind.Net,
        VirtioAbi.VIRTIO_ID_CONSOLE => VirtioKind.Console,
        VirtioAbi.VIRTIO_ID_VSOCK => VirtioKind.Vsock,
        VirtioAbi.VIRTIO_ID_RNG => VirtioKind.Rng,
        VirtioAbi.VIRTIO_ID_BALLOON => VirtioKind.Balloon,
        _ => throw new ArgumentOutOfRangeException(nameof(device), device.Name, "a kind of device that no record has"),
    };
}
