using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

// The network section.
sealed partial class Binder
{
    NetworkRule? ReadNetworkRule(YamlMap map)
    {
        if (OneOf(map, "allow", "deny") is not { } given)
            return null;
        var action = (NetworkAction)Array.IndexOf(NetworkActions.Names, Text(given.Value));
        var targets = new List<NetworkTarget>();
        foreach (YamlScalar text in Scalars(map["to"]))
            if (ReadTarget(text, action, given.Key.Value == "deny") is NetworkTarget target)
                targets.Add(target);
        var ports = new List<PortRange>();
        foreach (YamlScalar text in Scalars(map["port"]))
            if (ReadPorts(text) is PortRange range)
                ports.Add(range);
        if (action == NetworkAction.Resolve && (map["port"] ?? map["protocol"]) is YamlNode extra)
        {
            Add(DiagnosticKind.Conflict, extra.Span, "asking DNS for a name has no protocol and no port",
                "leave it out");
            return null;
        }

        if (targets.Count == 0 || (map["port"] is not null && ports.Count == 0))
            return null;
        NetworkProtocol? protocol = Text(map["protocol"]) is string name
            ? (NetworkProtocol)Array.IndexOf(NetworkWords.Protocols, name)
            : null;
        return new NetworkRule(
            map.Span, Text(map["because"]), given.Key.Value == "allow", action, protocol, targets,
            ports.Count == 0 ? [PortRange.All] : ports);
    }

    NetworkTarget? ReadTarget(YamlScalar text, NetworkAction action, bool denies)
    {
        // To be asked for every name is a channel to whoever answers: that is only denied.
        if (text.Value == "*" && action == NetworkAction.Resolve && denies)
            return new NetworkTarget("*", default);
        if (NetworkText.TryBlock(text.Value, out IPNetwork block, out string problem))
        {
            if (action != NetworkAction.Resolve)
                return new NetworkTarget(null, block);
            problem = $"{Quote.Value(text.Value)} is an address; DNS is asked for names";
        }
        else if (problem.Length == 0 && NetworkText.TryName(text.Value, out string name, out problem))
        {
            if (action == NetworkAction.Listen)
                problem = $"{Quote.Value(text.Value)} is a name; a guest listens on addresses";
            else if (action == NetworkAction.Connect && name.StartsWith('*'))
                problem =
                    $"{Quote.Value(text.Value)} stands for names that cannot be resolved beforehand; name each host";
            else
                return new NetworkTarget(name, default);
        }

        Add(DiagnosticKind.BadValue, text.Span, $"to: {problem}");
        return null;
    }

    PortRange? ReadPorts(YamlScalar text)
    {
        string[] ends = text.Value.Split('-');
        if (ends.Length <= 2
            && ushort.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out ushort first)
            && ushort.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out ushort last)
            && first <= last
            && !ends.Any(NumberText.HasLeadingZero))
            return new PortRange(first, last);
        Add(DiagnosticKind.BadValue, text.Span,
            $"port: {Quote.Value(text.Value)} is not a port or a range of ports, as in 443 or 8000-8999");
        return null;
    }
}
