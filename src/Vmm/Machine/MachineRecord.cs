using System.Text.Json;
using Sandbox.Host;
using Sandbox.Vmm.Personality;

namespace Sandbox.Vmm.Machine;

/// <summary>What --json says about a machine guest that has ended. Times in microseconds, sizes in bytes.</summary>
static class MachineRecord
{
    /// <returns>0, or the negative errno of the write that failed.</returns>
    public static long Write(FileDescriptor output, MachineSession session, in GuestEnd end, StartPhases phases)
    {
        GuestEnd ended = end;
        return ResultRecord.Write(output, json => Write(json, session, ended, phases));
    }

    private static void Write(Utf8JsonWriter json, MachineSession session, in GuestEnd end, StartPhases phases)
    {
        VirtualMachine machine = session.Machine;
        ResultRecord.WriteEnd(json, end);
        json.WriteNumber("wallMicroseconds", session.WallNanoseconds / 1000);
        json.WriteNumber("ramBytes", machine.Ram.TotalBytes);
        json.WriteNumber("vcpus", machine.Vcpus.Count);
        json.WriteNumber("outputBytes", session.OutputBytes);
        json.WriteNumber("lostBytes", session.LostBytes);
        ResultRecord.WritePhases(json, phases);

        json.WriteStartObject("exits");
        for (int reason = 0; reason < machine.Vcpus[0].Exits.Length; reason++)
        {
            long count = machine.Vcpus.Sum(vcpu => vcpu.Exits[reason]);
            if (count > 0)
                json.WriteNumber(NameOf(reason), count);
        }
        json.WriteEndObject();
        json.WriteNumber("refusedRegisterAccesses", machine.Vcpus.Sum(vcpu => vcpu.RefusedMsrs));
        json.WriteNumber("strayReads", machine.Registers.StrayReads + machine.Ports.StrayReads);
        json.WriteNumber("strayWrites", machine.Registers.StrayWrites + machine.Ports.StrayWrites);
    }

    private static string NameOf(int reason) => reason switch
    {
        KvmAbi.KVM_EXIT_IO => "io",
        KvmAbi.KVM_EXIT_MMIO => "mmio",
        KvmAbi.KVM_EXIT_SHUTDOWN => "shutdown",
        KvmAbi.KVM_EXIT_SYSTEM_EVENT => "systemEvent",
        KvmAbi.KVM_EXIT_X86_RDMSR => "readMsr",
        KvmAbi.KVM_EXIT_X86_WRMSR => "writeMsr",
        KvmAbi.KVM_EXIT_INTERNAL_ERROR => "internalError",
        _ => $"exit{reason}",
    };
}
