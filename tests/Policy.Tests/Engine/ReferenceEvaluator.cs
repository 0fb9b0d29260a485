using System.Net;
using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Policy.Tests;

/// <summary>The language's meaning, slow and plain: one rule after the other, in the words of docs/policy.md.</summary>
static class ReferenceEvaluator
{
    public static Verdict Path(PolicyModel model, string home, string path, PathAccess access)
    {
        string[] names = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        int denied = -1, allowed = -1;
        for (int i = model.Hidden.Count - 1; i >= 0; i--)
            if ($"{path}/".StartsWith(Expand(model.Hidden[i].Path, home) + "/", StringComparison.Ordinal))
                denied = model.Shown.Count + model.PathRules.Count + i;
        for (int i = model.PathRules.Count - 1; i >= 0; i--)
        {
            PathRule rule = model.PathRules[i];
            if ((rule.Access & access) == 0 || !rule.Patterns.Any(pattern => Matches(Expand(pattern.Value, home), names)))
                continue;
            if (rule.Allow)
                allowed = model.Shown.Count + i;
            else
                denied = model.Shown.Count + i;
        }

        int shown = Shown(model, home, path, access);
        if (shown >= 0)
            allowed = shown;
        return denied >= 0 ? new Verdict(false, denied) : new Verdict(allowed >= 0, allowed);
    }

    static int Shown(PolicyModel model, string home, string path, PathAccess access)
    {
        string[] places = [.. model.Shown.Select(shown => Expand(shown.Path, home))];
        int deepest = -1;
        for (int i = 0; i < places.Length; i++)
        {
            bool leaf = model.Shown[i].Kind is ShownKind.Text or ShownKind.Link or ShownKind.Generated;
            bool covers = path == places[i] || (!leaf && path.StartsWith(places[i] + "/", StringComparison.Ordinal));
            if (covers && (deepest < 0 || places[i].Length > places[deepest].Length))
                deepest = i;
        }

        if (deepest >= 0 && (model.Shown[deepest].Access & access) != 0)
            return deepest;
        bool covered = places.Any(place => path == place || path.StartsWith(place + "/", StringComparison.Ordinal));
        if (access != PathAccess.Read || covered)
            return -1;
        // A folder that leads to something shown, and not only to what lies within something else shown.
        return Array.FindIndex(places, place => (path == "/" || place.StartsWith(path + "/", StringComparison.Ordinal))
            && !places.Any(other => place.StartsWith(other + "/", StringComparison.Ordinal)));
    }

    static string Expand(string pattern, string home) => pattern.StartsWith('~') ? home + pattern[1..] : pattern;

    static bool Matches(string pattern, ReadOnlySpan<string> names) =>
        MatchesAll(pattern.Split('/', StringSplitOptions.RemoveEmptyEntries), names);

    static bool MatchesAll(ReadOnlySpan<string> pattern, ReadOnlySpan<string> names)
    {
        if (pattern.IsEmpty)
            return names.IsEmpty;
        if (pattern[0] == "**")
            return MatchesAll(pattern[1..], names) || (!names.IsEmpty && MatchesAll(pattern, names[1..]));
        return !names.IsEmpty && MatchesName(pattern[0], names[0]) && MatchesAll(pattern[1..], names[1..]);
    }

    static bool MatchesName(ReadOnlySpan<char> pattern, ReadOnlySpan<char> name)
    {
        if (pattern.IsEmpty)
            return name.IsEmpty;
        if (pattern[0] == '*')
            return MatchesName(pattern[1..], name) || (!name.IsEmpty && MatchesName(pattern, name[1..]));
        // What is escaped stands for itself.
        if (pattern[0] == '\\')
            pattern = pattern[1..];
        return !name.IsEmpty && pattern[0] == name[0] && MatchesName(pattern[1..], name[1..]);
    }

    static readonly string[] s_reserved =
    [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "100.100.100.200/32", "127.0.0.0/8", "169.254.0.0/16", "169.254.169.254/32",
        "169.254.170.2/32", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32", "192.0.0.192/32", "169.254.170.23/32", "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "fd00:ec2::23/128",
        "fd20:ce::254/128", "255.255.255.255/32", "::/128", "::1/128", "64:ff9b::/96", "2001::/32", "2002::/16", "fc00::/7", "fd00:ec2::254/128",
        "fe80::/10", "fec0::/10", "ff00::/8",
    ];

