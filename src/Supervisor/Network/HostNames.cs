using System.Net;
using System.Net.Sockets;
using Sandbox.Policy.Contract;

namespace Sandbox.Supervisor.Network;

/// <summary>Asks the host's resolver.</summary>
static class HostNames
{
    /// <summary>Looks a name up; waits as long as the host's resolver does, some ten seconds at worst.</summary>
    /// <param name="addresses">At most <see cref="NetworkChannel.MaximumAddresses"/>, without doubles.</param>
    /// <returns>0, -ENOENT (there is no such name, or it has no address), or -EAGAIN (nobody knows now).</returns>
    public static int Look(string name, out IPAddress[] addresses)
    {
        try
        {
            addresses = [.. Dns.GetHostAddresses(name).Where(IsPlain).Distinct().Take(NetworkChannel.MaximumAddresses)];
            return addresses.Length > 0 ? 0 : -Host.Libc.ENOENT;
        }
        catch (SocketException failure)
        {
            addresses = [];
            return failure.SocketErrorCode is SocketError.HostNotFound or SocketError.NoData
                ? -Host.Libc.ENOENT
                : -Host.Libc.EAGAIN;
        }
    }

    /// <summary>An address that means the same everywhere: not one with an interface.</summary>
    static bool IsPlain(IPAddress address) =>
        address.AddressFamily == AddressFamily.InterNetwork
        || (address.AddressFamily == AddressFamily.InterNetworkV6 && address.ScopeId == 0);
}
