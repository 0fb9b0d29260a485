namespace Sandbox.Supervisor.Launch;

/// <summary>File systems that are interfaces to the kernel rather than places for files.</summary>
static class KernelFileSystems
{
    static readonly HashSet<string> s_types =
    [
        "autofs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
        "efivarfs", "fusectl", "mqueue", "nsfs", "proc", "pstore", "resctrl", "rpc_pipefs", "securityfs", "selinuxfs",
        "smackfs", "sysfs", "tracefs",
    ];

    /// <param name="type">As mountinfo has it.</param>
    public static bool IsOne(string type) => s_types.Contains(type);
}
