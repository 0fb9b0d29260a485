using System.Net;
using Sandbox.Policy.Contract;

namespace Sandbox.Supervisor.Network;

/// <summary>What a guest asks of the network, checked: a <see cref="NetworkRequest"/> in other words.</summary>
/// <param name="Address">Where to connect or listen; null for resolve.</param>
/// <param name="Name">For resolve, in lower case; else null.</param>
readonly record struct NetworkQuestion(
    NetworkAction Action, NetworkProtocol Protocol, IPAddress? Address, ushort Port, string? Name)
{
    /// <summary>Reads a request of a VMM that may have fallen to its guest.</summary>
    /// <returns>Null, and what is wrong with it, for what no sound VMM sends.</returns>
    public static NetworkQuestion? Read(in NetworkRequest request, out string problem)
    {
        problem = "";
        if (request.Version != NetworkChannel.Version)
            problem = $"speaks version {request.Version} of the network channel instead of {NetworkChannel.Version}";
        else if (request.Action > (uint)NetworkAction.Resolve || request.Protocol > (uint)NetworkProtocol.Udp)
            problem = "asks for an unknown kind of network";
        else if ((request.Flags & ~NetworkRequestFlags.All) != 0)
            problem = "sets unknown flags in a network request";
        else if ((NetworkAction)request.Action == NetworkAction.Resolve)
            return ReadName(request, out problem);
        else if (request.NameLength != 0 || request.Endpoint.Reserved != 0 || request.From.Reserved != 0)
            problem = "sends a network request with more in it than its kind has";
        else
            return new NetworkQuestion(
                (NetworkAction)request.Action, (NetworkProtocol)request.Protocol,
                Canonical(request.Endpoint, (NetworkAction)request.Action), request.Endpoint.Port, null);
        return null;
    }

    /// <summary>The kernel takes a connection to no address for one to its own: asked for by that name.</summary>
    static IPAddress Canonical(in NetworkEndpoint endpoint, NetworkAction action)
    {
        IPAddress address = endpoint.ToAddress();
        if (action == NetworkAction.Listen)
            return address;
        return address.Equals(IPAddress.Any) ? IPAddress.Loopback
            : address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback : address;
    }

    static NetworkQuestion? ReadName(in NetworkRequest request, out string problem)
    {
        problem = "";
        if (request.NameLength is 0 or > NetworkChannel.MaximumName)
        {
            problem = "asks for a name of impossible length";
            return null;
        }

        ReadOnlySpan<byte> name = ((ReadOnlySpan<byte>)request.Name)[..(int)request.NameLength];
        if (!IsName(name))
        {
            problem = "asks for what is no name";
            return null;
        }

        return new NetworkQuestion(
            NetworkAction.Resolve, NetworkProtocol.Tcp, null, 0, System.Text.Encoding.ASCII.GetString(name));
    }

    /// <summary>
    /// Labels of 1 to 63 letters in lower case, digits, '-' and '_', of which the last is no number: the host's
    /// resolver would take that for an address.
    /// </summary>
    static bool IsName(ReadOnlySpan<byte> name)
    {
        Range last = default;
        foreach (Range range in name.Split((byte)'.'))
        {
            ReadOnlySpan<byte> label = name[range];
            if (label.Length is 0 or > 63 || label[0] == '-')
                return false;
            foreach (byte character in label)
                if (character is not ((>= (byte)'a' and <= (byte)'z') or (>= (byte)'0' and <= (byte)'9')
                    or (byte)'-' or (byte)'_'))
                    return false;
            last = range;
        }

        return name[last].IndexOfAnyExceptInRange((byte)'0', (byte)'9') >= 0 && !name[last].StartsWith("0x"u8);
    }
}
