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
        foreach (int rule in DecidingNetworkRules(policy))
            used.Add(policy.Model.NetworkRules[rule]);
        foreach (int rule in SystemCallComparison.RulesThatDecide(policy))
            used.Add(policy.Model.SystemCallRules[rule]);
        return used;
    }

    static HashSet<int> DecidingNetworkRules(CompiledPolicy policy)
    {
        NetworkRules network = policy.Network;
        var rules = new HashSet<int>();
        var regions = new AddressRegions();
        foreach (bool six in (ReadOnlySpan<bool>)[false, true])
            foreach (AddressTable table in six ? network.SixteenByteAddresses : network.FourByteAddresses)
                foreach (UInt128 start in AddressRegions.Starts(table, table, six))
                {
                    if (regions.PortsAt(table, table, start) is not ushort[] ports)
                        return [.. Enumerable.Range(0, policy.Model.NetworkRules.Count)];
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
