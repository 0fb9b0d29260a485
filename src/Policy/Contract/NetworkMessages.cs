using System.Net;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Sandbox.Policy.Contract;

/// <summary>What both sides of the network channel keep to.</summary>
public static class NetworkChannel
{
    public const uint Version = 1;

    /// <summary>Names that may be looked up at the same time.</summary>
    public const int MaximumLookups = 16;

    /// <summary>Requests of a VMM that have no answer yet, lookups included.</summary>
    public const int MaximumRequests = 64;

    /// <summary>
    /// Requests a second that are served in the long run, and at once after a pause; more wait to be read.
    /// </summary>
    public const int RequestsPerSecond = 2000;

    /// <summary>Addresses in one answer.</summary>
    public const int MaximumAddresses = 16;

    /// <summary>The longest name that DNS can carry, without a dot at its end.</summary>
    public const int MaximumName = 253;
}

/// <summary>Changes of what a request asks for.</summary>
[Flags]
public enum NetworkRequestFlags : uint
{
    None = 0,
    /// <summary>SO_REUSEADDR of a listening stream socket.</summary>
    ReuseAddress = 1,
    /// <summary>
    /// IPV6_V6ONLY; without it, listening on :: is listening on 0.0.0.0 where the rules allow that too.
    /// </summary>
    SixOnly = 2,
    All = ReuseAddress | SixOnly,
}

/// <summary>An IPv6 address and a port. IPv4 addresses are ::ffff:a.b.c.d. Has no padding.</summary>
[StructLayout(LayoutKind.Sequential, Size = Size)]
public struct NetworkEndpoint
{
    public const int Size = 20;

    public AddressBytes Address;
    public ushort Port;
    /// <summary>Zero.</summary>
    public ushort Reserved;

    /// <summary>Sixteen bytes in network order.</summary>
    [InlineArray(16)]
    public struct AddressBytes
    {
        private byte _first;
    }

    public static NetworkEndpoint Of(IPAddress address, ushort port)
    {
        NetworkEndpoint endpoint = new() { Port = port };
        address.MapToIPv6().TryWriteBytes(endpoint.Address, out _);
        return endpoint;
    }

    /// <summary>IPv4 addresses come out as such.</summary>
    public readonly IPAddress ToAddress()
    {
        IPAddress address = new((ReadOnlySpan<byte>)Address);
        return address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
    }
}

/// <summary>
/// VMM to supervisor: open a socket, or look a name up. Each is answered once, by a <see cref="NetworkAnswer"/> with
/// its number.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = Size)]
public struct NetworkRequest
{
    public const int Size = 328;

    public uint Version;
    public NetworkRequestFlags Flags;
    /// <summary>Chosen by the VMM; not that of another request without an answer.</summary>
    public ulong Number;
    /// <summary>A <see cref="NetworkAction"/>.</summary>
    public uint Action;
    /// <summary>A <see cref="NetworkProtocol"/>; 0 for resolve.</summary>
    public uint Protocol;
    /// <summary>Connect: where to. Listen: where. Resolve: zeros.</summary>
    public NetworkEndpoint Endpoint;
    /// <summary>
    /// Connect over UDP: the port to send from, which the rules must let the guest listen on; 0 for any.
    /// </summary>
    public NetworkEndpoint From;
    /// <summary>Resolve: bytes in <see cref="Name"/>, 1 to <see cref="NetworkChannel.MaximumName"/>; else 0.</summary>
    public uint NameLength;
    public NameBytes Name;

    /// <summary>ASCII in lower case, without a dot at its end; zeros behind it.</summary>
    [InlineArray(256)]
    public struct NameBytes
    {
        private byte _first;
    }
}

/// <summary>
/// Supervisor to VMM. A socket comes with it as a descriptor: connected or connecting, or bound (streams listen).
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = Size)]
public struct NetworkAnswer
{
    public const int Size = 296;

    public uint Version;
    /// <summary>0, or an errno: EACCES when the rules do not allow it, ENOENT for a name that does not exist.</summary>
    public int Error;
    /// <summary>That of the request.</summary>
    public ulong Number;
    /// <summary>What the socket is bound to.</summary>
    public NetworkEndpoint Local;
    /// <summary>Resolve: how many, 0 to <see cref="NetworkChannel.MaximumAddresses"/>.</summary>
    public uint AddressCount;
    public AddressList Addresses;

    [InlineArray(NetworkChannel.MaximumAddresses * 16)]
    public struct AddressList
    {
        private byte _first;
    }
}
