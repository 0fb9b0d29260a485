using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Head of a netlink message: linux/netlink.h. Messages are aligned to 4 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct nlmsghdr
{
    public uint nlmsg_len;
    public ushort nlmsg_type;
    public ushort nlmsg_flags;
    public uint nlmsg_seq;
    public uint nlmsg_pid;
}

/// <summary>The answer to a message with NLM_F_ACK: linux/netlink.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct nlmsgerr
{
    /// <summary>0 or a negative error number.</summary>
    public int error;
    public nlmsghdr msg;
}

/// <summary>A network interface: linux/rtnetlink.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ifinfomsg
{
    public byte ifi_family;
    private readonly byte _pad;
    public ushort ifi_type;
    public int ifi_index;
    public uint ifi_flags;

    /// <summary>Which of the flags are set.</summary>
    public uint ifi_change;
}

/// <summary>An address of an interface: linux/if_addr.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ifaddrmsg
{
    public byte ifa_family;
    public byte ifa_prefixlen;
    public byte ifa_flags;
    public byte ifa_scope;
    public uint ifa_index;
}

/// <summary>A route: linux/rtnetlink.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct rtmsg
{
    public byte rtm_family;
    public byte rtm_dst_len;
    public byte rtm_src_len;
    public byte rtm_tos;
    public byte rtm_table;
    public byte rtm_protocol;
    public byte rtm_scope;
    public byte rtm_type;
    public uint rtm_flags;
}

/// <summary>Head of an attribute behind one of the structures above: linux/rtnetlink.h. Aligned to 4 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct rtattr
{
    public ushort rta_len;
    public ushort rta_type;
}

/// <summary>Interfaces, addresses and routes over netlink: linux/netlink.h, linux/rtnetlink.h.</summary>
public static unsafe partial class Libc
{
    public const int NETLINK_ROUTE = 0;

    public const int NLM_F_REQUEST = 0x1;
    public const int NLM_F_ACK = 0x4;
    public const int NLM_F_EXCL = 0x200;
    public const int NLM_F_CREATE = 0x400;

    public const int RTM_NEWLINK = 16;
    public const int RTM_NEWADDR = 20;
    public const int RTM_NEWROUTE = 24;

    public const int IFA_ADDRESS = 1;
    public const int IFA_LOCAL = 2;
    public const int IFA_F_NODAD = 0x2;

    public const int RTA_OIF = 4;
    public const int RTA_GATEWAY = 5;
    public const int RTN_UNICAST = 1;
    public const int RTPROT_BOOT = 3;
    public const int RT_TABLE_MAIN = 254;
}
