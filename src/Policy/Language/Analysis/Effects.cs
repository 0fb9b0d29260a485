using System.Net;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>Which rules decide anything at all.</summary>
static class Effects
{
    public static HashSet<IRule> RulesThatDecide(CompiledPolicy policy)
    {
        var used = new HashSet<IRule>(ReferenceEqualityComparer.Instance);
        bool all = PathComparison.Compare(policy, policy, (decision, _, _, _) =>
        {
            if (decision.Rule is not null)
                used.Add(decision.Rule);
        });
        // Too large to say: nothing is blamed.
        if (!all)
            used.UnionWith(policy.PathRuleList);
        foreach (int rule in DecidingNetworkRules(policy.Network))
            used.Add(policy.Model.NetworkRules[rule]);
        foreach (int rule in policy.SystemCallTables.Rules)
            used.Add(policy.Model.SystemCallRules[rule]);
        return used;
    }

    static HashSet<int> DecidingNetworkRules(NetworkRules network)
    {
        var rules = new HashSet<int>();
        var ports = new SortedSet<ushort>();
        foreach (AddressTable table in network.FourByteAddresses.Concat(network.SixteenByteAddresses))
            for (int range = 0; range < table.Starts.Length; range++)
            {
                ports.Clear();
                AddPortsAround(table, range, ports);
                foreach (ushort port in ports)
                    rules.Add(table.Decide(table.Starts[range], port).Rule);
            }

        foreach (PortTable host in network.Hosts.SelectMany(hosts => hosts.Values))
            for (int i = 0; i < host.Starts.Length; i++)
                rules.Add(host.Denies[i] >= 0 ? host.Denies[i] : host.Allows[i]);
        foreach (string name in network.Names.Keys)
        {
            // A suffix stands for the names below it.
            rules.Add(network.Resolve(name.StartsWith('.') ? "any" + name : name).Rule);
        }

        rules.Remove(Verdict.NoRule);
        return rules;
    }

    /// <summary>A port of each range in which all ports are decided alike.</summary>
    public static void AddPortsAround(AddressTable table, int range, SortedSet<ushort> ports)
    {
        ports.Add(0);
        for (int block = table.Innermost[range]; block != AddressTable.NoBlock; block = table.Around[block])
            if (table.Ports[block] is PortTable around)
                ports.UnionWith(around.Starts);
    }
}
