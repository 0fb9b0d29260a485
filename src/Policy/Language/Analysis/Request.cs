using System.Globalization;
using System.Net;
using System.Text;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>Something that a guest might try, as people write it; <see cref="Forms"/> lists the ways.</summary>
public abstract record Request
{
    public const string Forms =
        "open PATH for ACCESS | connect tcp|udp HOST:PORT | listen tcp|udp ADDRESS:PORT | resolve NAME | "
        + "syscall NAME [ARGUMENT...] | device KIND [from FILE]";

    public sealed record Open(string Path, PathAccess Access) : Request
    {
        public override string ToString() => $"open {Path} for {AccessText.Format(Access)}";
    }

    public sealed record Connect(NetworkProtocol Protocol, string Host, IPAddress? Address, ushort Port) : Request
    {
        public override string ToString() => $"connect {NetworkWords.Protocols[(int)Protocol]} {Join(Host, Port)}";
    }

    public sealed record Listen(NetworkProtocol Protocol, IPAddress Address, ushort Port) : Request
    {
        public override string ToString() =>
            $"listen {NetworkWords.Protocols[(int)Protocol]} {Join($"{Address}", Port)}";
    }

    public sealed record Resolve(string Name) : Request
    {
        public override string ToString() => $"resolve {Name}";
    }

    public sealed record SystemCall(int Number, IReadOnlyList<ulong> Arguments) : Request
    {
        public override string ToString() =>
            $"syscall {SystemCallNames.NameOf(Number)}"
            + string.Concat(Arguments.Select(argument => $" 0x{argument:x}"));
    }

    /// <param name="From">The host file behind it; null for any of the kind.</param>
    public sealed record Device(DeviceKind Kind, string? From) : Request
    {
        public override string ToString() => DeviceRule.NameOf(Kind, From);
    }

    static string Join(string host, ushort port) =>
        host.Contains(':', StringComparison.Ordinal) ? $"[{host}]:{port}" : $"{host}:{port}";

    /// <param name="home">What ~ at the beginning of a path stands for.</param>
    /// <param name="problem">What is wrong, when null is returned.</param>
    public static Request? TryParse(string text, string home, out string problem)
    {
        string[] words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        problem = $"{Quote.Value(text)} is not a request; write {Forms}";
        switch (words)
        {
            case ["open", _, .., "for", _]:
                int begin = text.IndexOf("open ", StringComparison.Ordinal) + 5;
                int end = text.LastIndexOf(" for ", StringComparison.Ordinal);
                // A path may end in anything, also in what looks like nothing.
                return ParseOpen(text[begin..end].TrimStart(), words[^1], home, out problem);
            case ["connect" or "listen", "tcp" or "udp", string target]:
                return ParseAddress(
                    words[0], (NetworkProtocol)Array.IndexOf(NetworkWords.Protocols, words[1]), target, out problem);
            case ["resolve", string name]:
                return ParseName(name, out problem) is string asked ? new Resolve(asked) : null;
            case ["syscall", string call, ..]:
                return ParseCall(call, words[2..], out problem);
            case ["device", _] or ["device", _, "from", _, ..]:
                return ParseDevice(words[1], text, out problem);
            default:
                return null;
        }
    }

    static Device? ParseDevice(string kind, string text, out string problem)
    {
        problem = $"{Quote.Value(kind)} is not one of {string.Join(", ", DeviceKinds.Names)}";
        int index = Array.IndexOf(DeviceKinds.Names, kind), from = text.IndexOf(" from ", StringComparison.Ordinal);
        return index < 0 ? null : new Device((DeviceKind)index, from < 0 ? null : text[(from + 6)..].TrimStart());
    }

    static Open? ParseOpen(string path, string access, string home, out string problem)
    {
        if (!GuestPath.TryNormalize(CompiledPolicy.ExpandHome(path, home), out string normalized, out problem))
            return null;
        if (PolicySchema.Accesses.Contains(access))
            return new Open(normalized, AccessText.Parse(access));
        problem = $"{Quote.Value(access)} is not one of {string.Join(", ", PolicySchema.Accesses)}";
        return null;
    }

