using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Sandbox.Policy.Contract;

/// <summary>Decides about the network. No allocation, no lock; time grows with the logarithm of the rules.</summary>
public sealed class NetworkRules
{
    /// <summary>For connect and listen by protocol: [2 * action + protocol].</summary>
    public required AddressTable[] FourByteAddresses { get; init; }

    public required AddressTable[] SixteenByteAddresses { get; init; }

    /// <summary>Hosts that rules let a guest connect to by name, by protocol; names in lower case.</summary>
    public required IReadOnlyList<Dictionary<string, PortTable>> Hosts { get; init; }

    /// <summary>
    /// Names, suffixes that begin with a dot, and "" for all names, to the lowest rules that deny and allow asking for
    /// them.
    /// </summary>
    public required Dictionary<string, (int Deny, int Allow)> Names { get; init; }

    /// <summary>About an address. IPv4 addresses in IPv6 dress are IPv4 addresses.</summary>
    public Verdict Decide(NetworkAction action, NetworkProtocol protocol, IPAddress address, ushort port)
    {
        int table = 2 * (int)action + (int)protocol;
        if (action == NetworkAction.Resolve)
            return Verdict.Unmatched;
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        if (address.AddressFamily == AddressFamily.InterNetwork)
            return FourByteAddresses[table].Decide(BinaryPrimitives.ReadUInt32BigEndian(bytes), port);
        if (address.IsIPv4MappedToIPv6)
            return FourByteAddresses[table].Decide(BinaryPrimitives.ReadUInt32BigEndian(bytes[12..]), port);
        return SixteenByteAddresses[table].Decide(BinaryPrimitives.ReadUInt128BigEndian(bytes), port);
    }

    /// <summary>
    /// About connecting to a host by its name; the addresses behind it are pinned when the guest starts.
    /// </summary>
    /// <param name="host">In lower case, without a dot at its end.</param>
    public Verdict Connect(NetworkProtocol protocol, ReadOnlySpan<char> host, ushort port)
    {
        if (!Hosts[(int)protocol].GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(host, out PortTable? ports))
            return Verdict.Unmatched;
        int range = ports.Find(port);
        return ports.Denies[range] >= 0
            ? new Verdict(false, ports.Denies[range])
            : new Verdict(ports.Allows[range] >= 0, ports.Allows[range]);
    }

    /// <summary>About asking DNS for a name.</summary>
    /// <param name="name">In lower case, without a dot at its end.</param>
    public Verdict Resolve(ReadOnlySpan<char> name)
    {
        var names = Names.GetAlternateLookup<ReadOnlySpan<char>>();
        (int Deny, int Allow) rules = Names.GetValueOrDefault("", (Verdict.NoRule, Verdict.NoRule));
        uint denied = (uint)rules.Deny, allowed = (uint)rules.Allow;
        int at = 0;
        while (true)
        {
            if (names.TryGetValue(name[at..], out rules))
            {
                denied = Math.Min(denied, (uint)rules.Deny);
                allowed = Math.Min(allowed, (uint)rules.Allow);
            }

            // The first look is at the name, later ones at its suffixes, dot included.
            int dot = name[(at == 0 ? 0 : at + 1)..].IndexOf('.');
            if (dot < 0)
                break;
            at = (at == 0 ? 0 : at + 1) + dot;
        }

        return (int)denied >= 0 ? new Verdict(false, (int)denied) : new Verdict((int)allowed >= 0, (int)allowed);
    }
}
