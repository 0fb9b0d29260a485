namespace Sandbox.Host;

/// <summary>What KVM added after Linux 6.1: see Libc/Later.Constants.cs.</summary>
public static unsafe partial class KvmAbi
{
    public const int KVM_EXIT_LOONGARCH_IOCSR = 38;
    public const int KVM_EXIT_MEMORY_FAULT = 39;

    public const int KVM_CAP_S390_PROTECTED_ASYNC_DISABLE = 224;
    public const int KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP = 225;
    public const int KVM_CAP_PMU_EVENT_MASKED_EVENTS = 226;
    public const int KVM_CAP_COUNTER_OFFSET = 227;
    public const int KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE = 228;
    public const int KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES = 229;
    public const int KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES = 230;
    public const int KVM_CAP_USER_MEMORY2 = 231;
    public const int KVM_CAP_MEMORY_FAULT_INFO = 232;
    public const int KVM_CAP_MEMORY_ATTRIBUTES = 233;
    public const int KVM_CAP_GUEST_MEMFD = 234;
    public const int KVM_CAP_VM_TYPES = 235;
    public const int KVM_CAP_PRE_FAULT_MEMORY = 236;
    public const int KVM_CAP_X86_APIC_BUS_CYCLES_NS = 237;
    public const int KVM_CAP_X86_GUEST_MODE = 238;
}
