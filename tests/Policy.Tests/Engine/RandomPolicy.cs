using System.Net;
using System.Text;

namespace Sandbox.Policy.Tests;

/// <summary>Policies and requests over a small world, so that rules meet often. The same seed gives the same ones.</summary>
sealed class RandomPolicy(int seed)
{
    static readonly string[] s_names = ["a", "b", "ab", "abc", "x.o", "ab.o", "lib.so", "lib.so.1", "é", "sandbox", "home"];
    static readonly string[] s_wildcards = ["*", "a*", "*.o", "*b*", "*.so*", "a*c", "**", "**"];
    static readonly string[] s_access = ["read", "write", "execute", "create", "delete"];
    static readonly string[] s_blocks =
    [
        "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "192.0.2.0/24", "192.0.2.128/25", "169.254.0.0/16",
        "169.254.169.254", "127.0.0.0/8", "128.0.0.0/1", "255.255.255.255", "::/0", "2001:db8::/32", "2001:db8:1::/48", "fd00::/8",
        "fe80::/10", "::1", "ffff::/16", "255.0.0.0/8",
    ];
    static readonly string[] s_hosts = ["example.org", "a.example.org", "b.a.example.org", "example.com", "org"];

    static readonly string[] s_targets = [.. s_blocks, .. s_hosts];

    readonly Random _random = new(seed);

    T Any<T>(IReadOnlyList<T> list) => list[_random.Next(list.Count)];

    string Some(IReadOnlyList<string> list) =>
        $"[{string.Join(", ", Enumerable.Range(0, _random.Next(1, 4)).Select(_ => $"'{Any(list)}'"))}]";

    public string Path(int most = 5) => "/" + string.Join('/', Enumerable.Range(0, _random.Next(0, most)).Select(_ => Any(s_names)));

    string Pattern()
    {
        int length = _random.Next(0, 5);
        string names = string.Concat(Enumerable.Range(0, length).Select(_ => "/" + (_random.Next(3) == 0 ? Any(s_wildcards) : Any(s_names))));
        if (_random.Next(8) == 0)
            return "~" + names;
        return names.Length == 0 ? "/" : names;
    }

    string Port() => _random.Next(3) switch { 0 => $"{_random.Next(4)}", 1 => "65535", _ => $"{_random.Next(3)}-{_random.Next(3, 65536)}" };

    public string Text()
    {
        var text = new StringBuilder("files:\n  show:\n");
        string[] places = [.. Enumerable.Range(0, _random.Next(1, 6)).Select(_ => Path(4)).Where(path => path != "/").Append("/usr").Distinct()];
        foreach (string place in places)
            text.Append(_random.Next(4) == 0 ? $"    - {{path: '{place}', text: x}}\n" : $"    - {{path: '{place}', access: {Some(s_access)}}}\n");
        if (Hidden(places) is string hidden)
            text.Append($"    - {{deny: '{hidden}'}}\n");
        text.Append("  rules:\n    - {deny: read, path: /never}\n");
        for (int i = _random.Next(0, 12); i > 0; i--)
            text.Append($"    - {{{Action()}: {Some(s_access)}, path: ['{Pattern()}', '{Pattern()}']}}\n");
        text.Append("network:\n  - {deny: connect, to: 203.0.113.0/24}\n");
        for (int i = _random.Next(0, 12); i > 0; i--)
        {
            string protocol = _random.Next(3) switch { 0 => ", protocol: tcp", 1 => ", protocol: udp", _ => "" };
            string port = _random.Next(2) == 0 ? "" : $", port: ['{Port()}', '{Port()}']";
            bool listen = _random.Next(4) == 0;
            text.Append($"  - {{{Action()}: {(listen ? "listen" : "connect")}, to: {Some(listen ? s_blocks : s_targets)}{protocol}{port}}}\n");
        }

        for (int i = _random.Next(0, 5); i > 0; i--)
            text.Append($"  - {{{Action()}: resolve, to: ['{(_random.Next(2) == 0 ? "*." : "")}{Any(s_hosts)}']}}\n");
        text.Append("syscalls:\n  - deny: ptrace\n");
        for (int i = _random.Next(0, 8); i > 0; i--)
        {
            bool allow = _random.Next(2) == 0;
            string answer = allow ? "" : _random.Next(3) switch { 0 => ", answer: kill", 1 => ", answer: ENOSYS", _ => "" };
            string when = _random.Next(2) == 0 ? "" : $", when: {{argument: {_random.Next(2)}, as: {Any(["int", "long"])}, is: '{Any(["==", "!=", "<", "<=", ">", ">="])}', value: {_random.Next(3)}}}";
            text.Append($"  - {{{(allow ? "allow" : "deny")}: {Any(["'@all'", "[0, 1]", "'1'", "'2'", "[read, '@socket']"])}{answer}{when}}}\n");
        }

        return text.ToString();
    }

    /// <summary>A path below which nothing appears, which nothing that is shown is at; null for none.</summary>
    string? Hidden(string[] places)
    {
        var random = new Random(seed);
        string within = places[random.Next(places.Length)] + "/" + s_names[random.Next(s_names.Length)];
        return random.Next(2) == 0 && !places.Any(place => place == within || place.StartsWith(within + "/", StringComparison.Ordinal)) ? within : null;
    }

    string Action() => _random.Next(2) == 0 ? "allow" : "deny";

    public ushort AnyPort() => Any<ushort>([0, 1, 2, 3, 4, 80, 65534, 65535]);

    public string AnyHost() => _random.Next(2) == 0 ? Any(s_hosts) : "x." + Any(s_hosts);

    /// <summary>What the names of hosts were found to stand for; nothing for one of them.</summary>
    public Dictionary<string, IReadOnlyList<IPAddress>> Pins() => s_hosts.Skip(1).ToDictionary(
        host => host, _ => (IReadOnlyList<IPAddress>)[.. Enumerable.Range(0, _random.Next(1, 4)).Select(_ => Unmapped(AnyAddress()))]);

    static IPAddress Unmapped(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    public IPAddress AnyAddress()
    {
        string block = Any(s_blocks);
        IPAddress address = IPAddress.Parse(block.Split('/')[0]);
        byte[] bytes = address.GetAddressBytes();
        if (_random.Next(2) == 0)
            bytes[_random.Next(bytes.Length)] ^= (byte)(1 << _random.Next(8));
        address = new IPAddress(bytes);
        return bytes.Length == 4 && _random.Next(4) == 0 ? address.MapToIPv6() : address;
    }

    public ulong[] Arguments() =>
        [(ulong)(uint)_random.Next(4) | (_random.Next(2) == 0 ? 0UL : 1UL << 32), (ulong)_random.Next(4), 0, 0, 0, ulong.MaxValue];

    public uint Number() => Any<uint>([0, 1, 2, 41, 101, 511, 512, uint.MaxValue]);
}
