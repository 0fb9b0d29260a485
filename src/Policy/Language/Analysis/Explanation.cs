using System.Net;
using System.Net.Sockets;
using System.Text;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>Why a policy answers a request as it does, and the nearest rule that would change the answer.</summary>
/// <param name="Without">For a rule that decides: the answer without it. Null when no rule decides.</param>
/// <param name="Nearest">
/// For a request that no rule matches: the allowing rule that comes closest; null when there is none.
/// </param>
/// <param name="HasRulesOnAddresses">The policy has rules on addresses that a guest may connect to.</param>
public sealed record Explanation(
    Request Request, Decision Decision, Decision? Without, IRule? Nearest, bool HasRulesOnAddresses)
{
    public static Explanation Of(CompiledPolicy policy, Request request)
    {
        Decision decision = Ask.About(policy, request);
        bool onAddresses = policy.Model.NetworkRules.Any(rule =>
            rule.Action == NetworkAction.Connect && rule.Targets.Any(target => target.Name is null));
        return decision.Rule is null
            ? new Explanation(request, decision, null, NearestRule(policy, request), onAddresses)
            : new Explanation(request, decision, AnswerWithout(policy, decision.Rule, request), null, onAddresses);
    }

    static Decision? AnswerWithout(CompiledPolicy policy, IRule rule, Request request)
    {
        PolicyModel model = rule is HiddenFile or DeniedDevice ? Denials.Without(policy.Model, rule) : policy.Model with
        {
            Shown = [.. policy.Model.Shown.Where(other => !ReferenceEquals(other, rule))],
            PathRules = [.. policy.Model.PathRules.Where(other => !ReferenceEquals(other, rule))],
            NetworkRules = [.. policy.Model.NetworkRules.Where(other => !ReferenceEquals(other, rule))],
            SystemCallRules = [.. policy.Model.SystemCallRules.Where(other => !ReferenceEquals(other, rule))],
            Devices = [.. policy.Model.Devices.Where(other => !ReferenceEquals(other, rule))],
        };
        return CompiledPolicy.Compile(
            model, CompiledPolicy.UserOf(model).Home, new Diagnostics()) is CompiledPolicy without
            ? Ask.About(without, request)
            : null;
    }

    static IRule? NearestRule(CompiledPolicy policy, Request request)
    {
        switch (request)
        {
            case Request.Open open:
                string home = CompiledPolicy.UserOf(policy.Model).Home;
                var candidates = policy.Model.Shown.Select(
                    shown => ((IRule)shown, CompiledPolicy.ExpandHome(shown.Path, home), shown.Access))
                    .Concat(policy.Model.PathRules.Where(rule => rule.Allow).SelectMany(rule =>
                        CompiledPolicy.LiteralPrefixes(rule, home)
                            .Select(prefix => ((IRule)rule, prefix, rule.Access))));
                // The place counts more than the access: one that shares more of the path, then one that allows it.
                return candidates.OrderByDescending(candidate => Shared(candidate.Item2, open.Path))
                    .ThenByDescending(candidate => (candidate.Access & open.Access) != 0)
                    .Select(candidate => candidate.Item1)
                    .FirstOrDefault(candidate => candidate is not null);
            case Request.Connect { Address: IPAddress address } connect:
                return NearestRule(
                    policy, NetworkAction.Connect, target => Shared(target, address), connect.Protocol, connect.Port);
            case Request.Connect connect:
                return NearestRule(policy, NetworkAction.Connect, target =>
                    Shared(target, connect.Host), connect.Protocol, connect.Port);
            case Request.Listen listen:
                return NearestRule(policy, NetworkAction.Listen, target =>
                    Shared(target, listen.Address), listen.Protocol, listen.Port);
            case Request.Resolve resolve:
                return NearestRule(policy, NetworkAction.Resolve, target => Shared(target, resolve.Name), null, 0);
            case Request.SystemCall call:
                return policy.Model.SystemCallRules.FirstOrDefault(
                    rule => rule.Allow && rule.Numbers.Contains(call.Number));
            default:
                return policy.Model.Devices.Count > 0 ? policy.Model.Devices[0] : null;
        }
    }

    /// <summary>The target counts most, then the protocol, then the port.</summary>
    static NetworkRule? NearestRule(
        CompiledPolicy policy, NetworkAction action, Func<NetworkTarget, int> shared, NetworkProtocol? protocol,
        ushort port) =>
        policy.Model.NetworkRules.Where(rule => rule.Allow && rule.Action == action)
            .OrderByDescending(rule => rule.Targets.Max(shared))
            .ThenByDescending(rule => rule.Protocol is null || rule.Protocol == protocol)
            .ThenByDescending(rule => rule.Ports.Any(range => port >= range.First && port <= range.Last))
            .FirstOrDefault();

    /// <summary>A target that holds what is asked about comes before all that share some of it.</summary>
    const int Held = 1000;

    /// <summary>Bits at the beginning.</summary>
    static int Shared(NetworkTarget target, IPAddress address)
    {
        if (target.Name is not null || target.Block.BaseAddress.AddressFamily != address.AddressFamily)
            return -1;
        UInt128 differing = NetworkCompiler.Number(target.Block.BaseAddress) ^ NetworkCompiler.Number(address);
        int bits =
            (int)UInt128.LeadingZeroCount(differing) - (address.AddressFamily == AddressFamily.InterNetwork ? 96 : 0);
        return bits >= target.Block.PrefixLength ? Held + target.Block.PrefixLength : bits;
    }

    /// <summary>Labels at the end.</summary>
    static int Shared(NetworkTarget target, string name)
    {
        if (target.Name is null)
            return -1;
        return target.Name == name
            ? Held
            : target.Name.Split('.').Reverse().Zip(name.Split('.').Reverse())
                .TakeWhile(pair => pair.First == pair.Second).Count();
    }

    static int Shared(string a, string b) =>
        a.Split('/').Zip(b.Split('/')).TakeWhile(pair => pair.First == pair.Second).Count();

    public string Text()
    {
        var text = new StringBuilder($"{(Decision.Allowed ? "allowed" : "denied")}: {Request}\n");
        if (Decision.Rule is IRule rule)
            Append(text, "decided by", rule);
        else
            text.Append("no rule matches, and what is not allowed is denied\n");
        if (Request is Request.Connect { Address: null } && HasRulesOnAddresses)
            text.Append("this is about rules that name the host: rules on addresses hold for those that it turns out "
                + "to have\n");
        if (Without is Decision without)
        {
            text.Append($"without that rule it would be {(without.Allowed ? "allowed" : "denied")}");
            text.Append(
                without.Rule is null ? ": no other rule matches\n" : $" by {without.Rule.Span}: {without.Rule.Text}\n");
        }

        if (Nearest is IRule nearest)
            Append(text, "the nearest rule", nearest);
        return text.ToString();
    }

    static void Append(StringBuilder text, string what, IRule rule)
    {
        text.Append($"{what} {rule.Span}: {rule.Text}\n");
        if (rule.Because is not null)
            text.Append($"because: {rule.Because}\n");
        DiagnosticText.WriteLine(text, rule.Span);
    }
}
