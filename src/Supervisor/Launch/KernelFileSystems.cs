using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>File systems that are interfaces to the kernel rather than places for files.</summary>
static unsafe class KernelFileSystems
{
    static readonly HashSet<string> s_types =
    [
        "autofs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
        "efivarfs", "fusectl", "mqueue", "nsfs", "proc", "pstore", "resctrl", "rpc_pipefs", "securityfs", "selinuxfs",
        "smackfs", "sysfs", "tracefs",
    ];

    static readonly HashSet<long> s_magics =
    [
        BINDERFS_SUPER_MAGIC, BINFMTFS_MAGIC, BPF_FS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,
        DEVPTS_SUPER_MAGIC, EFIVARFS_MAGIC, NSFS_MAGIC, PROC_SUPER_MAGIC, PSTOREFS_MAGIC, RDTGROUP_SUPER_MAGIC,
        SECURITYFS_MAGIC, SELINUX_MAGIC, SMACK_MAGIC, SYSFS_MAGIC, TRACEFS_MAGIC,
    ];

    /// <exception cref="HostException">The file's file system cannot be asked.</exception>
    public static bool IsOne(FileDescriptor file)
    {
        statfs status;
        return fstatfs(file.Value, &status) == 0
            ? s_magics.Contains(status.f_type)
            : throw HostException.Last("fstatfs");
    }

    /// <summary>Every mount point of such a file system in this process's view.</summary>
    public static IEnumerable<(string Path, string Type)> MountedOnThisHost() =>
        Parse(File.ReadAllText("/proc/self/mountinfo"));

    /// <summary>
    /// Reads proc_pid_mountinfo(5): "36 35 98:0 /root /mnt/a\040b rw,noatime shared:1 - ext3 /dev/root rw".
    /// </summary>
    public static IEnumerable<(string Path, string Type)> Parse(string mountinfo)
    {
        foreach (string line in mountinfo.Split('\n'))
        {
            string[] fields = line.Split(' ');
            int separator = Array.IndexOf(fields, "-", Math.Min(6, fields.Length));
            if (separator > 0 && separator + 1 < fields.Length && s_types.Contains(fields[separator + 1]))
                yield return (Unescape(fields[4]), fields[separator + 1]);
        }
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
