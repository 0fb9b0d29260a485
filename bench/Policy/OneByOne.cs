using System.Net;
using System.Text;
using System.Text.RegularExpressions;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Bench.Policy;

/// <summary>The peer: a policy as a list of rules that are gone through for each request, patterns as compiled expressions.</summary>
sealed class OneByOne(PolicyModel model)
{
    readonly (PathRule Rule, Regex Pattern)[] _paths =
    [
        .. model.PathRules.Select(rule => (rule, new Regex(
            "^" + Regex.Escape(rule.Patterns[0].Value).Replace("/\\*\\*", "(/[^/]+)*", StringComparison.Ordinal)
                .Replace("\\*", "[^/]*", StringComparison.Ordinal) + "$", RegexOptions.Compiled | RegexOptions.CultureInvariant))),
    ];

    readonly NetworkRule[] _network = [.. model.NetworkRules];

    public bool Path(byte[] path, PathAccess access)
    {
        string text = Encoding.UTF8.GetString(path);
        bool allowed = model.Shown.Any(shown => (shown.Access & access) != 0 && text.StartsWith(shown.Path, StringComparison.Ordinal));
        foreach ((PathRule rule, Regex pattern) in _paths)
        {
            if ((rule.Access & access) == 0 || (allowed && rule.Allow) || !pattern.IsMatch(text))
                continue;
            if (!rule.Allow)
                return false;
            allowed = true;
        }

        return allowed;
    }

    public bool Connect(IPAddress address, ushort port)
    {
        bool allowed = false;
        foreach (NetworkRule rule in _network)
        {
            if ((allowed && rule.Allow) || !rule.Targets[0].Block.Contains(address)
                || !rule.Ports.Any(range => port >= range.First && port <= range.Last))
                continue;
            if (!rule.Allow)
                return false;
            allowed = true;
        }

        return allowed;
    }
}
