using System.Net;
using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Network;

namespace Sandbox.Supervisor.Planning;

/// <summary>The guest's own small /etc: what programs read to learn who they are, and nothing of the host's.</summary>
/// <param name="network">Null for a guest without one.</param>
sealed class SyntheticEtc(GuestUser user, string hostname, NetworkGrant? network)
{
    const uint Nobody = 65534;

    public GuestUser User => user;

    /// <summary>Null for a file that this guest has no use for.</summary>
    public string? Content(GeneratedFile file) => file switch
    {
        GeneratedFile.Passwd => Passwd(user),
        GeneratedFile.Group => Group(user),
        GeneratedFile.Hostname => hostname + "\n",
        GeneratedFile.Hosts => Hosts(),
        GeneratedFile.NameServices => NameServices(network?.HasNameServer == true ? "files dns" : "files"),
        GeneratedFile.Resolver =>
            network?.HasNameServer == true ? $"nameserver {GuestNetwork.NameServerAddress}\n" : null,
        _ => throw new ArgumentOutOfRangeException(nameof(file), file, null),
    };

    /// <summary>
    /// The hosts that rules name are found without DNS, at the addresses that the rules were applied to.
    /// </summary>
    string Hosts()
    {
        var text = new StringBuilder($"127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        if (network is not null)
            foreach ((string name, IReadOnlyList<IPAddress> addresses) in network.Pins.OrderBy(
                pin => pin.Key, StringComparer.Ordinal))
                foreach (IPAddress address in addresses)
                    text.Append($"{address}\t{name}\n");
        return text.ToString();
    }

    // Only sources that read files, and DNS where it may be asked: there is no daemon to connect to.
    static string NameServices(string hosts) => $"""
        passwd: files
        group: files
        shadow: files
        hosts: {hosts}
        networks: files
        protocols: files
        services: files

        """;

    static string Passwd(GuestUser user)
    {
        var text = new StringBuilder();
        if (user.Uid != 0)
            text.Append("root:x:0:0:root:/root:/bin/sh\n");
        text.Append($"{user.Name}:x:{user.Uid}:{user.Gid}:{user.Name}:{user.Home}:/bin/sh\n");
        if (user.Uid != Nobody)
            text.Append("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
        return text.ToString();
    }

    static string Group(GuestUser user)
    {
        const uint tty = 5;
        var text = new StringBuilder();
        if (user.Gid != 0)
            text.Append("root:x:0:\n");
        if (user.Gid != tty)
            text.Append("tty:x:5:\n");
        text.Append($"{GroupName(user)}:x:{user.Gid}:\n");
        if (user.Gid != Nobody)
            text.Append("nogroup:x:65534:\n");
        return text.ToString();
    }

    static string GroupName(GuestUser user) => user.Gid switch
    {
        0 => "root",
        5 => "tty",
        Nobody => "nogroup",
        // A user called root or tty with another group must not give that group the well-known name.
        _ => user.Name is "root" or "tty" or "nogroup" ? "users" : user.Name,
    };
}
