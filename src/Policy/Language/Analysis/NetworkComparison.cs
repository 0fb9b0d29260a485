using System.Buffers.Binary;
using System.Net;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>Compares the network rules of two policies, one request for each region in which both decide alike.</summary>
static class NetworkComparison
{
    /// <summary>Half a second of them.</summary>
    const int MaximumRegions = 500_000;

    /// <returns>False when there are too many regions.</returns>
    public static bool Compare(CompiledPolicy old, CompiledPolicy @new, RegionReport report)
    {
        int regions = 0;
        var ports = new SortedSet<ushort>();
        foreach (NetworkProtocol protocol in (ReadOnlySpan<NetworkProtocol>)[NetworkProtocol.Tcp, NetworkProtocol.Udp])
        {
            foreach (NetworkAction action in (ReadOnlySpan<NetworkAction>)[NetworkAction.Connect, NetworkAction.Listen])
            {
                int table = 2 * (int)action + (int)protocol;
                foreach (bool six in (ReadOnlySpan<bool>)[false, true])
                {
                    AddressTable before = six ? old.Network.SixteenByteAddresses[table] : old.Network.FourByteAddresses[table];
                    AddressTable after = six ? @new.Network.SixteenByteAddresses[table] : @new.Network.FourByteAddresses[table];
                    foreach (UInt128 start in before.Starts.Union(after.Starts))
                    {
                        IPAddress address = Address(start, six);
                        // What is an IPv4 address never comes here.
                        if (address.IsIPv4MappedToIPv6)
                            continue;
                        ports.Clear();
                        Effects.AddPortsAround(before, Range(before, start), ports);
                        Effects.AddPortsAround(after, Range(after, start), ports);
                        foreach (ushort port in ports)
                        {
                            if (++regions > MaximumRegions)
                                return false;
                            Request Asked() => action == NetworkAction.Connect
                                ? new Request.Connect(protocol, $"{address}", address, port)
                                : new Request.Listen(protocol, address, port);
                            Verdict one = before.Decide(start, port), other = after.Decide(start, port);
                            if (one.Allowed != other.Allowed)
                                report(Ask.About(old, Asked()), Ask.About(@new, Asked()), $"{action} {protocol}", () => $"{Asked()}");
                        }
                    }
                }
            }

            CompareHosts(old, @new, protocol, report);
        }

        CompareNames(old, @new, report);
        return true;
    }

    static int Range(AddressTable table, UInt128 address)
    {
        int found = table.Starts.AsSpan().BinarySearch(address);
        return found >= 0 ? found : ~found - 1;
    }

    static IPAddress Address(UInt128 number, bool six)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, number);
        return new IPAddress(six ? bytes : bytes[12..]);
    }

    static void CompareHosts(CompiledPolicy old, CompiledPolicy @new, NetworkProtocol protocol, RegionReport report)
    {
        Dictionary<string, PortTable> before = old.Network.Hosts[(int)protocol], after = @new.Network.Hosts[(int)protocol];
        foreach (string host in before.Keys.Union(after.Keys))
        {
            var ports = new SortedSet<ushort>();
            ports.UnionWith(before.GetValueOrDefault(host)?.Starts ?? []);
            ports.UnionWith(after.GetValueOrDefault(host)?.Starts ?? []);
            foreach (ushort port in ports)
            {
                var request = new Request.Connect(protocol, host, null, port);
                report(Ask.About(old, request), Ask.About(@new, request), $"connect {protocol} {host}", request.ToString);
            }
        }
    }

    /// <summary>A name is decided by whether a rule spells it out, and by the longest suffix of it that a rule names.</summary>
    static void CompareNames(CompiledPolicy old, CompiledPolicy @new, RegionReport report)
    {
        var names = old.Network.Names.Keys.Union(@new.Network.Names.Keys).ToHashSet(StringComparer.Ordinal);
        foreach (string name in names.ToArray())
        {
            string asked = name;
            for (int i = 0; asked.StartsWith('.') || (asked != name && (names.Contains(asked) || names.Contains("." + asked))); i++)
                asked = $"other{(i == 0 ? "" : i)}{name}";
            var request = new Request.Resolve(asked);
            report(Ask.About(old, request), Ask.About(@new, request), "resolve", request.ToString);
        }
    }
}
