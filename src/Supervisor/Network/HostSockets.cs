using System.Buffers.Binary;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Network;

/// <summary>
/// Opens sockets of the host for a guest: never blocking, closed on exec, connected (or about to be) or bound. Each
/// answers 0 or a negative error number, and opens nothing then.
/// </summary>
static unsafe class HostSockets
{
    /// <summary>Connections that may wait to be accepted; the kernel has its own bound too.</summary>
    const int Backlog = 128;

    /// <summary>Begins a connection, or ties a datagram socket to one destination.</summary>
    /// <param name="from">The port that datagrams leave from; 0 for any.</param>
    public static int Connect(
        NetworkProtocol protocol, IPAddress address, ushort port, ushort from, out FileDescriptor? socket)
    {
        int error = Create(address, protocol, out socket);
        if (error != 0)
            return error;
        if (from != 0)
            error = BindBeside(socket!, address, from);
        sockaddr_in6 target = Address(address, port, out uint length);
        if (error == 0 && connect(socket!.Value, &target, length) != 0 && errno != EINPROGRESS)
            error = -errno;
        return Keep(error, ref socket);
    }

    /// <summary>Binds a socket; one for streams listens from then on.</summary>
    /// <param name="sixOnly">IPV6_V6ONLY.</param>
    public static int Listen(
        NetworkProtocol protocol, IPAddress address, ushort port, bool reuse, bool sixOnly, out FileDescriptor? socket)
    {
        int error = Create(address, protocol, out socket);
        if (error != 0)
            return error;
        if (address.AddressFamily == AddressFamily.InterNetworkV6)
            error = Set(socket!, SOL_IPV6, IPV6_V6ONLY, sixOnly ? 1 : 0);
        if (error == 0 && protocol == NetworkProtocol.Tcp && reuse)
            error = Set(socket!, SOL_SOCKET, SO_REUSEADDR, 1);
        sockaddr_in6 local = Address(address, port, out uint length);
        if (error == 0 && bind(socket!.Value, &local, length) != 0)
            error = -errno;
        // Sockets for answers from the same port are opened beside it; only this user can. Not before it has the port:
        // two that listen would share it, and neither know.
        if (error == 0 && protocol == NetworkProtocol.Udp)
            error = Set(socket!, SOL_SOCKET, SO_REUSEPORT, 1);
        if (error == 0 && protocol == NetworkProtocol.Tcp && listen(socket!.Value, Backlog) != 0)
            error = -errno;
        return Keep(error, ref socket);
    }

    /// <summary>Whether what is sent to an address stays on this host. Nothing is sent.</summary>
    public static bool IsOwn(IPAddress address)
    {
        const ushort discard = 9;
        if (Connect(NetworkProtocol.Udp, address, discard, 0, out FileDescriptor? connected) == 0)
            using (connected)
                if (LocalOf(connected!).ToAddress().Equals(address))
                    return true;
        // A second address of an interface is reached from its first, as all of a block on loopback is: bind(2) knows
        // them, and, where that takes any address, the interfaces know most.
        if (Create(address, NetworkProtocol.Udp, out FileDescriptor? bound) != 0)
            return false;
        using (bound)
        {
            sockaddr_in6 local = Address(address, 0, out uint length);
            return bind(bound!.Value, &local, length) == 0
                && (!BindsAnything(address.AddressFamily) || NetworkInterface.GetAllNetworkInterfaces().Any(
                    one => one.GetIPProperties().UnicastAddresses.Any(own => own.Address.Equals(address))));
        }
    }

    /// <summary>Whether this host's bind(2) takes addresses that are none of its own.</summary>
    static bool BindsAnything(AddressFamily family)
    {
        string name = family == AddressFamily.InterNetwork ? "ipv4" : "ipv6";
        try
        {
            return File.ReadAllText($"/proc/sys/net/{name}/ip_nonlocal_bind") != "0\n";
        }
        catch (Exception unknown) when (unknown is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }

    /// <summary>What a socket is bound to; zeros when the kernel does not say.</summary>
    public static NetworkEndpoint LocalOf(FileDescriptor socket)
    {
        sockaddr_in6 local = default;
        uint length = (uint)sizeof(sockaddr_in6);
        if (getsockname(socket.Value, &local, &length) != 0)
            return default;
        ushort port = BinaryPrimitives.ReverseEndianness(local.sin6_port);
        return local.sin6_family == AF_INET
            ? NetworkEndpoint.Of(new IPAddress(((sockaddr_in*)&local)->sin_addr), port)
            : NetworkEndpoint.Of(new IPAddress(new ReadOnlySpan<byte>(local.sin6_addr, 16)), port);
    }

    static int Create(IPAddress address, NetworkProtocol protocol, out FileDescriptor? file)
    {
        file = null;
        int family = address.AddressFamily == AddressFamily.InterNetwork ? AF_INET : AF_INET6;
        int type = protocol == NetworkProtocol.Tcp ? SOCK_STREAM : SOCK_DGRAM;
        int number = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (number < 0)
            return -errno;
        file = new FileDescriptor(number);
        return 0;
    }

    static int BindBeside(FileDescriptor socket, IPAddress destination, ushort port)
    {
        int error = Set(socket, SOL_SOCKET, SO_REUSEPORT, 1);
        bool four = destination.AddressFamily == AddressFamily.InterNetwork;
        sockaddr_in6 local = Address(four ? IPAddress.Any : IPAddress.IPv6Any, port, out uint length);
        if (error == 0 && bind(socket.Value, &local, length) != 0)
            error = -errno;
        return error;
    }

    static int Set(FileDescriptor socket, int level, int option, int value) =>
        setsockopt(socket.Value, level, option, &value, sizeof(int)) == 0 ? 0 : -errno;

    static int Keep(int error, ref FileDescriptor? socket)
    {
        if (error == 0)
            return 0;
        socket!.Dispose();
        socket = null;
        return error;
    }

    /// <summary>An address as the kernel takes it; room for the larger of the two kinds.</summary>
    static sockaddr_in6 Address(IPAddress address, ushort port, out uint length)
    {
        sockaddr_in6 six = default;
        port = BinaryPrimitives.ReverseEndianness(port);
        if (address.AddressFamily == AddressFamily.InterNetwork)
        {
            var four = (sockaddr_in*)&six;
            four->sin_family = AF_INET;
            four->sin_port = port;
            address.TryWriteBytes(new Span<byte>(&four->sin_addr, sizeof(uint)), out _);
            length = (uint)sizeof(sockaddr_in);
            return six;
        }

        six.sin6_family = AF_INET6;
        six.sin6_port = port;
        address.TryWriteBytes(new Span<byte>(six.sin6_addr, 16), out _);
        length = (uint)sizeof(sockaddr_in6);
        return six;
    }
}
