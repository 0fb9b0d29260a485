namespace Sandbox.Host;

/// <summary>Flags and masks of the KVM ABI on x86: linux/kvm.h, asm/kvm.h.</summary>
public static unsafe partial class KvmAbi
{
    public const int KVM_API_VERSION = 12;
    public const int KVMIO = 0xAE;

    public const int KVM_VCPU_TSC_CTRL = 0;
    public const int KVM_VCPU_TSC_OFFSET = 0;
    public const int KVM_SYNC_X86_REGS = 0x1;
    public const int KVM_SYNC_X86_SREGS = 0x2;
    public const int KVM_SYNC_X86_EVENTS = 0x4;
    public const int KVM_SYNC_X86_VALID_FIELDS = 7;

    public const int KVM_RUN_X86_SMM = 0x1;
    public const int KVM_RUN_X86_BUS_LOCK = 0x2;

    public const int KVM_MEM_LOG_DIRTY_PAGES = 0x1;
    public const int KVM_MEM_READONLY = 0x2;

    public const int KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 0x1;
    public const int KVM_CPUID_FLAG_STATEFUL_FUNC = 0x2;
    public const int KVM_CPUID_FLAG_STATE_READ_NEXT = 0x4;

    public const int KVM_VCPUEVENT_VALID_NMI_PENDING = 0x1;
    public const int KVM_VCPUEVENT_VALID_SIPI_VECTOR = 0x2;
    public const int KVM_VCPUEVENT_VALID_SHADOW = 0x4;
    public const int KVM_VCPUEVENT_VALID_SMM = 0x8;
    public const int KVM_VCPUEVENT_VALID_PAYLOAD = 0x10;
    public const int KVM_VCPUEVENT_VALID_TRIPLE_FAULT = 0x20;

    public const int KVM_GUESTDBG_USE_SW_BP = 0x10000;
    public const int KVM_GUESTDBG_USE_HW_BP = 0x20000;
    public const int KVM_GUESTDBG_INJECT_DB = 0x40000;
    public const int KVM_GUESTDBG_INJECT_BP = 0x80000;
    public const int KVM_GUESTDBG_BLOCKIRQ = 0x100000;
    public const int KVM_GUESTDBG_ENABLE = 0x1;
    public const int KVM_GUESTDBG_SINGLESTEP = 0x2;

    public const int KVM_MP_STATE_RUNNABLE = 0;
    public const int KVM_MP_STATE_UNINITIALIZED = 1;
    public const int KVM_MP_STATE_INIT_RECEIVED = 2;
    public const int KVM_MP_STATE_HALTED = 3;
    public const int KVM_MP_STATE_SIPI_RECEIVED = 4;
    public const int KVM_MP_STATE_STOPPED = 5;
    public const int KVM_MP_STATE_CHECK_STOP = 6;
    public const int KVM_MP_STATE_OPERATING = 7;
    public const int KVM_MP_STATE_LOAD = 8;
    public const int KVM_MP_STATE_AP_RESET_HOLD = 9;
    public const int KVM_MP_STATE_SUSPENDED = 10;

    public const int KVM_MSR_FILTER_MAX_BITMAP_SIZE = 0x600;
    public const int KVM_MSR_FILTER_READ = 0x1;
    public const int KVM_MSR_FILTER_WRITE = 0x2;
    public const int KVM_MSR_FILTER_MAX_RANGES = 16;
    public const int KVM_MSR_FILTER_DEFAULT_ALLOW = 0x0;
    public const int KVM_MSR_FILTER_DEFAULT_DENY = 0x1;

    public const int KVM_NR_INTERRUPTS = 256;
    public const int KVM_NR_IRQCHIPS = 3;
    public const int KVM_X86_SHADOW_INT_MOV_SS = 0x1;
    public const int KVM_X86_SHADOW_INT_STI = 0x2;
    public const int KVM_MAX_XCRS = 16;
    public const int KVM_X86_QUIRK_LINT0_REENABLED = 0x1;
    public const int KVM_X86_QUIRK_CD_NW_CLEARED = 0x2;
    public const int KVM_X86_QUIRK_LAPIC_MMIO_HOLE = 0x4;
    public const int KVM_X86_QUIRK_OUT_7E_INC_RIP = 0x8;
    public const int KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT = 0x10;
    public const int KVM_X86_QUIRK_FIX_HYPERCALL_INSN = 0x20;
    public const int KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS = 0x40;
    public const int KVM_X86_XCOMP_GUEST_SUPP = 0;
    public const int KVM_X86_DISABLE_EXITS_MWAIT = 0x1;
    public const int KVM_X86_DISABLE_EXITS_HLT = 0x2;
    public const int KVM_X86_DISABLE_EXITS_PAUSE = 0x4;
    public const int KVM_X86_DISABLE_EXITS_CSTATE = 0x8;
    public const int KVM_CPUID_SIGNATURE = 0x40000000;
    public const int KVM_CPUID_FEATURES = 0x40000001;