    static Request? ParseAddress(string action, NetworkProtocol protocol, string target, out string problem)
    {
        problem = $"{Quote.Value(target)} is not HOST:PORT; write [ADDRESS]:PORT for IPv6";
        int colon = target.LastIndexOf(':');
        if (colon < 0 || !ushort.TryParse(
            target.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port))
            return null;
        string host = target[..colon];
        bool brackets = host.StartsWith('[') && host.EndsWith(']');
        if (NetworkText.TryAddress(brackets ? host[1..^1] : host, out IPAddress? address))
            return action == "listen"
                ? new Listen(protocol, address, port)
                : new Connect(protocol, $"{address}", address, port);
        if (action == "listen")
            problem = $"{Quote.Value(host)} is not an address; a guest listens on addresses, as in 127.0.0.1:{port}";
        return action != "listen" && !brackets && ParseName(host, out problem) is string name
            ? new Connect(protocol, name, null, port)
            : null;
    }

    /// <summary>One name, without a star.</summary>
    static string? ParseName(string text, out string problem)
    {
        if (NetworkText.TryName(text, out string name, out problem) && !name.StartsWith('*'))
            return name;
        problem =
            $"{Quote.Value(text)} is not a host name{(text.StartsWith('*') ? "; a request is about one name" : "")}";
        return null;
    }

    static SystemCall? ParseCall(string call, string[] arguments, out string problem)
    {
        Span<bool> calls = stackalloc bool[SystemCallNames.Limit];
        calls.Clear();
        problem = $"there is no system call {Quote.Value(call)}";
        if (!SystemCallNames.TryFind(call, calls))
        {
            problem += Closest.Advice(call, SystemCallNames.Known) is string advice ? $"; {advice}" : "";
            return null;
        }

        problem = $"{Quote.Value(call)} is a group of system calls; ask about one of them";
        if (calls.Count(true) != 1)
            return null;
        problem = "a system call has up to six numbers as arguments";
        ulong[] values = new ulong[arguments.Length];
        for (int i = 0; i < values.Length; i++)
        {
            if (!NumberText.TryParse(arguments[i], out values[i], out string? advice))
            {
                problem += advice is null ? "" : $"; {advice}";
                return null;
            }
        }

        return values.Length <= 6 ? new SystemCall(calls.IndexOf(true), values) : null;
    }
}

/// <summary>What a policy answers to a request.</summary>
/// <param name="Rule">Who decides; null when no rule matches, which denies.</param>
public sealed record Decision(bool Allowed, IRule? Rule);

/// <summary>Asks a policy.</summary>
public static class Ask
{
    public static Decision About(CompiledPolicy policy, Request request)
    {
        switch (request)
        {
            case Request.Open open:
                return Of(policy.Paths.Decide(Encoding.UTF8.GetBytes(open.Path), open.Access), policy.PathRuleList);
            case Request.Connect { Address: IPAddress address } connect:
                return Of(policy.Network.Decide(NetworkAction.Connect, connect.Protocol, address, connect.Port),
                    policy.Model.NetworkRules);
            case Request.Connect connect:
                return Of(
                    policy.Network.Connect(connect.Protocol, connect.Host, connect.Port), policy.Model.NetworkRules);
            case Request.Listen listen:
                return Of(policy.Network.Decide(NetworkAction.Listen, listen.Protocol, listen.Address, listen.Port),
                    policy.Model.NetworkRules);
            case Request.Resolve resolve:
                return Of(policy.Network.Resolve(resolve.Name), policy.Model.NetworkRules);
            case Request.SystemCall call:
                ulong[] arguments = new ulong[6];
                call.Arguments.ToArray().CopyTo(arguments, 0);
                SystemCallVerdict verdict = policy.SystemCalls.Decide((uint)call.Number, arguments);
                return Of(new Verdict(verdict.Allowed, verdict.Rule), policy.Model.SystemCallRules);
            case Request.Device device:
                DeviceRule? given = policy.Model.Devices.FirstOrDefault(
                    rule => rule.Kind == device.Kind && (device.From is null || rule.From == device.From));
                return given is not null
                    ? new Decision(true, given)
                    : new Decision(false, policy.Model.DeniedDevices.FirstOrDefault(
                        rule => rule.IsAbout(device.Kind, device.From)
                            || (device.From is null && rule.Kind == device.Kind)));
            default:
                throw new ArgumentOutOfRangeException(nameof(request));
        }
    }

    static Decision Of(Verdict verdict, IReadOnlyList<IRule> rules) =>
        new(verdict.Allowed, verdict.Rule >= 0 ? rules[verdict.Rule] : null);
}
