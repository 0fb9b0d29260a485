using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>A network interface that is asked about; here only with flags: linux/if.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct ifreq
{
    public fixed byte ifr_name[Libc.IFNAMSIZ];
    public short ifr_flags;
    private fixed byte _rest[22];
}

/// <summary>TUN and TAP devices: linux/if_tun.h.</summary>
public static unsafe partial class Libc
{
    public const uint TUNSETIFF = 0x400454cau;
    public const uint TUNSETOFFLOAD = 0x400454d0u;
    public const uint TUNGETIFF = 0x800454d2u;
    public const uint TUNSETVNETHDRSZ = 0x400454d8u;
    public const uint TUNSETQUEUE = 0x400454d9u;

    public const int IFNAMSIZ = 16;

    /// <summary>Of any interface: it is in use.</summary>
    public const int IFF_UP = 0x1;

    public const int IFF_TAP = 0x2;
    public const int IFF_MULTI_QUEUE = 0x100;
    public const int IFF_ATTACH_QUEUE = 0x200;
    public const int IFF_DETACH_QUEUE = 0x400;
    public const int IFF_PERSIST = 0x800;
    public const int IFF_NO_PI = 0x1000;
    public const int IFF_VNET_HDR = 0x4000;

    public const int TUN_F_CSUM = 0x1;
    public const int TUN_F_TSO4 = 0x2;
    public const int TUN_F_TSO6 = 0x4;
    public const int TUN_F_TSO_ECN = 0x8;
}
