using System.Net;

namespace Sandbox.Policy.Language;

/// <summary>
/// Addresses that are not the public network: loopback, private, link-local, the metadata services of clouds, and
/// IPv6 ranges that IPv4 hides in. A rule allows one only by naming it or a part of it; a larger block does not.
/// </summary>
public static class ReservedBlocks
{
    public static IReadOnlyList<IPNetwork> All { get; } =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "100.100.100.200/32", "127.0.0.0/8", "168.63.129.16/32",
            "169.254.0.0/16", "169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.0.192/32", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
            "::/96", "::/128", "::1/128", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16",
            "fc00::/7", "fd00:ec2::23/128", "fd00:ec2::254/128", "fd20:ce::254/128", "fe80::/10", "fec0::/10",
            "ff00::/8",
        }.Select(block => IPNetwork.Parse(block)),
    ];

    /// <summary>The innermost reserved block that holds an address.</summary>
    public static IPNetwork? Of(IPAddress address)
    {
        IPNetwork? innermost = null;
        foreach (IPNetwork block in All)
            if (block.Contains(address) && (innermost is null || block.PrefixLength > innermost.Value.PrefixLength))
                innermost = block;
        return innermost;
    }
}
