using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>What a network device tells: linux/virtio_net.h.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct virtio_net_config
{
    public fixed byte mac[6];
    public ushort status;
    public ushort max_virtqueue_pairs;
    public ushort mtu;
    public uint speed;
    public byte duplex;
    public byte rss_max_key_size;
    public ushort rss_max_indirection_table_length;
    public uint supported_hash_types;
}

/// <summary>Head of every packet, of the queues and of a TAP device: linux/virtio_net.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct virtio_net_hdr_v1
{
    public byte flags;
    public byte gso_type;
    public ushort hdr_len;
    public ushort gso_size;
    public ushort csum_start;
    public ushort csum_offset;
    public ushort num_buffers;
}

/// <summary>Head of a command; its data and an answer byte follow: linux/virtio_net.h.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct virtio_net_ctrl_hdr
{
    public byte @class;
    public byte cmd;
}

/// <summary>linux/virtio_net.h.</summary>
public static partial class VirtioAbi
{
    public const int VIRTIO_NET_F_CSUM = 0;
    public const int VIRTIO_NET_F_GUEST_CSUM = 1;
    public const int VIRTIO_NET_F_MTU = 3;
    public const int VIRTIO_NET_F_MAC = 5;
    public const int VIRTIO_NET_F_GUEST_TSO4 = 7;
    public const int VIRTIO_NET_F_GUEST_TSO6 = 8;
    public const int VIRTIO_NET_F_GUEST_ECN = 9;
    public const int VIRTIO_NET_F_HOST_TSO4 = 11;
    public const int VIRTIO_NET_F_HOST_TSO6 = 12;
    public const int VIRTIO_NET_F_HOST_ECN = 13;
    public const int VIRTIO_NET_F_MRG_RXBUF = 15;
    public const int VIRTIO_NET_F_STATUS = 16;
    public const int VIRTIO_NET_F_CTRL_VQ = 17;
    public const int VIRTIO_NET_F_MQ = 22;

    public const int VIRTIO_NET_S_LINK_UP = 1;

    public const int VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;
    public const int VIRTIO_NET_HDR_F_DATA_VALID = 2;
    public const int VIRTIO_NET_HDR_GSO_NONE = 0;
    public const int VIRTIO_NET_HDR_GSO_TCPV4 = 1;
    public const int VIRTIO_NET_HDR_GSO_TCPV6 = 4;
    public const int VIRTIO_NET_HDR_GSO_ECN = 0x80;

    public const int VIRTIO_NET_OK = 0;
    public const int VIRTIO_NET_ERR = 1;
    public const int VIRTIO_NET_CTRL_MQ = 4;
    public const int VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET = 0;
    public const int VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN = 1;
    public const int VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX = 0x8000;
}
