namespace Sandbox.Host;

/// <summary>
/// virtio as the kernel's headers name it, one file per header. Everything is little endian, since
/// VIRTIO_F_VERSION_1 is always negotiated. Here: linux/virtio_config.h, virtio_ids.h, virtio_mmio.h
/// and virtio_ring.h.
/// </summary>
public static partial class VirtioAbi
{
    public const int VIRTIO_CONFIG_S_ACKNOWLEDGE = 1;
    public const int VIRTIO_CONFIG_S_DRIVER = 2;
    public const int VIRTIO_CONFIG_S_DRIVER_OK = 4;
    public const int VIRTIO_CONFIG_S_FEATURES_OK = 8;
    public const int VIRTIO_CONFIG_S_NEEDS_RESET = 0x40;
    public const int VIRTIO_CONFIG_S_FAILED = 0x80;

    // Numbers of bits.
    public const int VIRTIO_RING_F_INDIRECT_DESC = 28;
    public const int VIRTIO_RING_F_EVENT_IDX = 29;
    public const int VIRTIO_F_VERSION_1 = 32;
    public const int VIRTIO_F_RING_RESET = 40;

    public const int VIRTIO_ID_NET = 1;
    public const int VIRTIO_ID_BLOCK = 2;
    public const int VIRTIO_ID_CONSOLE = 3;
    public const int VIRTIO_ID_RNG = 4;
    public const int VIRTIO_ID_BALLOON = 5;
    public const int VIRTIO_ID_VSOCK = 19;

    public const int VIRTIO_MMIO_MAGIC_VALUE = 0x000;
    public const int VIRTIO_MMIO_VERSION = 0x004;
    public const int VIRTIO_MMIO_DEVICE_ID = 0x008;
    public const int VIRTIO_MMIO_VENDOR_ID = 0x00c;
    public const int VIRTIO_MMIO_DEVICE_FEATURES = 0x010;
    public const int VIRTIO_MMIO_DEVICE_FEATURES_SEL = 0x014;
    public const int VIRTIO_MMIO_DRIVER_FEATURES = 0x020;
    public const int VIRTIO_MMIO_DRIVER_FEATURES_SEL = 0x024;
    public const int VIRTIO_MMIO_QUEUE_SEL = 0x030;
    public const int VIRTIO_MMIO_QUEUE_NUM_MAX = 0x034;
    public const int VIRTIO_MMIO_QUEUE_NUM = 0x038;
    public const int VIRTIO_MMIO_QUEUE_READY = 0x044;
    public const int VIRTIO_MMIO_QUEUE_NOTIFY = 0x050;
    public const int VIRTIO_MMIO_INTERRUPT_STATUS = 0x060;
    public const int VIRTIO_MMIO_INTERRUPT_ACK = 0x064;
    public const int VIRTIO_MMIO_STATUS = 0x070;
    public const int VIRTIO_MMIO_QUEUE_DESC_LOW = 0x080;
    public const int VIRTIO_MMIO_QUEUE_DESC_HIGH = 0x084;
    public const int VIRTIO_MMIO_QUEUE_AVAIL_LOW = 0x090;
    public const int VIRTIO_MMIO_QUEUE_AVAIL_HIGH = 0x094;
    public const int VIRTIO_MMIO_QUEUE_USED_LOW = 0x0a0;
    public const int VIRTIO_MMIO_QUEUE_USED_HIGH = 0x0a4;
    public const int VIRTIO_MMIO_SHM_SEL = 0x0ac;
    public const int VIRTIO_MMIO_SHM_LEN_LOW = 0x0b0;
    public const int VIRTIO_MMIO_SHM_LEN_HIGH = 0x0b4;
    public const int VIRTIO_MMIO_SHM_BASE_LOW = 0x0b8;
    public const int VIRTIO_MMIO_SHM_BASE_HIGH = 0x0bc;
    public const int VIRTIO_MMIO_CONFIG_GENERATION = 0x0fc;
    public const int VIRTIO_MMIO_CONFIG = 0x100;

    public const int VIRTIO_MMIO_INT_VRING = 1;
    public const int VIRTIO_MMIO_INT_CONFIG = 2;

    public const int VRING_DESC_F_NEXT = 1;
    public const int VRING_DESC_F_WRITE = 2;
    public const int VRING_DESC_F_INDIRECT = 4;
    public const int VRING_USED_F_NO_NOTIFY = 1;
    public const int VRING_AVAIL_F_NO_INTERRUPT = 1;
    public const int VRING_DESC_ALIGN_SIZE = 16;
    public const int VRING_AVAIL_ALIGN_SIZE = 2;
    public const int VRING_USED_ALIGN_SIZE = 4;
}
