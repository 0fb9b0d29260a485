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

        return new NetworkRules
            { FourByteAddresses = four, SixteenByteAddresses = sixteen, Hosts = hosts, Names = Names(rules) };
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
                        .Select(address => (new IPNetwork(
                            address, address.AddressFamily == AddressFamily.InterNetwork ? 32 : 128), i)));
            }
        }

        return blocks;
    }

    /// <summary>Of <see cref="Entry"/>: no rule, but a reserved block.</summary>
    const int ReservedEntry = -1;

    /// <summary>
    /// A block that a rule names. Sorted, outer blocks stand before the inner ones that begin with them.
    /// </summary>
    readonly record struct Entry(UInt128 First, int Length, int Rule) : IComparable<Entry>
    {
        public int CompareTo(Entry other) =>
            First != other.First ? First.CompareTo(other.First) : (Length, Rule).CompareTo((other.Length, other.Rule));
    }

    static AddressTable Table(
        IReadOnlyList<NetworkRule> rules, List<(IPNetwork Block, int Rule)> blocks, AddressFamily family, bool reserved)
    {
        int bits = family == AddressFamily.InterNetwork ? 32 : 128;
        var entries = new List<Entry>();
        foreach ((IPNetwork block, int rule) in blocks)
            if (block.BaseAddress.AddressFamily == family)
                entries.Add(new Entry(Number(block.BaseAddress), block.PrefixLength, rule));
        if (reserved)
            foreach (IPNetwork block in ReservedBlocks.All)
                if (block.BaseAddress.AddressFamily == family)
                    entries.Add(new Entry(Number(block.BaseAddress), block.PrefixLength, ReservedEntry));
        entries.Sort();
        var starts = new List<UInt128> { 0 };
        var innermost = new List<int> { AddressTable.NoBlock };
        var around = new List<int>();
        var isReserved = new List<bool>();
        var ports = new List<PortTable?>();
        var open = new Stack<(int Block, UInt128 Last)>();

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

        for (int next, i = 0; i < entries.Count; i = next)
        {
            Entry first = entries[i];
            next = i + 1;
            while (next < entries.Count && entries[next].First == first.First && entries[next].Length == first.Length)
                next++;
            while (open.TryPeek(out (int, UInt128 Last) top) && top.Last < first.First)
                Close();
            int block = around.Count;
            around.Add(open.TryPeek(out (int Block, UInt128) parent) ? parent.Block : AddressTable.NoBlock);
            // Of the entries of one block the reserved one comes first.
            isReserved.Add(first.Rule == ReservedEntry);
            int[] members = [.. entries[(first.Rule == ReservedEntry ? i + 1 : i)..next].Select(entry => entry.Rule)];
            ports.Add(members.Length == 0 ? null : Ports(rules, members));
            open.Push((block, Last(first.First, first.Length, bits)));
            Begin(first.First, block);
        }

        while (open.Count > 0)
            Close();
        return new AddressTable
        {
            Starts = [.. starts],
            Innermost = [.. innermost],
            Around = [.. around],
            Reserved = [.. isReserved],
            Ports = [.. ports],
        };
    }

    public static UInt128 Number(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out int length);
        return length == 4 ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt128BigEndian(bytes);
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

        return byName.ToDictionary(pair => pair.Key, pair => Ports(rules, [.. pair.Value]), StringComparer.Ordinal);
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

    /// <param name="members">Rules, ascending; one that names a block more than once may be there as often.</param>
    static PortTable Ports(IReadOnlyList<NetworkRule> rules, int[] members)
    {
        var bounds = new List<int> { 0 };
        foreach (int rule in members)
            foreach (PortRange range in rules[rule].Ports)
            {
                bounds.Add(range.First);
                bounds.Add(range.Last + 1);
            }

        bounds.Sort();
        var starts = new List<ushort>();
        foreach (int port in bounds)
            if (port <= ushort.MaxValue && (starts.Count == 0 || starts[^1] != port))
                starts.Add((ushort)port);
        ushort[] ranges = [.. starts];
        return new PortTable
        {
            Starts = ranges,
            Denies = Lowest(rules, members, ranges, allow: false),
            Allows = Lowest(rules, members, ranges, allow: true),
        };
    }

    /// <summary>For each range of ports the lowest rule that holds there.</summary>
    static int[] Lowest(IReadOnlyList<NetworkRule> rules, int[] members, ushort[] starts, bool allow)
    {
        int[] lowest = new int[starts.Length];
        Array.Fill(lowest, Verdict.NoRule);
        // From a range, the next that has no rule yet: a rule passes over what lower ones have.
        int[] free = [.. Enumerable.Range(0, starts.Length + 1)];
        foreach (int rule in members)
        {
            if (rules[rule].Allow != allow)
                continue;
            foreach (PortRange range in rules[rule].Ports)
                for (int at = Free(free, Array.BinarySearch(starts, range.First));
                     at < starts.Length && starts[at] <= range.Last; at = Free(free, at))
                {
                    lowest[at] = rule;
                    free[at] = at + 1;
                }
        }

        return lowest;
    }

    static int Free(int[] free, int at)
    {
        while (free[at] != at)
            at = free[at] = free[free[at]];
        return at;
    }
}
