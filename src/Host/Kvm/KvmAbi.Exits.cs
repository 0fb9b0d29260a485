namespace Sandbox.Host;

/// <summary>Why KVM_RUN returned: linux/kvm.h and Documentation/virt/kvm/api.rst, section 5.</summary>
public static unsafe partial class KvmAbi
{
    public const int KVM_EXIT_UNKNOWN = 0;
    public const int KVM_EXIT_EXCEPTION = 1;
    public const int KVM_EXIT_IO = 2;
    public const int KVM_EXIT_HYPERCALL = 3;
    public const int KVM_EXIT_DEBUG = 4;
    public const int KVM_EXIT_HLT = 5;
    public const int KVM_EXIT_MMIO = 6;
    public const int KVM_EXIT_IRQ_WINDOW_OPEN = 7;
    public const int KVM_EXIT_SHUTDOWN = 8;
    public const int KVM_EXIT_FAIL_ENTRY = 9;
    public const int KVM_EXIT_INTR = 10;
    public const int KVM_EXIT_SET_TPR = 11;
    public const int KVM_EXIT_TPR_ACCESS = 12;
    public const int KVM_EXIT_S390_SIEIC = 13;
    public const int KVM_EXIT_S390_RESET = 14;
    public const int KVM_EXIT_DCR = 15;
    public const int KVM_EXIT_NMI = 16;
    public const int KVM_EXIT_INTERNAL_ERROR = 17;
    public const int KVM_EXIT_OSI = 18;
    public const int KVM_EXIT_PAPR_HCALL = 19;
    public const int KVM_EXIT_S390_UCONTROL = 20;
    public const int KVM_EXIT_WATCHDOG = 21;
    public const int KVM_EXIT_S390_TSCH = 22;
    public const int KVM_EXIT_EPR = 23;
    public const int KVM_EXIT_SYSTEM_EVENT = 24;
    public const int KVM_EXIT_S390_STSI = 25;
    public const int KVM_EXIT_IOAPIC_EOI = 26;
    public const int KVM_EXIT_HYPERV = 27;
    public const int KVM_EXIT_ARM_NISV = 28;
    public const int KVM_EXIT_X86_RDMSR = 29;
    public const int KVM_EXIT_X86_WRMSR = 30;
    public const int KVM_EXIT_DIRTY_RING_FULL = 31;
    public const int KVM_EXIT_AP_RESET_HOLD = 32;
    public const int KVM_EXIT_X86_BUS_LOCK = 33;
    public const int KVM_EXIT_XEN = 34;
    public const int KVM_EXIT_RISCV_SBI = 35;
    public const int KVM_EXIT_RISCV_CSR = 36;
    public const int KVM_EXIT_NOTIFY = 37;

    public const int KVM_EXIT_IO_IN = 0;
    public const int KVM_EXIT_IO_OUT = 1;

    public const int KVM_INTERNAL_ERROR_EMULATION = 1;
    public const int KVM_INTERNAL_ERROR_SIMUL_EX = 2;
    public const int KVM_INTERNAL_ERROR_DELIVERY_EV = 3;
    public const int KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON = 4;
    public const int KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES = 0x1;

    public const int KVM_SYSTEM_EVENT_SHUTDOWN = 1;
    public const int KVM_SYSTEM_EVENT_RESET = 2;
    public const int KVM_SYSTEM_EVENT_CRASH = 3;
    public const int KVM_SYSTEM_EVENT_WAKEUP = 4;
    public const int KVM_SYSTEM_EVENT_SUSPEND = 5;
    public const int KVM_SYSTEM_EVENT_SEV_TERM = 6;

    public const int KVM_MSR_EXIT_REASON_INVAL = 0x1;
    public const int KVM_MSR_EXIT_REASON_UNKNOWN = 0x2;
    public const int KVM_MSR_EXIT_REASON_FILTER = 0x4;

    public const int KVM_NOTIFY_CONTEXT_INVALID = 0x1;
    public const int KVM_BUS_LOCK_DETECTION_OFF = 0x1;
    public const int KVM_BUS_LOCK_DETECTION_EXIT = 0x2;
}
