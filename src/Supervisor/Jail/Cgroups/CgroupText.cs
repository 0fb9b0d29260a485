using System.Globalization;
using System.Text;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>One line of /proc/PID/cgroup: cgroups(7).</summary>
/// <param name="Names">Of version 1's controllers in this hierarchy; empty for version 2.</param>
/// <param name="Path">Absolute, without "..": a group that this process can name.</param>
readonly record struct CgroupMembership(string[] Names, string Path);

/// <summary>A mounted hierarchy.</summary>
/// <param name="Root">What of the hierarchy is mounted.</param>
/// <param name="Options">Of its file system: version 1's controllers are among them.</param>
readonly record struct CgroupMount(bool IsVersionTwo, string Root, string Place, string[] Options);

/// <summary>
/// What the kernel writes about control groups. Pure; anything may be in it: what is not understood is passed over.
/// </summary>
static class CgroupText
{
    public static IEnumerable<CgroupMembership> Memberships(string text)
    {
        foreach (string line in text.Split('\n'))
        {
            string[] fields = line.Split(':', 3);
            if (fields.Length < 3 || !IsNumber(fields[0]) || !IsPlain(fields[2]))
                continue;
            // "0::PATH" is version 2; a named hierarchy of version 1 has no controller.
            if (fields[1].Length == 0 != (fields[0] == "0"))
                continue;
            yield return new CgroupMembership(fields[1].Length == 0 ? [] : fields[1].Split(','), fields[2]);
        }
    }

    /// <summary>From /proc/PID/mountinfo: proc_pid_mountinfo(5).</summary>
    public static IEnumerable<CgroupMount> Mounts(string text)
    {
        foreach (string line in text.Split('\n'))
        {
            int optional = line.IndexOf(" - ", StringComparison.Ordinal);
            if (optional < 0)
                continue;
            string[] before = line[..optional].Split(' ');
            string[] after = line[(optional + 3)..].Split(' ');
            if (before.Length < 6 || after.Length < 3 || after[0] is not ("cgroup" or "cgroup2"))
                continue;
            string root = Unescape(before[3]), place = Unescape(before[4]);
            if (IsPlain(root) && IsPlain(place))
                yield return new CgroupMount(after[0] == "cgroup2", root, place, after[2].Split(','));
        }
    }

    /// <summary>A file with one number; null for "max", for none, and for what is no number.</summary>
    public static ulong? Number(string? text) =>
        ulong.TryParse(text?.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out ulong value) ? value : null;

    /// <summary>The number behind a name, in a file of such lines (memory.events, pids.events); null without.</summary>
    public static ulong? Number(string? text, string name)
    {
        foreach (string line in (text ?? "").Split('\n'))
            if (line.StartsWith(name + ' ', StringComparison.Ordinal))
                return Number(line[name.Length..]);
        return null;
    }

    /// <summary>From cgroup.controllers or cgroup.subtree_control.</summary>
    public static Controllers Names(string? text) =>
        Names((text ?? "").Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries));

    public static Controllers Names(ReadOnlySpan<string> names)
    {
        Controllers all = Controllers.None;
        foreach (string name in names)
            foreach ((string its, Controllers controller) in s_controllers)
                if (its == name)
                    all |= controller;
        return all;
    }

    /// <summary>The kernel's names of them, as version 2 has them.</summary>
    public static IEnumerable<string> NamesOf(Controllers controllers) =>
        s_controllers.Where(one => controllers.HasFlag(one.Controller)).DistinctBy(one => one.Controller)
            .Select(one => one.Name);

    static readonly (string Name, Controllers Controller)[] s_controllers =
    [
        ("memory", Controllers.Memory), ("cpu", Controllers.Cpu), ("pids", Controllers.Pids),
        ("freezer", Controllers.Freezer),
        ("io", Controllers.Io), ("blkio", Controllers.Io),
    ];

    /// <summary>Process numbers, one a line.</summary>
    public static IEnumerable<int> Processes(string? text)
    {
        foreach (string line in (text ?? "").Split('\n'))
            if (Number(line) is ulong pid and > 0 and <= int.MaxValue)
                yield return (int)pid;
    }

    /// <summary>Whether one has no number here: it is of another PID namespace, and is written as 0.</summary>
    public static bool HasForeign(string? text) => (text ?? "").Split('\n').Any(line => Number(line) == 0);

    /// <summary>starttime of /proc/PID/stat, in clock ticks since the host's start; null for what is none.</summary>
    public static ulong? StartTime(string? stat) => Field(stat, 22);

    /// <summary>
    /// Whether /proc/PID/stat is that of a thread of the kernel: PF_KTHREAD of include/linux/sched.h.
    /// </summary>
    public static bool IsKernelThread(string? stat) => (Field(stat, 9) & 0x0020_0000) > 0;

    /// <summary>Whether /proc/PID/stat is that of a process which has ended and is not waited for yet.</summary>
    public static bool HasEnded(string? stat) => FieldText(stat, 3) is "Z" or "X";

    /// <summary>utime and stime of /proc/PID/stat together, in microseconds; null for what is none.</summary>
    public static ulong? CpuTime(string? stat)
    {
        // USER_HZ, which is 100 on x86-64.
        const ulong tick = 10_000;
        return (Field(stat, 14) + Field(stat, 15)) * tick;
    }

    static ulong? Field(string? stat, int field) => Number(FieldText(stat, field));

    /// <param name="field">From 3.</param>
    static string? FieldText(string? stat, int field)
    {
        // The second field is the program's name in parentheses, and anything may be in it.
        int name = stat?.LastIndexOf(')') ?? -1;
        if (name < 0)
            return null;
        string[] fields = stat![(name + 1)..].Split(' ');
        return fields.Length > field - 2 ? fields[field - 2] : null;
    }

    static bool IsNumber(string text) => text.Length > 0 && text.All(char.IsAsciiDigit);

    // A group that lies outside of this process's cgroup namespace is shown with "..": it has no place in the mount.
    static bool IsPlain(string path) =>
        path.StartsWith('/') && !path.Contains('\0') && !path.Split('/').Contains("..");

    /// <summary>Blanks, tabs, newlines and backslashes are written in octal.</summary>
    static string Unescape(string text)
    {
        if (!text.Contains('\\'))
            return text;
        var plain = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            string? octal = text[i] == '\\' && i + 3 < text.Length ? text[(i + 1)..(i + 4)] : null;
            if (octal is null || !octal.All(digit => digit is >= '0' and <= '7'))
            {
                plain.Append(text[i]);
                continue;
            }

            plain.Append((char)Convert.ToInt32(octal, 8));
            i += 3;
        }

        return plain.ToString();
    }
}
