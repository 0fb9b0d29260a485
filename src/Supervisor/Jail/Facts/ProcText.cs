using System.Globalization;

namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>
/// What the kernel writes about a process. Pure; anything may be in it: a text that is not wholly understood, or says
/// something twice, is answered with null.
/// </summary>
static class ProcText
{
    /// <summary>The most of anything that comes in lines or columns.</summary>
    const int Most = 16 << 10;

    static readonly string[] s_capabilities = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

    public static ThreadStatus? Status(string text)
    {
        Dictionary<string, string> fields = [];
        foreach (string line in text.Split('\n', Most))
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0 && !fields.TryAdd(line[..colon], line[(colon + 1)..].Trim()))
                return null;
        }

        string[] Words(string name) => fields.TryGetValue(name, out string? value)
            ? value.Split((char[]?)null, Most, StringSplitOptions.RemoveEmptyEntries)
            : [];
        uint[]? uids = Four(Words("Uid")), gids = Four(Words("Gid"));
        ulong[] capabilities = new ulong[s_capabilities.Length];
        for (int i = 0; i < capabilities.Length; i++)
            if (!fields.TryGetValue(s_capabilities[i], out string? set) || set.Length != 16
                || !ulong.TryParse(
                    set, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out capabilities[i]))
                return null;
        string[] numbers = Words("NSpid");
        int? filters = fields.TryGetValue("Seccomp_filters", out string? count) ? Number(count) : -1;
        if (uids is null || gids is null || !fields.ContainsKey("Groups") || filters is null || numbers.Length == 0
            || Number(numbers[^1]) is not int inner
            || Words("NoNewPrivs") is not [string privileges] || privileges is not ("0" or "1")
            || Words("Seccomp") is not [string seccomp] || Number(seccomp) is not int mode)
            return null;
        return new ThreadStatus(uids, gids, Words("Groups").Length, capabilities, privileges == "1", mode,
            filters < 0 ? null : filters, inner, numbers.Length);
    }

    /// <summary>Of /proc/PID/stat: state and name apart, session, flags (PF_*) and start time in clock ticks.</summary>
    public static ProcessStat? Stat(string text)
    {
        // The second field is a name in parentheses, and anything may be in it.
        int open = text.IndexOf('('), close = text.LastIndexOf(')');
        if (open < 0 || close < open)
            return null;
        string[] fields = text[(close + 1)..].Split(' ', Most, StringSplitOptions.RemoveEmptyEntries);
        // The first of them is field 3.
        const int parent = 4 - 3, session = 6 - 3, flags = 9 - 3, start = 22 - 3;
        return fields.Length > start && Number(fields[parent]) is int ppid && Number(fields[session]) is int sid
            && uint.TryParse(fields[flags], NumberStyles.None, CultureInfo.InvariantCulture, out uint bits)
            && ulong.TryParse(fields[start], NumberStyles.None, CultureInfo.InvariantCulture, out ulong time)
            ? new ProcessStat(text[(open + 1)..close], ppid, sid, bits, time)
            : null;
    }

    /// <summary>Of /proc/PID/limits, by the kernel's names of them.</summary>
    public static Dictionary<string, ResourceLimit>? Limits(string text)
    {
        // "%-25s %-20s %-20s %-10s"
        const int names = 26;
        Dictionary<string, ResourceLimit> limits = [];
        string[] lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        foreach (string line in lines.Skip(1))
        {
            if (line.Length <= names)
                return null;
            string[] words = line[names..].Split(' ', Most, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length < 2 || Limit(words[0]) is not ulong soft || Limit(words[1]) is not ulong hard
                || !limits.TryAdd(line[..names].Trim(), new ResourceLimit(soft, hard)))
                return null;
        }

        return limits.Count > 0 ? limits : null;
    }

    /// <summary>Of /proc/PID/mountinfo; escapes stay.</summary>
    public static MountFacts[]? Mounts(string text)
    {
        List<MountFacts> mounts = [];
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] words = line.Split(' ', Most);
            int dash = Array.IndexOf(words, "-", Math.Min(6, words.Length));
            if (dash < 0 || words.Length < dash + 2 || mounts.Count == Most)
                return null;
            mounts.Add(new MountFacts(words[3], words[4], words[5], words[dash + 1]));
        }

        return [.. mounts];
    }

    /// <summary>Of uid_map or gid_map: its lines with one blank between numbers, joined by commas.</summary>
    public static string? IdMap(string text)
    {
        List<string> lines = [];
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] words = line.Split(' ', Most, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length != 3 || !words.All(IsId) || lines.Count == Most)
                return null;
            lines.Add(string.Join(' ', words));
        }

        return string.Join(", ", lines);
    }

    /// <summary>
    /// Flags, mount and inode of /proc/PID/fdinfo/N; -1 and 0 for the last two where the kernel does not tell.
    /// </summary>
    public static (int Flags, long Mount, ulong Inode)? DescriptorInfo(string text)
    {
        int? flags = null;
        long mount = -1;
        ulong inode = 0;
        foreach (string line in text.Split('\n', Most))
        {
            string[] words = line.Split('\t', Most);
            // What kinds of files add follows; the kernel's own lines come first.
            if (words is not [var name, var value])
                continue;
            switch (name)
            {
                case "flags:" when flags is null:
                    if (Octal(value) is not int bits)
                        return null;
                    flags = bits;
                    break;
                case "mnt_id:" when mount < 0:
                    if (Number(value) is not int id)
                        return null;
                    mount = id;
                    break;
                case "ino:" when inode == 0:
                    if (!ulong.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out inode))
                        return null;
                    break;
            }
        }

        return flags is int known ? (known, mount, inode) : null;
    }

    /// <summary>Names in /proc/PID/net/dev.</summary>
    public static string[]? Interfaces(string text)
    {
        List<string> names = [];
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(2))
        {
            int colon = line.LastIndexOf(':');
            if (colon <= 0 || names.Count == Most)
                return null;
            names.Add(line[..colon].Trim());
        }

        return [.. names];
    }

    public static int? Number(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;

    static bool IsId(string word) => uint.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out _);

    static uint[]? Four(string[] words) =>
        words.Length == 4 && words.All(IsId)
            ? [.. words.Select(word => uint.Parse(word, CultureInfo.InvariantCulture))]
            : null;

    static ulong? Limit(string word) => word == "unlimited"
        ? ulong.MaxValue
        : ulong.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out ulong value) ? value : null;

    static int? Octal(string text)
    {
        if (text.Length is 0 or > 11 || text.AsSpan().ContainsAnyExceptInRange('0', '7'))
            return null;
        long value = Convert.ToInt64(text, 8);
        return value <= int.MaxValue ? (int)value : null;
    }
}

/// <param name="Session">As the reader numbers processes; 0 for one in another PID namespace.</param>
/// <param name="Flags">PF_*.</param>
/// <param name="StartTime">In clock ticks since the host's start.</param>
sealed record ProcessStat(string Name, int Parent, int Session, uint Flags, ulong StartTime);
