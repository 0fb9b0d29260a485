using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>Compiles network rules to sorted tables.</summary>
static class NetworkCompiler
{
    /// <param name="pins">Addresses that the names of rules stand for, once they are known; null before.</param>
    public static NetworkRules Compile(
        IReadOnlyList<NetworkRule> rules, IReadOnlyDictionary<string, IReadOnlyList<IPAddress>>? pins = null)
    {
        var four = new AddressTable[4];
        var sixteen = new AddressTable[4];
        var hosts = new Dictionary<string, PortTable>[2];
        foreach (NetworkProtocol protocol in (ReadOnlySpan<NetworkProtocol>)[NetworkProtocol.Tcp, NetworkProtocol.Udp])
        {
            foreach (NetworkAction action in (ReadOnlySpan<NetworkAction>)[NetworkAction.Connect, NetworkAction.Listen])
            {
                int table = 2 * (int)action + (int)protocol;
                List<(IPNetwork Block, int Rule)> blocks = Blocks(rules, action, protocol, pins);
                bool reserved = action == NetworkAction.Connect;
                four[table] = Table(rules, blocks, AddressFamily.InterNetwork, reserved);
                sixteen[table] = Table(rules, blocks, AddressFamily.InterNetworkV6, reserved);
            }

            hosts[(int)protocol] = Hosts(rules, protocol);
        }

        return new NetworkRules { FourByteAddresses = four, SixteenByteAddresses = sixteen, Hosts = hosts, Names = Names(rules) };
    }

    static bool IsAbout(NetworkRule rule, NetworkAction action, NetworkProtocol protocol) =>
        rule.Action == action && (rule.Protocol is null || rule.Protocol == protocol);

    static List<(IPNetwork, int)> Blocks(
        IReadOnlyList<NetworkRule> rules, NetworkAction action, NetworkProtocol protocol,
        IReadOnlyDictionary<string, IReadOnlyList<IPAddress>>? pins)
    {
        var blocks = new List<(IPNetwork, int)>();
        for (int i = 0; i < rules.Count; i++)
        {
            if (!IsAbout(rules[i], action, protocol))
                continue;
            foreach (NetworkTarget target in rules[i].Targets)
            {
                if (target.Name is null)
                    blocks.Add((target.Block, i));
                else if (pins is not null && pins.TryGetValue(target.Name, out IReadOnlyList<IPAddress>? addresses))
                    // A name that leads inside does not name what is inside; a deny holds wherever it leads.
                    blocks.AddRange(addresses.Where(address => !rules[i].Allow || ReservedBlocks.Of(address) is null)
                        .Select(address => (new IPNetwork(address, address.AddressFamily == AddressFamily.InterNetwork ? 32 : 128), i)));
            }
        }

        return blocks;
    }

    static AddressTable Table(
        IReadOnlyList<NetworkRule> rules, List<(IPNetwork Block, int Rule)> blocks, AddressFamily family, bool reserved)
    {
        int bits = family == AddressFamily.InterNetwork ? 32 : 128;
        // Outer blocks before the inner ones that begin with them.
        var sorted = new SortedDictionary<(UInt128 First, int Length), (List<int> Rules, bool Reserved)>();
        foreach ((IPNetwork block, int rule) in blocks.Where(block => block.Block.BaseAddress.AddressFamily == family))
        {
            var key = (Number(block.BaseAddress), block.PrefixLength);
            if (!sorted.TryGetValue(key, out (List<int> Rules, bool) found))
                sorted.Add(key, found = ([], false));
            found.Rules.Add(rule);
        }

        if (reserved)
            foreach (IPNetwork block in ReservedBlocks.All.Where(block => block.BaseAddress.AddressFamily == family))
            {
                var key = (Number(block.BaseAddress), block.PrefixLength);
                sorted[key] = (sorted.TryGetValue(key, out (List<int> Rules, bool) found) ? found.Rules : [], true);
            }

        var starts = new List<UInt128> { 0 };
        var innermost = new List<int> { AddressTable.NoBlock };
        var around = new List<int>();
        var open = new Stack<(int Block, UInt128 Last)>();
        var keys = sorted.Keys.ToArray();

        void Begin(UInt128 start, int block)
        {
            if (starts[^1] == start)
                innermost[^1] = block;
            else
            {
                starts.Add(start);
                innermost.Add(block);
            }
        }

        void Close()
        {
            (int _, UInt128 last) = open.Pop();
            if (last != Last(0, 0, bits))
                Begin(last + 1, open.TryPeek(out (int Block, UInt128) outer) ? outer.Block : AddressTable.NoBlock);
        }

        for (int i = 0; i < keys.Length; i++)
        {
            while (open.TryPeek(out (int, UInt128 Last) top) && top.Last < keys[i].First)
                Close();
            around.Add(open.TryPeek(out (int Block, UInt128) parent) ? parent.Block : AddressTable.NoBlock);
            open.Push((i, Last(keys[i].First, keys[i].Length, bits)));
            Begin(keys[i].First, i);
        }

        while (open.Count > 0)
            Close();
        return new AddressTable
        {
            Starts = [.. starts],
            Innermost = [.. innermost],
            Around = [.. around],
            Reserved = [.. sorted.Values.Select(value => value.Reserved)],
            Ports = [.. sorted.Values.Select(value => value.Rules.Count == 0 ? null : Ports(rules, value.Rules))],
        };
    }

