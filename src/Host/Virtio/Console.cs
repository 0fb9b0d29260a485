using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>What a console tells: linux/virtio_console.h.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct virtio_console_config
{
    public ushort cols;
    public ushort rows;
    public uint max_nr_ports;
    public uint emerg_wr;
}

/// <summary>A message about a port, either way: linux/virtio_console.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct virtio_console_control
{
    public uint id;
    public ushort @event;
    public ushort value;
}

/// <summary>linux/virtio_console.h.</summary>
public static partial class VirtioAbi
{
    public const int VIRTIO_CONSOLE_F_SIZE = 0;
    public const int VIRTIO_CONSOLE_F_MULTIPORT = 1;

    public const int VIRTIO_CONSOLE_DEVICE_READY = 0;
    public const int VIRTIO_CONSOLE_PORT_ADD = 1;
    public const int VIRTIO_CONSOLE_PORT_READY = 3;
    public const int VIRTIO_CONSOLE_CONSOLE_PORT = 4;
    public const int VIRTIO_CONSOLE_RESIZE = 5;
    public const int VIRTIO_CONSOLE_PORT_OPEN = 6;
    public const int VIRTIO_CONSOLE_PORT_NAME = 7;
}
