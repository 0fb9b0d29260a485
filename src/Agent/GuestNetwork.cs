using System.Globalization;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Agent;

/// <summary>
/// Brings up the loopback and the interfaces that the order names, with their addresses and gateways.
/// </summary>
static class GuestNetwork
{
    private const string Interfaces = "/sys/class/net";

    /// <summary>Kernels find devices a while after their drivers are there.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    /// <exception cref="AgentException">An interface is not there, or did not take what it should.</exception>
    public static void Configure(IReadOnlyList<AgentInterface> interfaces)
    {
        using RouteSocket socket = new();
        BringUp(socket, Index("lo"));
        foreach (AgentInterface one in interfaces)
        {
            int index = Index(Find(one.Mac));
            BringUp(socket, index);
            if (one.Address.Length > 0)
                AddAddress(socket, index, one);
            if (one.Gateway.Length > 0)
                AddGateway(socket, index, one.Gateway);
        }
    }

    private static void BringUp(RouteSocket socket, int index) =>
        socket.Begin(RTM_NEWLINK, 0, new ifinfomsg { ifi_index = index, ifi_flags = IFF_UP, ifi_change = IFF_UP })
            .Send();

    private static void AddAddress(RouteSocket socket, int index, AgentInterface one)
    {
        // Nobody else may have an address that the host gave to this guest: there is nothing to wait for.
        ifaddrmsg about = new()
        {
            ifa_family = Family(one.Address), ifa_prefixlen = one.PrefixBits, ifa_index = (uint)index,
            ifa_flags = one.Address.Length == 4 ? (byte)0 : (byte)IFA_F_NODAD,
        };
        socket.Begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, about)
            .With(IFA_LOCAL, one.Address).With(IFA_ADDRESS, one.Address).Send();
    }

    private static void AddGateway(RouteSocket socket, int index, byte[] gateway)
    {
        rtmsg about = new()
        {
            rtm_family = Family(gateway), rtm_table = RT_TABLE_MAIN, rtm_protocol = RTPROT_BOOT, rtm_type = RTN_UNICAST,
        };
        socket.Begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, about)
            .With(RTA_GATEWAY, gateway).With(RTA_OIF, BitConverter.GetBytes(index)).Send();
    }

    private static byte Family(byte[] address) => (byte)(address.Length == 4 ? AF_INET : AF_INET6);

    /// <summary>The interface's name by its MAC address, once the kernel has found it.</summary>
    private static string Find(byte[] mac)
    {
        string wanted = Convert.ToHexStringLower(mac);
        long start = HostClock.MonotonicNanoseconds();
        while (true)
        {
            foreach (string folder in Directory.EnumerateDirectories(Interfaces))
                if (Read(folder, "address").Replace(":", "", StringComparison.Ordinal) == wanted)
                    return Path.GetFileName(folder);
            if (HostClock.MonotonicNanoseconds() - start > s_patience.Ticks * 100)
                throw new AgentException(AgentStep.Network, ENODEV);
            Thread.Sleep(1);
        }
    }

    private static int Index(string name) =>
        int.TryParse(Read(Path.Combine(Interfaces, name), "ifindex"), CultureInfo.InvariantCulture, out int index)
            ? index
            : throw new AgentException(AgentStep.Network, ENODEV);

    private static string Read(string folder, string file)
    {
        try
        {
            return File.ReadAllText(Path.Combine(folder, file)).TrimEnd();
        }
        catch (IOException)
        {
            return "";
        }
    }
}
