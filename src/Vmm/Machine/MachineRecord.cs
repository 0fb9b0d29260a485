using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Net;

namespace Sandbox.Vmm.Machine;

/// <summary>What was counted of a machine guest that has ended.</summary>
static class MachineRecord
{
    public static GuestRecord Of(MachineSession session, StartPhases phases)
    {
        VirtualMachine machine = session.Machine;
        GuestRecord record = new()
        {
            Version = GuestRecord.CurrentVersion,
            WallNanoseconds = (ulong)session.WallNanoseconds,
            MemoryLimitBytes = machine.Ram.TotalBytes,
            OutputBytes = (ulong)session.OutputBytes,
            Vcpus = (ulong)machine.Vcpus.Count,
            LostBytes = (ulong)session.LostBytes,
            RefusedRegisterAccesses = (ulong)machine.Vcpus.Sum(vcpu => vcpu.RefusedMsrs),
            StrayReads = (ulong)(machine.Registers.StrayReads + machine.Ports.StrayReads),
            StrayWrites = (ulong)(machine.Registers.StrayWrites + machine.Ports.StrayWrites),
        };
        record.PacketsSent = (ulong)session.Packets(NetCount.Sent);
        record.PacketsReceived = (ulong)session.Packets(NetCount.Received);
        record.PacketsSpoofed = (ulong)(session.Packets(NetCount.SpoofedMac) + session.Packets(NetCount.SpoofedAddress));
        record.PacketsDropped = (ulong)(session.Packets(NetCount.Malformed) + session.Packets(NetCount.HostDropped)
            + session.Packets(NetCount.TooLong));
        ResultRecord.WritePhases(ref record, phases);
        for (int reason = 0; reason < GuestRecord.MachineExitLimit; reason++)
            record.MachineExits[reason] = (ulong)machine.Vcpus.Sum(vcpu => vcpu.Exits[reason]);
        return record;
    }
}
