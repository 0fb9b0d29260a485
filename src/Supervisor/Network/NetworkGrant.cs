using System.Net;
using System.Net.Sockets;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.Network;

/// <summary>What of the network a policy gives, with the addresses that the names of its hosts have now.</summary>
/// <param name="Pins">By name, in lower case: addresses that the rules let the guest connect to.</param>
/// <param name="HasNameServer">Some name may be asked for.</param>
sealed record NetworkGrant(
    NetworkRules Rules, IReadOnlyDictionary<string, IReadOnlyList<IPAddress>> Pins, bool HasNameServer)
{
    /// <summary>Rules that allow connections, by the addresses that they name one by one.</summary>
    public required Lazy<ILookup<IPAddress, NetworkRule>> ByAddress { private get; init; }

    /// <summary>
    /// Whether a rule allows a connection to this address by naming it alone, or a host that had it when the guest was
    /// started: not by a block around it.
    /// </summary>
    public bool Names(NetworkProtocol protocol, IPAddress address, ushort port) => ByAddress.Value[address].Any(rule =>
        (rule.Protocol is null || rule.Protocol == protocol)
        && rule.Ports.Any(range => range.First <= port && port <= range.Last));

    /// <summary>Looks up the hosts that rules name, all at once.</summary>
    /// <returns>Null for a policy that allows nothing of the network.</returns>
    /// <exception cref="UsageException">
    /// A name has no address, or only some that are reserved: its rule cannot be evaluated, and that refuses.
    /// </exception>
    public static NetworkGrant? Prepare(
        PolicyModel policy, Func<string, (int Error, IPAddress[] Addresses)> resolver)
    {
        if (!policy.NetworkRules.Any(rule => rule.Allow))
            return null;
        string[] names = [.. policy.NetworkRules.Where(rule => rule.Action == NetworkAction.Connect)
            .SelectMany(rule => rule.Targets).Select(target => target.Name).OfType<string>()
            .Distinct(StringComparer.Ordinal)];
        Task<(int Error, IPAddress[] Addresses)>[] lookups =
            [.. names.Select(name => Task.Factory.StartNew(() => resolver(name), TaskCreationOptions.LongRunning))];
        var found = new Dictionary<string, IReadOnlyList<IPAddress>>(StringComparer.Ordinal);
        for (int i = 0; i < names.Length; i++)
        {
            (int error, IPAddress[] addresses) = lookups[i].GetAwaiter().GetResult();
            if (error != 0)
                throw new UsageException(
                    $"{SpanOf(policy, names[i])}: the host {names[i]} has no address now, so that this rule cannot be "
                        + "applied; check the name and this host's resolver");
            found.Add(names[i], addresses);
        }

        NetworkRules rules = CompiledPolicy.Pin(policy, found);
        var pins = new Dictionary<string, IReadOnlyList<IPAddress>>(StringComparer.Ordinal);
        foreach ((string name, IReadOnlyList<IPAddress> addresses) in found)
            if (Reachable(policy, rules, name, addresses) is { } reachable)
                pins.Add(name, reachable);
        return new NetworkGrant(
            rules, pins, policy.NetworkRules.Any(rule => rule.Allow && rule.Action == NetworkAction.Resolve))
        {
            // Asked for few addresses, if any.
            ByAddress = new Lazy<ILookup<IPAddress, NetworkRule>>(() => policy.NetworkRules
                .Where(rule => rule.Allow && rule.Action == NetworkAction.Connect)
                .SelectMany(rule => rule.Targets.SelectMany(target => Single(target, found))
                    .Select(address => (address, rule)))
                .ToLookup(pair => pair.address, pair => pair.rule)),
        };
    }

    /// <summary>The addresses that a rule names one by one.</summary>
    static IEnumerable<IPAddress> Single(
        NetworkTarget target, Dictionary<string, IReadOnlyList<IPAddress>> found)
    {
        if (target.Name is { } name)
            return found[name];
        int bits = target.Block.BaseAddress.AddressFamily == AddressFamily.InterNetwork ? 32 : 128;
        return target.Block.PrefixLength == bits ? [target.Block.BaseAddress] : [];
    }

    /// <summary>Null for a name that only denies speak of.</summary>
    static List<IPAddress>? Reachable(
        PolicyModel policy, NetworkRules rules, string name, IReadOnlyList<IPAddress> addresses)
    {
        NetworkRule[] allowing = [.. policy.NetworkRules.Where(rule =>
            rule.Allow && rule.Action == NetworkAction.Connect && rule.Targets.Any(target => target.Name == name))];
        if (allowing.Length == 0)
            return null;
        bool Allows(NetworkRule rule, IPAddress address) => rule.Ports.Any(range =>
            (rule.Protocol != NetworkProtocol.Udp && rules.Decide(
                NetworkAction.Connect, NetworkProtocol.Tcp, address, range.First).Allowed)
            || (rule.Protocol != NetworkProtocol.Tcp && rules.Decide(
                NetworkAction.Connect, NetworkProtocol.Udp, address, range.First).Allowed));
        List<IPAddress> reachable = [.. addresses.Where(address => allowing.Any(rule => Allows(rule, address)))];
        return reachable.Count > 0 ? reachable : throw new UsageException(
            $"{allowing[0].Span}: the host {name} has only addresses that are reserved or denied "
                + $"({string.Join(", ", addresses)}); name the address too, if it is meant");
    }

    static SourceSpan SpanOf(PolicyModel policy, string name) =>
        policy.NetworkRules.First(rule => rule.Targets.Any(target => target.Name == name)).Span;
}
