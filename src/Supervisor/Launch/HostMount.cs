using System.Globalization;
using System.Text;
using Sandbox.Host;
using Sandbox.Supervisor.Jail.Facts;

namespace Sandbox.Supervisor.Launch;

/// <summary>A mount that this process can see.</summary>
/// <param name="Id">The kernel's number for it.</param>
/// <param name="Path">Where it is mounted.</param>
/// <param name="Type">Of its file system.</param>
/// <param name="Options">Those of its file system.</param>
readonly record struct HostMount(long Id, string Path, string Type, string Options = "")
{
    /// <summary>All of them.</summary>
    public static IReadOnlyList<HostMount> All() => Parse(File.ReadAllText("/proc/self/mountinfo"));

    /// <summary>The number of the mount that an open file lies in.</summary>
    /// <exception cref="HostException">The kernel does not tell.</exception>
    public static long IdOf(FileDescriptor file) =>
        ProcText.DescriptorInfo(File.ReadAllText($"/proc/self/fdinfo/{file.Value}")) is (_, >= 0 and long id, _)
            ? id
            : throw new HostException(Libc.ENODATA, "read", "/proc/self/fdinfo");

    /// <summary>
    /// Reads proc_pid_mountinfo(5): "36 35 98:0 /root /mnt/a\040b rw,noatime shared:1 - ext3 /dev/root rw".
    /// </summary>
    public static IReadOnlyList<HostMount> Parse(string mountinfo)
    {
        List<HostMount> mounts = [];
        foreach (string line in mountinfo.Split('\n'))
        {
            string[] fields = line.Split(' ');
            int separator = Array.IndexOf(fields, "-", Math.Min(6, fields.Length));
            if (separator > 0 && separator + 1 < fields.Length
                && long.TryParse(fields[0], NumberStyles.None, CultureInfo.InvariantCulture, out long id))
                mounts.Add(new HostMount(
                    id, Unescape(fields[4]), fields[separator + 1], fields.ElementAtOrDefault(separator + 3) ?? ""));
        }

        return mounts;
    }

    // Space, tab, newline and backslash are written as three octal digits.
    static string Unescape(string field)
    {
        if (!field.Contains('\\', StringComparison.Ordinal))
            return field;
        var text = new StringBuilder();
        for (int i = 0; i < field.Length; i++)
        {
            if (field[i] == '\\' && i + 3 < field.Length)
            {
                text.Append((char)((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0')));
                i += 3;
            }
            else
                text.Append(field[i]);
        }

        return text.ToString();
    }
}
