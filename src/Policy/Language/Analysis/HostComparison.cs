using System.Net;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Compares what two policies say about hosts by their names. A name may turn out to stand for any address, and two
/// names for the same one: so it makes a difference, too, what rules deny where nothing but a name is allowed, and
/// which names are denied where something else is allowed.
/// </summary>
sealed class HostComparison(CompiledPolicy old, CompiledPolicy @new, NetworkProtocol protocol, RegionReport report)
{
    /// <summary>What a policy lets a guest connect to: addresses that a rule names, or a host.</summary>
    sealed record Reached(IPAddress? Address, string? Host, IRule Rule);

    readonly Lazy<FirstByPort<Reached>> _oldHosts = new(() => HostsOf(old, protocol));
    readonly Lazy<FirstByPort<Reached>> _newHosts = new(() => HostsOf(@new, protocol));
    readonly Lazy<NamedAddresses> _addresses = new(() => NamedAddresses.Of(old, @new, protocol));
    FirstByPort<Reached>? _oldPlaces;
    FirstByPort<Reached>? _newPlaces;

    string Kind => $"connect {protocol} by name";

    /// <summary>
    /// An address that one policy denies and the other says nothing about, which a name may stand for.
    /// </summary>
    /// <param name="last">The last port up to which the rules on this address decide alike.</param>
    public void CompareBehind(IPAddress address, ushort port, ushort last, Verdict one, Verdict other)
    {
        FirstByPort<Reached> hosts = (one.IsDeny ? _newHosts : _oldHosts).Value;
        // Where a reserved address is, no name leads.
        if (hosts.FirstIn(port, last) is not (ushort at, Reached reached) || ReservedBlocks.Of(address) is not null)
            return;
        CompiledPolicy denying = one.IsDeny ? old : @new;
        Report(one.IsDeny, denying.Model.NetworkRules[one.IsDeny ? one.Rule : other.Rule], reached,
            () => $"{new Request.Connect(protocol, $"{address}", address, at)} when {reached.Host} is there");
    }

    public void Compare()
    {
        Dictionary<string, PortTable> before = old.Network.Hosts[(int)protocol],
            after = @new.Network.Hosts[(int)protocol];
        foreach (string host in before.Keys.Union(after.Keys))
        {
            var ports = new SortedSet<ushort>();
            ports.UnionWith(before.GetValueOrDefault(host)?.Starts ?? []);
            ports.UnionWith(after.GetValueOrDefault(host)?.Starts ?? []);
            ushort[] starts = [.. ports];
            for (int i = 0; i < starts.Length; i++)
            {
                var request = new Request.Connect(protocol, host, null, starts[i]);
                Decision one = Ask.About(old, request), other = Ask.About(@new, request);
                if (one.Allowed != other.Allowed)
                    CompareAllowed(host, starts[i], AddressRegions.LastOf(starts, i), one, other);
                else if (one.Rule is null != other.Rule is null)
                    CompareDenied(host, starts[i], AddressRegions.LastOf(starts, i), one, other);
            }
        }
    }

    /// <summary>
    /// A name that one policy allows. Where no address is left to it, or only such as the other policy allows anyhow,
    /// that is no difference.
    /// </summary>
    void CompareAllowed(string host, ushort first, ushort last, Decision one, Decision other)
    {
        NamedAddresses addresses = _addresses.Value;
        FirstByPort<IPAddress> left = (one.Allowed, (one.Allowed ? other : one).Rule) switch
        {
            (true, null) => addresses.NotDeniedByOldNorAllowedByNew,
            (true, _) => addresses.NotDeniedByOld,
            (false, null) => addresses.NotDeniedByNewNorAllowedByOld,
            (false, _) => addresses.NotDeniedByNew,
        };
        if (left.FirstIn(first, last) is (ushort at, _))
            report(one, other, $"connect {protocol} {host}", new Request.Connect(protocol, host, null, at).ToString);
    }

    /// <summary>A name that one policy denies, and that may stand for what the other allows.</summary>
    void CompareDenied(string host, ushort first, ushort last, Decision one, Decision other)
    {
        bool oldDenies = one.Rule is not null;
        FirstByPort<Reached> places = oldDenies
            ? _newPlaces ??= PlacesOf(@new, _addresses.Value.NotDeniedByNew)
            : _oldPlaces ??= PlacesOf(old, _addresses.Value.NotDeniedByOld);
        if (places.FirstIn(first, last) is not (ushort at, Reached reached))
            return;
        Report(oldDenies, (one.Rule ?? other.Rule)!, reached,
            () => reached.Address is IPAddress address
                ? $"{new Request.Connect(protocol, $"{address}", address, at)} when {host} is there"
                : $"{new Request.Connect(protocol, reached.Host!, null, at)} when {host} is there too");
    }

    void Report(bool oldDenies, IRule denying, Reached reached, Func<string> witness)
    {
        Decision denied = new(false, denying), allowed = new(true, reached.Rule);
        report(oldDenies ? denied : allowed, oldDenies ? allowed : denied, Kind, witness);
    }

    static FirstByPort<Reached> HostsOf(CompiledPolicy policy, NetworkProtocol protocol)
    {
        var hosts = new FirstByPort<Reached>();
        foreach ((ushort first, ushort last, Reached reached) in AllowedHosts(policy, protocol))
            hosts.Add(first, last, reached);
        return hosts;
    }

    /// <param name="left">Ports with addresses that the policy leaves to names.</param>
    FirstByPort<Reached> PlacesOf(CompiledPolicy policy, FirstByPort<IPAddress> left)
    {
        var places = new FirstByPort<Reached>();
        var regions = new AddressRegions();
        foreach (bool six in (ReadOnlySpan<bool>)[false, true])
        {
            AddressTable table = NetworkComparison.TableOf(policy, NetworkAction.Connect, protocol, six);
            foreach (UInt128 start in AddressRegions.Starts(table, table, six))
            {
                // No more than both policies have together, for which there was time.
                ushort[] ports = regions.PortsAt(table, table, start)!;
                for (int i = 0; i < ports.Length; i++)
                    if (places.HasFree(ports[i], AddressRegions.LastOf(ports, i))
                        && table.Decide(start, ports[i]) is { Allowed: true } verdict)
                        places.Add(ports[i], AddressRegions.LastOf(ports, i),
                            new Reached(
                                AddressRegions.Address(start, six), null, policy.Model.NetworkRules[verdict.Rule]));
            }
        }

        foreach ((ushort first, ushort last, Reached reached) in AllowedHosts(policy, protocol))
            foreach ((ushort from, ushort to) in left.Within(first, last))
                places.Add(from, to, reached);
        return places;
    }

    static IEnumerable<(ushort First, ushort Last, Reached Reached)> AllowedHosts(
        CompiledPolicy policy, NetworkProtocol protocol)
    {
        foreach ((string host, PortTable table) in policy.Network.Hosts[(int)protocol])
            for (int i = 0; i < table.Starts.Length; i++)
                if (table.Denies[i] < 0 && table.Allows[i] >= 0)
                    yield return (table.Starts[i], AddressRegions.LastOf(table.Starts, i),
                        new Reached(null, host, policy.Model.NetworkRules[table.Allows[i]]));
    }
}
