using System.Runtime.CompilerServices;

namespace Sandbox.Host;

/// <summary>ioctl numbers of /dev/kvm, VM and vCPU descriptors: linux/kvm.h.</summary>
public static unsafe partial class KvmAbi
{
    /// <summary>asm-generic/ioctl.h. The size is the argument's, 0 where it is a plain number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Number(uint direction, uint nr, int size = 0) =>
        direction << Libc._IOC_DIRSHIFT | (uint)size << Libc._IOC_SIZESHIFT
        | KVMIO << Libc._IOC_TYPESHIFT | nr << Libc._IOC_NRSHIFT;

    private const uint None = Libc._IOC_NONE;
    private const uint In = Libc._IOC_WRITE;
    private const uint Out = Libc._IOC_READ;

    // /dev/kvm
    public static uint KVM_GET_API_VERSION => Number(None, 0x00);
    public static uint KVM_CREATE_VM => Number(None, 0x01);
    public static uint KVM_GET_MSR_INDEX_LIST => Number(In | Out, 0x02, sizeof(kvm_msr_list));
    public static uint KVM_CHECK_EXTENSION => Number(None, 0x03);
    public static uint KVM_GET_VCPU_MMAP_SIZE => Number(None, 0x04);
    public static uint KVM_GET_SUPPORTED_CPUID => Number(In | Out, 0x05, sizeof(kvm_cpuid2));
    public static uint KVM_GET_EMULATED_CPUID => Number(In | Out, 0x09, sizeof(kvm_cpuid2));
    public static uint KVM_GET_MSR_FEATURE_INDEX_LIST => Number(In | Out, 0x0a, sizeof(kvm_msr_list));

    // VM
    public static uint KVM_CREATE_VCPU => Number(None, 0x41);
    public static uint KVM_GET_DIRTY_LOG => Number(In, 0x42, sizeof(kvm_dirty_log));
    public static uint KVM_SET_NR_MMU_PAGES => Number(None, 0x44);
    public static uint KVM_GET_NR_MMU_PAGES => Number(None, 0x45);
    public static uint KVM_SET_USER_MEMORY_REGION => Number(In, 0x46, sizeof(kvm_userspace_memory_region));
    public static uint KVM_SET_TSS_ADDR => Number(None, 0x47);
    public static uint KVM_SET_IDENTITY_MAP_ADDR => Number(In, 0x48, sizeof(ulong));
    public static uint KVM_CREATE_IRQCHIP => Number(None, 0x60);
    public static uint KVM_IRQ_LINE => Number(In, 0x61, sizeof(kvm_irq_level));
    public static uint KVM_SET_GSI_ROUTING => Number(In, 0x6a, sizeof(kvm_irq_routing));
    public static uint KVM_IRQFD => Number(In, 0x76, sizeof(kvm_irqfd));
    public static uint KVM_CREATE_PIT2 => Number(In, 0x77, sizeof(kvm_pit_config));
    public static uint KVM_SET_BOOT_CPU_ID => Number(None, 0x78);
    public static uint KVM_IOEVENTFD => Number(In, 0x79, sizeof(kvm_ioeventfd));
    public static uint KVM_SET_CLOCK => Number(In, 0x7b, sizeof(kvm_clock_data));
    public static uint KVM_GET_CLOCK => Number(Out, 0x7c, sizeof(kvm_clock_data));
    public static uint KVM_SIGNAL_MSI => Number(In, 0xa5, sizeof(kvm_msi));
    public static uint KVM_CLEAR_DIRTY_LOG => Number(In | Out, 0xc0, sizeof(kvm_clear_dirty_log));
    public static uint KVM_X86_SET_MSR_FILTER => Number(In, 0xc6, sizeof(kvm_msr_filter));
    public static uint KVM_RESET_DIRTY_RINGS => Number(None, 0xc7);

