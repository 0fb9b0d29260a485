using System.Net;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>A part of a policy that is too large to say which of its rules decide anything.</summary>
/// <param name="Rule">One of those that it is about.</param>
sealed record Undecided(IRule Rule, string Rules, string Advice);

/// <summary>Which rules decide anything at all.</summary>
/// <param name="Deciding">Also those of which it could not be told.</param>
sealed record Effects(IReadOnlySet<IRule> Deciding, IReadOnlyList<Undecided> Undecided)
{
    /// <summary>Calls that are named one by one.</summary>
    const int MaximumNames = 5;

    public static Effects Of(CompiledPolicy policy)
    {
        PolicyModel model = policy.Model;
        var used = new HashSet<IRule>(ReferenceEqualityComparer.Instance);
        var undecided = new List<Undecided>();
        bool all = PathComparison.Compare(policy, policy, (decision, _, _, _) =>
        {
            if (decision.Rule is not null)
                used.Add(decision.Rule);
        });
        if (!all)
        {
            used.UnionWith(policy.PathRuleList);
            undecided.Add(new(model.PathRules.Count > 0 ? model.PathRules[0] : policy.PathRuleList[0], "rules on paths",
                "use fewer wildcards behind one another, or fewer rules"));
        }

        if (DecidingNetworkRules(policy) is HashSet<int> network)
            used.UnionWith(network.Select(rule => model.NetworkRules[rule]));
        else
        {
            used.UnionWith(model.NetworkRules);
            undecided.Add(
                new(model.NetworkRules[0], "rules on the network", "use fewer blocks with ports of their own"));
        }

        used.UnionWith(SystemCallComparison.RulesThatDecide(policy, out IReadOnlyList<int> calls)
            .Select(rule => model.SystemCallRules[rule]));
        if (calls.Count > 0)
            undecided.Add(new(model.SystemCallRules.First(rule => rule.Numbers.Contains(calls[0])),
                $"rules on {NamesOf(calls)}", "use fewer conditions"));
        HashSet<(DeviceKind, string?)> denied = [];
        foreach (DeniedDevice device in model.DeniedDevices)
            if (!denied.Contains((device.Kind, null)) && denied.Add((device.Kind, device.From)))
                used.Add(device);
        return new Effects(used, undecided);
    }

    static string NamesOf(IReadOnlyList<int> calls) =>
        string.Join(", ", calls.Take(MaximumNames).Select(SystemCallNames.NameOf))
        + (calls.Count > MaximumNames ? $" and {calls.Count - MaximumNames} more system calls" : "");

    /// <returns>Null when there are too many regions of addresses and ports.</returns>
    static HashSet<int>? DecidingNetworkRules(CompiledPolicy policy)
    {
        NetworkRules network = policy.Network;
        var rules = new HashSet<int>();
        var regions = new AddressRegions();
        foreach (bool six in (ReadOnlySpan<bool>)[false, true])
            foreach (AddressTable table in six ? network.SixteenByteAddresses : network.FourByteAddresses)
                foreach (UInt128 start in AddressRegions.Starts(table, table, six))
                {
                    if (regions.PortsAt(table, table, start) is not ushort[] ports)
                        return null;
                    foreach (ushort port in ports)
                        rules.Add(table.Decide(start, port).Rule);
                }

        foreach (PortTable host in network.Hosts.SelectMany(hosts => hosts.Values))
            for (int i = 0; i < host.Starts.Length; i++)
                rules.Add(host.Denies[i] >= 0 ? host.Denies[i] : host.Allows[i]);
        foreach (string name in NetworkComparison.AskedNames(network.Names.Keys))
            rules.Add(network.Resolve(name).Rule);

        rules.Remove(Verdict.NoRule);
        return rules;
    }
}