    public const int KVM_DIRTY_LOG_PAGE_OFFSET = 64;
    public const int KVM_SREGS2_FLAGS_PDPTRS_VALID = 1;
    public const int KVM_PIT_FLAGS_HPET_LEGACY = 0x1;
    public const int KVM_PIT_FLAGS_SPEAKER_DATA_ON = 0x2;
    public const int KVM_PIT_SPEAKER_DUMMY = 1;
    public const int KVM_IOEVENTFD_FLAG_DATAMATCH = 0x1;
    public const int KVM_IOEVENTFD_FLAG_PIO = 0x2;
    public const int KVM_IOEVENTFD_FLAG_DEASSIGN = 0x4;
    public const int KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY = 0x8;
    public const int KVM_IRQCHIP_IOAPIC = 2;
    public const int KVM_IRQ_ROUTING_IRQCHIP = 1;
    public const int KVM_IRQ_ROUTING_MSI = 2;
    public const int KVM_IRQ_ROUTING_HV_SINT = 4;
    public const int KVM_IRQFD_FLAG_DEASSIGN = 0x1;
    public const int KVM_IRQFD_FLAG_RESAMPLE = 0x2;
    public const int KVM_CLOCK_TSC_STABLE = 2;
    public const int KVM_CLOCK_REALTIME = 0x4;
    public const int KVM_CLOCK_HOST_TSC = 0x8;
    public const int KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE = 0x1;
    public const int KVM_DIRTY_LOG_INITIALLY_SET = 0x2;
    public const int KVM_DIRTY_GFN_F_DIRTY = 1;
    public const int KVM_DIRTY_GFN_F_RESET = 2;
    public const int KVM_DIRTY_GFN_F_MASK = 0x3;

    public const int KVM_FEATURE_CLOCKSOURCE = 0;
    public const int KVM_FEATURE_NOP_IO_DELAY = 1;
    public const int KVM_FEATURE_MMU_OP = 2;
    public const int KVM_FEATURE_CLOCKSOURCE2 = 3;
    public const int KVM_FEATURE_ASYNC_PF = 4;
    public const int KVM_FEATURE_STEAL_TIME = 5;
    public const int KVM_FEATURE_PV_EOI = 6;
    public const int KVM_FEATURE_PV_UNHALT = 7;
    public const int KVM_FEATURE_PV_TLB_FLUSH = 9;
    public const int KVM_FEATURE_ASYNC_PF_VMEXIT = 10;
    public const int KVM_FEATURE_PV_SEND_IPI = 11;
    public const int KVM_FEATURE_POLL_CONTROL = 12;
    public const int KVM_FEATURE_PV_SCHED_YIELD = 13;
    public const int KVM_FEATURE_ASYNC_PF_INT = 14;
    public const int KVM_FEATURE_MSI_EXT_DEST_ID = 15;
    public const int KVM_FEATURE_HC_MAP_GPA_RANGE = 16;
    public const int KVM_FEATURE_MIGRATION_CONTROL = 17;
    public const int KVM_HINTS_REALTIME = 0;
    public const int KVM_FEATURE_CLOCKSOURCE_STABLE_BIT = 24;
    public const int MSR_KVM_WALL_CLOCK = 0x11;
    public const int MSR_KVM_SYSTEM_TIME = 0x12;
    public const int MSR_KVM_WALL_CLOCK_NEW = 0x4B564D00;
    public const int MSR_KVM_SYSTEM_TIME_NEW = 0x4B564D01;
    public const int MSR_KVM_ASYNC_PF_EN = 0x4B564D02;
    public const int MSR_KVM_STEAL_TIME = 0x4B564D03;
    public const int MSR_KVM_PV_EOI_EN = 0x4B564D04;
    public const int MSR_KVM_POLL_CONTROL = 0x4B564D05;
    public const int MSR_KVM_ASYNC_PF_INT = 0x4B564D06;
    public const int MSR_KVM_ASYNC_PF_ACK = 0x4B564D07;
    public const int MSR_KVM_MIGRATION_CONTROL = 0x4B564D08;
}
