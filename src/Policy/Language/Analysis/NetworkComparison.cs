using System.Net;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Compares the network rules of two policies, one request for each region in which both decide alike.
/// </summary>
sealed class NetworkComparison
{
    readonly CompiledPolicy _old;
    readonly CompiledPolicy _new;
    readonly RegionReport _report;
    readonly AddressRegions _regions = new();

    NetworkComparison(CompiledPolicy old, CompiledPolicy @new, RegionReport report)
    {
        _old = old;
        _new = @new;
        _report = report;
    }

    /// <returns>False when there are too many regions.</returns>
    public static bool Compare(CompiledPolicy old, CompiledPolicy @new, RegionReport report)
    {
        var comparison = new NetworkComparison(old, @new, report);
        foreach (NetworkProtocol protocol in (ReadOnlySpan<NetworkProtocol>)[NetworkProtocol.Tcp, NetworkProtocol.Udp])
        {
            var hosts = new HostComparison(old, @new, protocol, report);
            if (!comparison.Compare(NetworkAction.Connect, protocol, hosts)
                || !comparison.Compare(NetworkAction.Listen, protocol, null))
                return false;
            hosts.Compare();
        }

        comparison.CompareNames();
        return true;
    }

    /// <param name="hosts">Of connect: whose names stand for addresses, which rules on addresses deny.</param>
    bool Compare(NetworkAction action, NetworkProtocol protocol, HostComparison? hosts)
    {
        foreach (bool six in (ReadOnlySpan<bool>)[false, true])
        {
            AddressTable before = TableOf(_old, action, protocol, six), after = TableOf(_new, action, protocol, six);
            foreach (UInt128 start in AddressRegions.Starts(before, after, six))
            {
                if (_regions.PortsAt(before, after, start) is not ushort[] ports)
                    return false;
                IPAddress address = AddressRegions.Address(start, six);
                for (int i = 0; i < ports.Length; i++)
                {
                    ushort port = ports[i];
                    Request Asked() => action == NetworkAction.Connect
                        ? new Request.Connect(protocol, $"{address}", address, port)
                        : new Request.Listen(protocol, address, port);
                    Verdict one = before.Decide(start, port), other = after.Decide(start, port);
                    if (one.Allowed != other.Allowed)
                        _report(Ask.About(_old, Asked()), Ask.About(_new, Asked()), $"{action} {protocol}", () =>
                            $"{Asked()}");
                    else if (one.IsDeny != other.IsDeny)
                        hosts?.CompareBehind(address, port, AddressRegions.LastOf(ports, i), one, other);
                }
            }
        }

        return true;
    }

    public static AddressTable TableOf(
        CompiledPolicy policy, NetworkAction action, NetworkProtocol protocol, bool six) =>
        (six ? policy.Network.SixteenByteAddresses : policy.Network.FourByteAddresses)[2 * (int)action + (int)protocol];

    void CompareNames()
    {
        foreach (string name in AskedNames(_old.Network.Names.Keys.Union(_new.Network.Names.Keys)))
        {
            var request = new Request.Resolve(name);
            _report(Ask.About(_old, request), Ask.About(_new, request), "resolve", request.ToString);
        }
    }

    /// <summary>
    /// A name of each kind: a name is decided by whether a rule spells it out, and by the longest suffix of it that a
    /// rule names.
    /// </summary>
    public static IEnumerable<string> AskedNames(IEnumerable<string> named)
    {
        HashSet<string> names = named.ToHashSet(StringComparer.Ordinal);
        foreach (string name in names)
        {
            string asked = name;
            for (int i = 0;
                asked.Length == 0 || asked.StartsWith('.')
                    || (asked != name && (names.Contains(asked) || names.Contains("." + asked)));
                i++)
                asked = $"other{(i == 0 ? "" : i)}{name}";
            yield return asked;
        }
    }
}
