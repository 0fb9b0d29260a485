namespace Sandbox.Escape;

/// <summary>What the whole jail lets a hostile VMM do: the wall that is to stop it, or why it is allowed.</summary>
static class OpenToday
{
    const string Seccomp = "a VMM's own seccomp filters stop it";
    const string Allowed = "allowed: ";

    public static readonly IReadOnlyDictionary<string, string> Reasons = new Dictionary<string, string>
    {
        ["execute a memfd"] = Seccomp,
        ["ptrace a process of its own"] = Seccomp,
        ["make a key"] = Seccomp,
        ["turn the death signal off"] = Seccomp,
        ["PR_SET_DUMPABLE"] = Seccomp,
        ["netlink socket"] = Seccomp,
        ["vsock socket"] = Seccomp,
        ["new user namespace"] = Seccomp,
        ["modify_ldt"] = Seccomp,
        ["perf_event_open"] = Seccomp,
        ["userfaultfd"] = Seccomp,
        ["vmsplice"] = Seccomp,
        ["personality without random addresses"] = Seccomp,
        ["map memory writable and executable"] = Seccomp,
        ["make written memory executable"] = Seccomp,
        ["start a second virtual machine"] = Allowed + "it gets no memory that it does not have",
        ["descriptor bomb"] = Allowed + "up to the caller's own limit of descriptors",
        ["granted: read a file beneath the folder"] = Allowed + "the plan grants it",
    };

    /// <summary>
    /// Besides, for a caller who cannot have granted folders as mounts of their own. Landlock keeps what is above them from
    /// being opened, and does not know of modes, owners and times. Nor has he control groups, unless some were delegated to him.
    /// </summary>
    public static readonly IReadOnlyList<string> ForOrdinaryUsers =
        ["granted: look at a name above it", "granted: change a mode above it", "memory bomb", "fork bomb"];
}
