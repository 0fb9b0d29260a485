using System.Globalization;

namespace Sandbox.Policy.Language;

/// <summary>System calls by name, number and group.</summary>
public static partial class SystemCallNames
{
    /// <summary>One above the highest number that a rule may name.</summary>
    public const int Limit = 512;

    /// <summary>Groups of calls that are allowed or denied together. @all is every number, known or not.</summary>
    static readonly Dictionary<string, string[]> s_groups = new(StringComparer.Ordinal)
    {
        ["@process"] = ["fork", "vfork", "clone", "clone3", "execve", "execveat"],
        ["@debug"] = ["ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"],
        ["@socket"] =
        [
            "socket", "socketpair", "bind", "listen", "accept", "accept4", "connect", "sendto", "recvfrom", "sendmsg",
            "recvmsg",
            "sendmmsg", "recvmmsg", "shutdown", "getsockname", "getpeername", "setsockopt", "getsockopt",
        ],
        ["@ownership"] = ["chown", "fchown", "lchown", "fchownat", "chmod", "fchmod", "fchmodat", "fchmodat2"],
        ["@identity"] =
            ["setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups"],
        ["@signal"] = ["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"],
    };

    public static IEnumerable<string> Known => s_numbers.Keys.Concat(s_groups.Keys).Append("@all");

    /// <summary>Marks the calls that a word stands for: a name, a number, or a group.</summary>
    /// <param name="calls">By number.</param>
    public static bool TryFind(string word, Span<bool> calls)
    {
        if (word == "@all")
            calls.Fill(true);
        else if (s_groups.TryGetValue(word, out string[]? group))
            foreach (string name in group)
                calls[s_numbers[name]] = true;
        else if (s_numbers.TryGetValue(word, out int known))
            calls[known] = true;
        else if (int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number < Limit)
            calls[number] = true;
        else
            return false;
        return true;
    }

    public static string NameOf(int number) =>
        s_numbers.FirstOrDefault(pair => pair.Value == number) is { Key: string name } ? name : $"{number}";
}
