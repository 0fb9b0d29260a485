using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>What a balloon tells and is told: linux/virtio_balloon.h. Pages are of 4 KiB.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct virtio_balloon_config
{
    public uint num_pages;
    public uint actual;
    public uint free_page_hint_cmd_id;
    public uint poison_val;
}

/// <summary>One statistic of the guest's memory: linux/virtio_balloon.h.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct virtio_balloon_stat
{
    public ushort tag;
    public ulong val;
}

/// <summary>linux/virtio_balloon.h.</summary>
public static partial class VirtioAbi
{
    public const int VIRTIO_BALLOON_F_STATS_VQ = 1;
    public const int VIRTIO_BALLOON_F_DEFLATE_ON_OOM = 2;
    public const int VIRTIO_BALLOON_F_REPORTING = 5;

    public const int VIRTIO_BALLOON_PFN_SHIFT = 12;

    public const int VIRTIO_BALLOON_S_NR = 10;
}
