using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>One piece of a buffer in guest memory: linux/virtio_ring.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vring_desc
{
    public ulong addr;
    public uint len;
    public ushort flags;
    public ushort next;
}

/// <summary>A chain that the device is done with: linux/virtio_ring.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vring_used_elem
{
    public uint id;
    public uint len;
}