    // VM or vCPU
    public static uint KVM_ENABLE_CAP => Number(In, 0xa3, sizeof(kvm_enable_cap));
    public static uint KVM_SET_TSC_KHZ => Number(None, 0xa2);
    public static uint KVM_SET_DEVICE_ATTR => Number(In, 0xe1, sizeof(kvm_device_attr));
    public static uint KVM_GET_TSC_KHZ => Number(None, 0xa3);
    public static uint KVM_GET_STATS_FD => Number(None, 0xce);

    // vCPU
    public static uint KVM_RUN => Number(None, 0x80);
    public static uint KVM_GET_REGS => Number(Out, 0x81, sizeof(kvm_regs));
    public static uint KVM_SET_REGS => Number(In, 0x82, sizeof(kvm_regs));
    public static uint KVM_GET_SREGS => Number(Out, 0x83, sizeof(kvm_sregs));
    public static uint KVM_SET_SREGS => Number(In, 0x84, sizeof(kvm_sregs));
    public static uint KVM_TRANSLATE => Number(In | Out, 0x85, sizeof(kvm_translation));
    public static uint KVM_INTERRUPT => Number(In, 0x86, sizeof(kvm_interrupt));
    public static uint KVM_GET_MSRS => Number(In | Out, 0x88, sizeof(kvm_msrs));
    public static uint KVM_SET_MSRS => Number(In, 0x89, sizeof(kvm_msrs));
    public static uint KVM_SET_SIGNAL_MASK => Number(In, 0x8b, sizeof(kvm_signal_mask));
    public static uint KVM_GET_FPU => Number(Out, 0x8c, sizeof(kvm_fpu));
    public static uint KVM_SET_FPU => Number(In, 0x8d, sizeof(kvm_fpu));
    public static uint KVM_GET_LAPIC => Number(Out, 0x8e, sizeof(kvm_lapic_state));
    public static uint KVM_SET_LAPIC => Number(In, 0x8f, sizeof(kvm_lapic_state));
    public static uint KVM_SET_CPUID2 => Number(In, 0x90, sizeof(kvm_cpuid2));
    public static uint KVM_GET_CPUID2 => Number(In | Out, 0x91, sizeof(kvm_cpuid2));
    public static uint KVM_GET_MP_STATE => Number(Out, 0x98, sizeof(kvm_mp_state));
    public static uint KVM_SET_MP_STATE => Number(In, 0x99, sizeof(kvm_mp_state));
    public static uint KVM_NMI => Number(None, 0x9a);
    public static uint KVM_SET_GUEST_DEBUG => Number(In, 0x9b, sizeof(kvm_guest_debug));
    public static uint KVM_GET_VCPU_EVENTS => Number(Out, 0x9f, sizeof(kvm_vcpu_events));
    public static uint KVM_SET_VCPU_EVENTS => Number(In, 0xa0, sizeof(kvm_vcpu_events));
    public static uint KVM_GET_DEBUGREGS => Number(Out, 0xa1, sizeof(kvm_debugregs));
    public static uint KVM_SET_DEBUGREGS => Number(In, 0xa2, sizeof(kvm_debugregs));
    public static uint KVM_GET_XSAVE => Number(Out, 0xa4, sizeof(kvm_xsave));
    public static uint KVM_SET_XSAVE => Number(In, 0xa5, sizeof(kvm_xsave));
    public static uint KVM_GET_XCRS => Number(Out, 0xa6, sizeof(kvm_xcrs));
    public static uint KVM_SET_XCRS => Number(In, 0xa7, sizeof(kvm_xcrs));
    public static uint KVM_KVMCLOCK_CTRL => Number(None, 0xad);
    public static uint KVM_GET_SREGS2 => Number(Out, 0xcc, sizeof(kvm_sregs2));
    public static uint KVM_SET_SREGS2 => Number(In, 0xcd, sizeof(kvm_sregs2));
    public static uint KVM_GET_XSAVE2 => Number(Out, 0xcf, sizeof(kvm_xsave));
}