    public static UInt128 Number(IPAddress address)
    {
        byte[] bytes = address.GetAddressBytes();
        return bytes.Length == 4 ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt128BigEndian(bytes);
    }

    static UInt128 Last(UInt128 first, int length, int bits) =>
        length == bits ? first : first | (UInt128.MaxValue >> (128 - bits + length));

    static Dictionary<string, PortTable> Hosts(IReadOnlyList<NetworkRule> rules, NetworkProtocol protocol)
    {
        var byName = new Dictionary<string, List<int>>(StringComparer.Ordinal);
        for (int i = 0; i < rules.Count; i++)
        {
            if (!IsAbout(rules[i], NetworkAction.Connect, protocol))
                continue;
            foreach (NetworkTarget target in rules[i].Targets.Where(target => target.Name is not null))
            {
                if (!byName.TryGetValue(target.Name!, out List<int>? list))
                    byName.Add(target.Name!, list = []);
                list.Add(i);
            }
        }

        return byName.ToDictionary(pair => pair.Key, pair => Ports(rules, pair.Value), StringComparer.Ordinal);
    }

    static Dictionary<string, (int Deny, int Allow)> Names(IReadOnlyList<NetworkRule> rules)
    {
        var names = new Dictionary<string, (int Deny, int Allow)>(StringComparer.Ordinal);
        for (int i = 0; i < rules.Count; i++)
        {
            if (rules[i].Action != NetworkAction.Resolve)
                continue;
            foreach (NetworkTarget target in rules[i].Targets)
            {
                string key = target.Name!.TrimStart('*');
                (int Deny, int Allow) found = names.GetValueOrDefault(key, (Verdict.NoRule, Verdict.NoRule));
                if (rules[i].Allow && found.Allow < 0)
                    found.Allow = i;
                else if (!rules[i].Allow && found.Deny < 0)
                    found.Deny = i;
                names[key] = found;
            }
        }

        return names;
    }

    /// <summary>Sweeps over where the ranges of some rules begin and end.</summary>
    static PortTable Ports(IReadOnlyList<NetworkRule> rules, List<int> members)
    {
        var changes = new SortedDictionary<int, (List<int> Begin, List<int> End)> { [0] = ([], []) };
        (List<int> Begin, List<int> End) At(int port)
        {
            if (!changes.TryGetValue(port, out (List<int>, List<int>) change))
                changes.Add(port, change = ([], []));
            return change;
        }

        // A rule can name a block, and a port, more than once.
        foreach (int rule in members)
            foreach (PortRange range in rules[rule].Ports)
            {
                At(range.First).Begin.Add(rule);
                At(range.Last + 1).End.Add(rule);
            }

        var active = new Dictionary<int, int>();
        var denying = new SortedSet<int>();
        var allowing = new SortedSet<int>();
        var starts = new List<ushort>();
        var denies = new List<int>();
        var allows = new List<int>();
        foreach ((int port, (List<int> begin, List<int> end)) in changes.Where(change => change.Key <= ushort.MaxValue))
        {
            foreach (int rule in begin)
            {
                active[rule] = active.GetValueOrDefault(rule) + 1;
                (rules[rule].Allow ? allowing : denying).Add(rule);
            }

            foreach (int rule in end)
                if (--active[rule] == 0)
                    (rules[rule].Allow ? allowing : denying).Remove(rule);
            starts.Add((ushort)port);
            denies.Add(denying.Count > 0 ? denying.Min : Verdict.NoRule);
            allows.Add(allowing.Count > 0 ? allowing.Min : Verdict.NoRule);
        }

        return new PortTable { Starts = [.. starts], Denies = [.. denies], Allows = [.. allows] };
    }
}
