using System.Numerics;
using System.Runtime.InteropServices;
using Sandbox.Host;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// The processors that a machine guest sees, as CPUID tells: of what KVM supports only the leaves that are listed here,
/// without nested virtualization, power management and performance counters, with the topology of the guest instead of
/// the host's, and without what tells one host from another of its kind (serial number, brand, frequencies).
/// </summary>
/// <remarks>Leaves: Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E; Documentation/virt/kvm/x86/cpuid.rst.</remarks>
static class CpuTemplate
{
    private const uint LastBasicLeaf = 0xd;
    private const uint LastExtendedLeaf = 0x8000_0021;
    private const uint SignificantIndex = KvmAbi.KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

    /// <summary>In the three leaves of the processor's brand; 48 bytes, NUL-padded.</summary>
    private static ReadOnlySpan<byte> Brand => "sandbox virtual CPU\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"u8;

    /// <summary>"KVMKVMKVM": the interface of clock and counters that the guest's kernel looks for.</summary>
    private static ReadOnlySpan<byte> Signature => "KVMKVMKVM\0\0\0"u8;

    // Clock sources (0, 3), their being stable (24), no delays at I/O ports (1), ends of interrupts without an exit (6).
    private const uint KvmFeatures = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 6 | 1 << 24;

    /// <param name="supported">KVM_GET_SUPPORTED_CPUID.</param>
    /// <param name="cpu">Number of the processor and of its local APIC.</param>
    /// <param name="cpus">How many there are, 1 to <see cref="MachineLayout.MaximumVcpus"/>.</param>
    /// <param name="deadlineTimer">KVM_CAP_TSC_DEADLINE_TIMER.</param>
    public static kvm_cpuid_entry2[] Build(ReadOnlySpan<kvm_cpuid_entry2> supported, int cpu, int cpus, bool deadlineTimer)
    {
        List<kvm_cpuid_entry2> entries = [];
        foreach (kvm_cpuid_entry2 each in supported)
        {
            kvm_cpuid_entry2 entry = each;
            if (Keep(ref entry, (uint)cpu, (uint)cpus, deadlineTimer))
                entries.Add(entry);
        }
        AddTopology(entries, (uint)cpu, (uint)cpus);
        ReadOnlySpan<uint> signature = MemoryMarshal.Cast<byte, uint>(Signature);
        entries.Add(new()
        {
            function = 0x4000_0000, eax = 0x4000_0001, ebx = signature[0], ecx = signature[1], edx = signature[2],
        });
        return [.. entries];
    }

    /// <returns>False for a leaf that guests do not see.</returns>
    private static bool Keep(ref kvm_cpuid_entry2 entry, uint cpu, uint cpus, bool deadlineTimer)
    {
        switch (entry.function)
        {
            case 0x0:
                entry.eax = Math.Min(entry.eax, LastBasicLeaf);
                return true;
            case 0x1:
                entry.ebx = (entry.ebx & 0xffff) | cpu << 24 | BitOperations.RoundUpToPowerOf2(cpus) << 16;
                // DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, PDCM, and the timer, which KVM does not list.
                entry.ecx &= ~(1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 15 | 1u << 24);
                entry.ecx |= 1u << 31 | (deadlineTimer ? 1u << 24 : 0);
                // DS, ACPI, TM, PBE; HTT where there are several.
                entry.edx &= ~(1u << 21 | 1u << 22 | 1u << 28 | 1u << 29 | 1u << 31);
                entry.edx |= cpus > 1 ? 1u << 28 : 0;
                return true;
            case 0x4 when (entry.eax & 0x1f) != 0:
                // Threads that share the cache, and cores of the package, each less one.
                entry.eax = (entry.eax & 0x3fff) | Sharing(entry.eax, cpus) << 14
                    | (BitOperations.RoundUpToPowerOf2(cpus) - 1) << 26;
                return true;
            case 0x6:
                // The APIC's timer goes on in sleep; nothing else of power management.
                entry.eax &= 1 << 2;
                entry.ebx = entry.ecx = entry.edx = 0;
                return true;
            case 0x7 when entry.index == 0:
                entry.ebx &= ~(1u << 2); // SGX
                entry.ecx &= ~(1u << 30); // SGX launch control
                return true;
            case 0x2 or 0x4 or 0x7 or 0xd:
                return true;
            case 0x4000_0001:
                entry.eax &= KvmFeatures;
                entry.edx = 0;
                return true;
            case 0x8000_0000:
                entry.eax = Math.Min(entry.eax, LastExtendedLeaf);
                return true;
            case 0x8000_0001:
                // SVM, SKINIT, WDT, LWP, NodeId, the performance counters.
                entry.ecx &= ~(1u << 2 | 1u << 12 | 1u << 13 | 1u << 15 | 1u << 19 | 1u << 23 | 1u << 24 | 1u << 28);
                return true;
            case 0x8000_0002 or 0x8000_0003 or 0x8000_0004:
                ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(Brand)[(int)(4 * (entry.function - 0x8000_0002))..];
                (entry.eax, entry.ebx, entry.ecx, entry.edx) = (words[0], words[1], words[2], words[3]);
                return true;
            case 0x8000_0005 or 0x8000_0006 or 0x8000_0021:
                return true;
            case 0x8000_0007:
                // Invariant TSC; nothing else of power management.
                entry.eax = entry.ebx = entry.ecx = 0;
                entry.edx &= 1 << 8;
                return true;
            case 0x8000_0008:
                entry.ecx = (uint)CoreBits(cpus) << 12 | (cpus - 1);
                entry.edx = 0;
                return true;
            case 0x8000_001d when (entry.eax & 0x1f) != 0:
                entry.eax = (entry.eax & 0x3fff) | Sharing(entry.eax, cpus) << 14;
                return true;
            case 0x8000_001d:
                return true;
            case 0x8000_001e:
                (entry.eax, entry.ebx, entry.ecx, entry.edx) = (cpu, cpu, 0, 0);
                return true;
            default:
                return false;
        }
    }

    /// <summary>How many others have a cache in common: those of the third level and above all, others none.</summary>
    private static uint Sharing(uint eax, uint cpus) =>
        (eax >> 5 & 7) >= 3 ? BitOperations.RoundUpToPowerOf2(cpus) - 1 : 0;

    /// <summary>Bits of an APIC's number that tell cores of a package apart.</summary>
    private static int CoreBits(uint cpus) => BitOperations.Log2(BitOperations.RoundUpToPowerOf2(cpus));

    /// <summary>Leaf 0xb: one package of cores of one thread each.</summary>
    private static void AddTopology(List<kvm_cpuid_entry2> entries, uint cpu, uint cpus)
    {
        entries.Add(new() { function = 0xb, index = 0, flags = SignificantIndex, eax = 0, ebx = 1, ecx = 1 << 8, edx = cpu });
        entries.Add(new()
        {
            function = 0xb, index = 1, flags = SignificantIndex, eax = (uint)CoreBits(cpus), ebx = cpus, ecx = 2 << 8 | 1,
            edx = cpu,
        });
        entries.Add(new() { function = 0xb, index = 2, flags = SignificantIndex, ecx = 2, edx = cpu });
    }
}
