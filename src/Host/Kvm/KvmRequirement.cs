using static Sandbox.Host.KvmAbi;

namespace Sandbox.Host;

/// <summary>One capability that KVM must have for a guest to run: what is refused at start-up and shown by doctor.</summary>
/// <param name="Capability">For KVM_CHECK_EXTENSION.</param>
/// <param name="Bits">Bits that the answer must have; 0 when any answer above zero will do.</param>
/// <param name="Purpose">What it is for, in a few words.</param>
public sealed record KvmRequirement(int Capability, string Name, int Bits, string Purpose)
{
    /// <summary>The only version of the interface there is: Documentation/virt/kvm/api.rst, KVM_GET_API_VERSION.</summary>
    public const int ApiVersion = 12;

    public static IReadOnlyList<KvmRequirement> All { get; } =
    [
        new(KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", 0, "guest memory"),
        new(KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", 0, "the guest's instruction set"),
        new(KVM_CAP_XSAVE, "KVM_CAP_XSAVE", 0, "vector registers"),
        new(KVM_CAP_XCRS, "KVM_CAP_XCRS", 0, "vector registers"),
        new(KVM_CAP_SYNC_REGS, "KVM_CAP_SYNC_REGS", KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS, "fast system calls"),
    ];

    /// <summary>What a machine guest needs on top.</summary>
    public static IReadOnlyList<KvmRequirement> MachineGuests { get; } =
    [
        new(KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP", 0, "interrupts of machine guests"),
        new(KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING", 0, "interrupts of machine guests"),
        new(KVM_CAP_IRQFD, "KVM_CAP_IRQFD", 0, "interrupts of machine guests"),
        new(KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD", 0, "devices of machine guests"),
        new(KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM", 0, "devices of machine guests"),
        new(KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR", 0, "memory of machine guests"),
        new(KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR", 0, "memory of machine guests"),
        new(KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR", 0, "registers of machine guests"),
        new(KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER", 0, "registers of machine guests"),
    ];

    /// <param name="answer">Of KVM_CHECK_EXTENSION.</param>
    public bool IsMetBy(int answer) => Bits == 0 ? answer > 0 : answer > 0 && (answer & Bits) == Bits;
}
