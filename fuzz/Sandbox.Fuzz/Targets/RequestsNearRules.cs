using System.Buffers.Binary;
using System.Net;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Fuzz.Targets;

/// <summary>Requests that two small policies are likely to tell apart: what their rules name, and what lies beside it.</summary>
static class RequestsNearRules
{
    const int MaximumPaths = 400;
    const int MaximumCalls = 2_000;

    /// <summary>Small enough for an evaluator that tries everything.</summary>
    public static bool AreFew(PolicyModel model) =>
        model.Rules.Count() <= 40 && model.SystemCallRules.Sum(rule => rule.Conditions.Count) <= 12
        && model.PathRules.All(rule => rule.Patterns.All(pattern =>
            pattern.Value.Length <= 200 && pattern.Value.Split('/').Count(name => name == "**") <= 4
            && pattern.Value.Split('/').All(name => name == "**" || name.Count(c => c == '*') <= 4)));

    public static IEnumerable<Request> Of(PolicyModel old, PolicyModel @new, string home) =>
        Paths([old, @new], home).SelectMany(Opens).Concat(Network([old, @new])).Concat(Calls([old, @new]));

    static IEnumerable<Request> Opens(string path) =>
        new[] { PathAccess.Read, PathAccess.Write, PathAccess.Execute, PathAccess.Create, PathAccess.Delete }
            .Select(access => new Request.Open(path, access));

    /// <summary>Names of the rules, and what their stars might stand for, in each other's places.</summary>
    static IEnumerable<string> Paths(PolicyModel[] models, string home)
    {
        IEnumerable<string> written = models.SelectMany(model =>
            model.Shown.Select(shown => shown.Path).Concat(model.Hidden.Select(hidden => hidden.Path)).Concat(model.PathRules.SelectMany(rule => rule.Patterns.Select(pattern => pattern.Value))));
        var paths = new HashSet<string>(StringComparer.Ordinal) { "/", home };
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (string pattern in written)
        {
            string path = pattern.StartsWith('~') ? home + pattern[1..] : pattern;
            foreach (string star in (string[])["", "z", "a", ".o"])
            {
                string[] filled = [.. path.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(name => star.Length > 0 || name != "**")
                    .Select(name => Unescape(name.Replace("**", "*", StringComparison.Ordinal), star)).Where(name => name.Length > 0)];
                names.UnionWith(filled);
                for (int length = 0; length <= filled.Length; length++)
                    paths.Add("/" + string.Join('/', filled[..length]));
            }
        }

        string[] some = [.. names.Take(12)];
        foreach (string path in paths.Take(MaximumPaths / 13).ToArray())
            paths.UnionWith(some.Select(name => path == "/" ? path + name : $"{path}/{name}"));
        return paths.Take(MaximumPaths).Where(path => GuestPath.TryNormalize(path, out string normal, out _) && normal == path);
    }

    static string Unescape(string name, string star)
    {
        var text = new System.Text.StringBuilder();
        for (int i = 0; i < name.Length; i++)
            text.Append(name[i] == '*' ? star : name[i] == '\\' && i + 1 < name.Length ? name[++i].ToString() : name[i].ToString());
        return text.ToString();
    }

    static IEnumerable<Request> Network(PolicyModel[] models)
    {
        NetworkRule[] rules = [.. models.SelectMany(model => model.NetworkRules)];
        NetworkTarget[] targets = [.. rules.SelectMany(rule => rule.Targets)];
        IPAddress[] addresses = [.. targets.Where(target => target.Name is null).SelectMany(target => Around(target.Block)).Distinct().Take(120)];
        ushort[] ports = [.. rules.SelectMany(rule => rule.Ports).SelectMany(Around).Distinct().Take(12)];
        foreach (NetworkProtocol protocol in (NetworkProtocol[])[NetworkProtocol.Tcp, NetworkProtocol.Udp])
            foreach (IPAddress address in addresses)
                foreach (ushort port in ports)
                {
                    yield return new Request.Connect(protocol, $"{address}", address, port);
                    yield return new Request.Listen(protocol, address, port);
                }

        foreach (string name in targets.Where(target => target.Name is not null).Select(target => target.Name!.TrimStart('*').TrimStart('.')).Distinct())
            foreach (string asked in (string[])[name, "zz." + name, "other." + name, "a.zz." + name])
                yield return new Request.Resolve(asked);
    }

    static IEnumerable<ushort> Around(PortRange range) =>
        new[] { range.First, range.First - 1, range.Last, range.Last + 1 }.Where(port => port is >= 0 and <= ushort.MaxValue).Select(port => (ushort)port);

    /// <summary>The block's first and last address, and those beside it.</summary>
    static IEnumerable<IPAddress> Around(IPNetwork block)
    {
        byte[] first = block.BaseAddress.GetAddressBytes();
        int bits = 8 * first.Length;
        UInt128 low = bits == 32 ? BinaryPrimitives.ReadUInt32BigEndian(first) : BinaryPrimitives.ReadUInt128BigEndian(first);
        UInt128 all = bits == 32 ? uint.MaxValue : UInt128.MaxValue;
        UInt128 high = block.PrefixLength == bits ? low : low | (all >> block.PrefixLength);
        byte[] bytes = new byte[16];
        foreach (UInt128 number in (UInt128[])[low, high, (low - 1) & all, (high + 1) & all])
        {
            BinaryPrimitives.WriteUInt128BigEndian(bytes, number);
            var address = new IPAddress(bytes.AsSpan(16 - first.Length));
            // As the kernel would: an IPv4 address in IPv6 dress is an IPv4 address.
            yield return address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        }
    }

    static IEnumerable<Request> Calls(PolicyModel[] models)
    {
        SystemCallRule[] rules = [.. models.SelectMany(model => model.SystemCallRules)];
        int[] numbers = [.. rules.SelectMany(rule => rule.Numbers.Take(2)).Append(0).Distinct().Take(8)];
        ArgumentCondition[] conditions = [.. rules.SelectMany(rule => rule.Conditions)];
        ulong[][] values = [.. Enumerable.Range(0, 6).Select(argument => conditions.Where(condition => condition.Argument == argument)
            .SelectMany(condition => new[] { condition.Value, condition.Value - 1, condition.Value + 1, condition.Value | 1UL << 32, condition.Value ^ condition.Mask })
            .Append(0UL).Append(ulong.MaxValue).Distinct().Take(8).ToArray())];
        long combinations = Math.Min(values.Aggregate(1L, (product, some) => product * some.Length), MaximumCalls / numbers.Length);
        foreach (int number in numbers)
            for (long combination = 0; combination < combinations; combination++)
            {
                long rest = combination;
                ulong[] arguments = new ulong[6];
                for (int argument = 0; argument < 6; argument++)
                {
                    arguments[argument] = values[argument][rest % values[argument].Length];
                    rest /= values[argument].Length;
                }

                yield return new Request.SystemCall(number, arguments);
            }
    }
}
