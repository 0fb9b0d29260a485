using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>What a socket device tells: linux/virtio_vsock.h.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct virtio_vsock_config
{
    public ulong guest_cid;
}

/// <summary>Head of every packet: linux/virtio_vsock.h.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct virtio_vsock_hdr
{
    public ulong src_cid;
    public ulong dst_cid;
    public uint src_port;
    public uint dst_port;
    public uint len;
    public ushort type;
    public ushort op;
    public uint flags;
    public uint buf_alloc;
    public uint fwd_cnt;
}

/// <summary>What happened to the device as a whole: linux/virtio_vsock.h.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct virtio_vsock_event
{
    public uint id;
}

/// <summary>linux/virtio_vsock.h.</summary>
public static partial class VirtioAbi
{
    public const int VIRTIO_VSOCK_EVENT_TRANSPORT_RESET = 0;

    public const int VIRTIO_VSOCK_TYPE_STREAM = 1;

    public const int VIRTIO_VSOCK_OP_REQUEST = 1;
    public const int VIRTIO_VSOCK_OP_RESPONSE = 2;
    public const int VIRTIO_VSOCK_OP_RST = 3;
    public const int VIRTIO_VSOCK_OP_SHUTDOWN = 4;
    public const int VIRTIO_VSOCK_OP_RW = 5;
    public const int VIRTIO_VSOCK_OP_CREDIT_UPDATE = 6;
    public const int VIRTIO_VSOCK_OP_CREDIT_REQUEST = 7;

    public const int VIRTIO_VSOCK_SHUTDOWN_RCV = 1;
    public const int VIRTIO_VSOCK_SHUTDOWN_SEND = 2;
}
