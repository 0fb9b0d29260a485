namespace Sandbox.Vmm.Machine;

/// <summary>
/// The model-specific registers that a machine guest may read and write; every other access raises #GP in the guest and
/// is counted. KVM emulates each of these; none is the host's own. The registers of the x2APIC are not subject to filters.
/// </summary>
/// <remarks>Names and numbers: Intel SDM volume 4, AMD APM volume 2 appendix A, Documentation/virt/kvm/x86/msr.rst.</remarks>
static class MsrPolicy
{
    /// <summary>First registers and numbers of the ranges that are looked at; nothing else is ever allowed.</summary>
    public static IReadOnlyList<(uint First, int Count)> Ranges { get; } =
        [(0x0, 0x800), (0xd80, 0x80), (0x4b56_4d00, 0x40), (0xc000_0080, 0x100), (0xc001_0000, 0x180), (0xc001_1000, 0x100)];

    private static readonly (uint First, uint Last)[] s_allowed =
    [
        (0x10, 0x10), // IA32_TIME_STAMP_COUNTER
        (0x17, 0x17), // IA32_PLATFORM_ID
        (0x1b, 0x1b), // IA32_APIC_BASE
        (0x3a, 0x3b), // IA32_FEATURE_CONTROL, IA32_TSC_ADJUST
        (0x48, 0x49), // IA32_SPEC_CTRL, IA32_PRED_CMD
        (0x8b, 0x8b), // IA32_BIOS_SIGN_ID: the microcode's revision, by which kernels know what is mended
        (0xfe, 0xfe), // IA32_MTRRCAP
        (0x10a, 0x10b), // IA32_ARCH_CAPABILITIES, IA32_FLUSH_CMD
        (0x122, 0x122), // IA32_TSX_CTRL
        (0x174, 0x176), // IA32_SYSENTER_CS, _ESP, _EIP
        (0x179, 0x17b), // IA32_MCG_CAP, _STATUS, _CTL
        (0x1a0, 0x1a0), // IA32_MISC_ENABLE
        (0x1d9, 0x1d9), // IA32_DEBUGCTL
        (0x200, 0x20f), // variable MTRRs
        (0x250, 0x250), (0x258, 0x259), (0x268, 0x26f), // fixed MTRRs
        (0x277, 0x277), // IA32_PAT
        (0x2ff, 0x2ff), // IA32_MTRR_DEF_TYPE
        (0x400, 0x47f), // machine-check banks
        (0x6e0, 0x6e0), // IA32_TSC_DEADLINE
        (0xda0, 0xda0), // IA32_XSS
        (0x11, 0x12), (0x4b56_4d00, 0x4b56_4d01), // KVM's clock, in its old and its new place
        (0x4b56_4d04, 0x4b56_4d04), // KVM's ends of interrupts
        (0xc000_0080, 0xc000_0084), // EFER, STAR, LSTAR, CSTAR, FMASK
        (0xc000_00e7, 0xc000_00e8), // MPERF and APERF, read-only copies
        (0xc000_0100, 0xc000_0103), // FS.base, GS.base, KernelGSbase, TSC_AUX
        (0xc001_0010, 0xc001_0010), // SYSCFG
        (0xc001_0015, 0xc001_0015), // HWCR
        (0xc001_001f, 0xc001_001f), // NB_CFG
        (0xc001_0055, 0xc001_0055), // interrupts pending
        (0xc001_0140, 0xc001_0141), // which errata are mended
        (0xc001_011f, 0xc001_011f), // VIRT_SPEC_CTRL
        (0xc001_1029, 0xc001_1029), // DE_CFG: LFENCE is serializing
    ];

    public static bool Allows(uint register)
    {
        foreach ((uint first, uint last) in s_allowed)
            if (register >= first && register <= last)
                return true;
        return false;
    }

    /// <summary>One bit for each register of a range, as KVM_X86_SET_MSR_FILTER takes it: 1 allows.</summary>
    public static byte[] Bitmap(uint first, int count)
    {
        byte[] bitmap = new byte[count / 8];
        for (int i = 0; i < count; i++)
            if (Allows(first + (uint)i))
                bitmap[i / 8] |= (byte)(1 << i % 8);
        return bitmap;
    }
}