    static readonly IPNetwork[] s_reservedBlocks = [.. s_reserved.Select(block => IPNetwork.Parse(block))];

    /// <param name="pins">Addresses that the names of hosts stand for.</param>
    public static Verdict Address(
        PolicyModel model, NetworkAction action, NetworkProtocol protocol, IPAddress address, ushort port,
        Dictionary<string, IReadOnlyList<IPAddress>> pins)
    {
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        int denied = -1, allowed = -1;
        for (int i = model.NetworkRules.Count - 1; i >= 0; i--)
        {
            NetworkRule rule = model.NetworkRules[i];
            if (rule.Action != action || (rule.Protocol is not null && rule.Protocol != protocol)
                || !rule.Ports.Any(range => port >= range.First && port <= range.Last))
                continue;
            foreach (NetworkTarget target in rule.Targets)
            {
                bool about = target.Name is null
                    ? target.Block.Contains(address)
                    : pins.TryGetValue(target.Name, out IReadOnlyList<IPAddress>? addresses) && addresses.Contains(address);
                if (!about)
                    continue;
                if (!rule.Allow)
                    denied = i;
                else if (action == NetworkAction.Listen || (target.Name is null ? IsNamed(target.Block, address) : !IsReserved(address)))
                    allowed = i;
            }
        }

        return denied >= 0 ? new Verdict(false, denied) : new Verdict(allowed >= 0, allowed);
    }

    /// <summary>Every reserved block that holds the address holds the rule's block too, or is it.</summary>
    static bool IsNamed(IPNetwork block, IPAddress address) =>
        s_reservedBlocks.Where(reserved => reserved.Contains(address)).All(reserved => block.PrefixLength >= reserved.PrefixLength);

    static bool IsReserved(IPAddress address) => s_reservedBlocks.Any(reserved => reserved.Contains(address));

    public static Verdict Host(PolicyModel model, NetworkProtocol protocol, string host, ushort port)
    {
        int denied = -1, allowed = -1;
        for (int i = model.NetworkRules.Count - 1; i >= 0; i--)
        {
            NetworkRule rule = model.NetworkRules[i];
            if (rule.Action != NetworkAction.Connect || (rule.Protocol is not null && rule.Protocol != protocol)
                || rule.Targets.All(target => target.Name != host)
                || !rule.Ports.Any(range => port >= range.First && port <= range.Last))
                continue;
            if (rule.Allow)
                allowed = i;
            else
                denied = i;
        }

        return denied >= 0 ? new Verdict(false, denied) : new Verdict(allowed >= 0, allowed);
    }

    public static SystemCallVerdict SystemCall(PolicyModel model, uint number, ulong[] arguments)
    {
        foreach (bool allow in (bool[])[false, true])
            for (int i = 0; i < model.SystemCallRules.Count; i++)
            {
                SystemCallRule rule = model.SystemCallRules[i];
                if (rule.Allow != allow || !rule.Numbers.Contains((int)number)
                    || !rule.Conditions.All(condition => condition.Holds(arguments[condition.Argument])))
                    continue;
                return new SystemCallVerdict(allow, i, allow ? 0 : rule.Answer);
            }

        return new SystemCallVerdict(false, -1, 1);
    }

    public static Verdict Resolve(PolicyModel model, string name)
    {
        int denied = -1, allowed = -1;
        for (int i = model.NetworkRules.Count - 1; i >= 0; i--)
        {
            NetworkRule rule = model.NetworkRules[i];
            bool about = rule.Action == NetworkAction.Resolve && rule.Targets.Any(target => target.Name == name
                || (target.Name!.StartsWith('*') && name.EndsWith(target.Name[1..], StringComparison.Ordinal)));
            if (about && rule.Allow)
                allowed = i;
            else if (about)
                denied = i;
        }

        return denied >= 0 ? new Verdict(false, denied) : new Verdict(allowed >= 0, allowed);
    }

    public static byte[] Bytes(string path) => Encoding.UTF8.GetBytes(path);
}
