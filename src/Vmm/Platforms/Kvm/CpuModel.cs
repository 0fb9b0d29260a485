using Sandbox.Host;

namespace Sandbox.Vmm.Platforms.Kvm;

/// <summary>
/// The processor that guests see: what KVM supports, less what a process guest must not or cannot use. What CPUID
/// announces, XCR0 and CR4 agree with one another; on hosts where CPUID at CPL 3 is not intercepted the guest sees
/// the host's own leaves, with which they also agree.
/// </summary>
sealed class CpuModel
{
    // x87, SSE, AVX, and the three AVX-512 parts: what KVM_GET_XSAVE's 4,096 bytes hold in the standard format.
    private const ulong UsableComponents = 0b1110_0111;

    private const ulong Cr4Base = (1 << 5) | (1 << 9) | (1 << 10) | (1 << 18); // PAE OSFXSR OSXMMEXCPT OSXSAVE
    private const ulong Cr4Umip = 1 << 11;
    private const ulong Cr4FsGsBase = 1 << 16;
    private const ulong Cr4Smep = 1 << 20;
    private const ulong Cr4Smap = 1 << 21;

    public CpuModel(kvm_cpuid_entry2[] supported)
    {
        List<kvm_cpuid_entry2> entries = new(supported.Length);
        foreach (kvm_cpuid_entry2 each in supported)
        {
            kvm_cpuid_entry2 entry = each;
            switch (entry.function, entry.index)
            {
                case (0x1, _):
                    entry.ecx &= ~(1u << 5); // VMX
                    break;
                case (0x7, 0):
                    if ((entry.ebx & (1 << 7)) != 0)
                        Cr4 |= Cr4Smep;
                    if ((entry.ebx & (1 << 20)) != 0)
                        Cr4 |= Cr4Smap;
                    if ((entry.ebx & (1 << 0)) != 0)
                        Cr4 |= Cr4FsGsBase;
                    if ((entry.ecx & (1 << 2)) != 0)
                        Cr4 |= Cr4Umip;
                    entry.ecx &= ~((1u << 3) | (1u << 4)); // protection keys need a PKRU component
                    break;
                case (0xd, 0):
                    ExtendedStateComponents = (entry.eax | ((ulong)entry.edx << 32)) & UsableComponents;
                    entry.eax = (uint)ExtendedStateComponents;
                    entry.edx = 0;
                    break;
                case (0x8000_0001, _):
                    entry.ecx &= ~(1u << 2); // SVM
                    break;
                case ( >= 0x4000_0000 and < 0x5000_0000, _):
                    continue;
            }
            entries.Add(entry);
        }
        Entries = [.. entries];
        if ((ExtendedStateComponents & 0b11) != 0b11)
            ExtendedStateComponents = 0b11;
    }

    public kvm_cpuid_entry2[] Entries { get; }

    public ulong Cr4 { get; } = Cr4Base;

    /// <summary>XCR0.</summary>
    public ulong ExtendedStateComponents { get; } = 0b11;
}
