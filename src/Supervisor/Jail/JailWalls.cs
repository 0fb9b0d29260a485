namespace Sandbox.Supervisor.Jail;

/// <summary>
/// What stands between a VMM that its guest has taken over and the host. See SECURITY.md for what each stops.
/// </summary>
[Flags]
enum JailWalls
{
    None = 0,

    /// <summary>A user namespace of its own, in which it has no capability either: user_namespaces(7).</summary>
    User = 1 << 0,

    /// <summary>No other process has a number: pid_namespaces(7).</summary>
    Pid = 1 << 1,

    /// <summary>An empty, read-only root: no path leads anywhere.</summary>
    Root = 1 << 2,

    /// <summary>
    /// No interface, not even loopback that is up, and no abstract socket of others: network_namespaces(7).
    /// </summary>
    Network = 1 << 3,

    /// <summary>No System V object and no message queue of others: ipc_namespaces(7).</summary>
    Ipc = 1 << 4,

    /// <summary>Host and domain name of its own: uts_namespaces(7).</summary>
    Uts = 1 << 5,

    /// <summary>It does not see which control groups it is in: cgroup_namespaces(7).</summary>
    Cgroup = 1 << 6,

    /// <summary>
    /// Clocks of its own, which without a capability nobody can set anyway: time_namespaces(7). From Linux 6.2 on;
    /// earlier kernels move a process there by a fork only, not by its execve.
    /// </summary>
    Time = 1 << 7,

    /// <summary>All five capability sets are empty and stay so: capabilities(7).</summary>
    Capabilities = 1 << 8,

    /// <summary>An execve gives it nothing: PR_SET_NO_NEW_PRIVS.</summary>
    NoNewPrivileges = 1 << 9,

    /// <summary>No core dump, no message queue, no locked memory: setrlimit(2).</summary>
    Limits = 1 << 10,

    /// <summary>
    /// Nothing is opened beyond what was granted, and by nobody else's socket or signal: landlock(7).
    /// </summary>
    Landlock = 1 << 11,

    /// <summary>
    /// On the host it is a user that owns nothing; only root can give it one. See <see cref="VmmUser"/>.
    /// </summary>
    OwnUser = 1 << 12,

    /// <summary>Memory, CPU time, processes and threads of the host: cgroups(7).</summary>
    CgroupLimits = 1 << 13,

    /// <summary>No system call but those that a VMM makes: seccomp(2). It puts the filters on with its plan.</summary>
    Seccomp = 1 << 14,

    /// <summary>
    /// Rates of the host's disks, where the policy gives any: the controllers io and blkio of cgroups(7).
    /// </summary>
    DiskRates = 1 << 15,

    Namespaces = User | Pid | Root | Network | Ipc | Uts | Cgroup | Time,

    All =
        Namespaces | Capabilities | NoNewPrivileges | Limits | Landlock | OwnUser | CgroupLimits | DiskRates | Seccomp,
}
