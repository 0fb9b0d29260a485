using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.Planning;

/// <summary>The guest's own small /etc: what programs read to learn who they are, and nothing of the host's.</summary>
static class SyntheticEtc
{
    const uint Nobody = 65534;

    public static string Content(GeneratedFile file, GuestUser user, string hostname) => file switch
    {
        GeneratedFile.Passwd => Passwd(user),
        GeneratedFile.Group => Group(user),
        GeneratedFile.Hostname => hostname + "\n",
        GeneratedFile.Hosts => $"127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n",
        GeneratedFile.NameServices => NameServices,
        _ => throw new ArgumentOutOfRangeException(nameof(file), file, null),
    };

    // Only sources that read files: there is no network to ask and no daemon to connect to.
    const string NameServices = """
        passwd: files
        group: files
        shadow: files
        hosts: files
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
