using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail.Cgroups;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>
/// How a VMM's jail is built: the system calls that its process makes before it becomes the VMM, in their order.
/// </summary>
static unsafe class JailScript
{
    /// <summary>Any folder that every host has: the empty root is mounted over it for a moment.</summary>
    const string PivotPlace = "/proc";

    /// <summary>Of the process that the script runs in: the VMM's own program, to be executed.</summary>
    const int ProgramDescriptor = StartDescriptors.Kvm + 1;

    /// <summary>Descriptors from here on are free while the script runs.</summary>
    public const int FirstFreeDescriptor = ProgramDescriptor + 1;

    /// <summary>The name of the last step: it fails for the program's sake, not for the jail's.</summary>
    public const string ExecuteStep = "execve";

    /// <summary>The name of the steps that enter version 1's control groups.</summary>
    public const string EnterGroupStep = "write to a control group's tasks";

    /// <summary>CAP_LAST_CAP of kernels to come; beyond the host's last one, dropping says EINVAL.</summary>
    const int LastCapability = 63;

    /// <summary>Namespaces that clone3 must make: the process cannot enter them later by itself.</summary>
    public static long CloneFlags(JailWalls walls, GuestGroup? group) =>
        (walls.HasFlag(JailWalls.User) ? CLONE_NEWUSER : 0L) | (walls.HasFlag(JailWalls.Pid) ? CLONE_NEWPID : 0L)
        | (group?.Into is null ? 0L : CLONE_INTO_CGROUP);

    /// <param name="wanted">
    /// Where capabilities are among these alone, the bounding set cannot be emptied; those that the process has go all
    /// the same.
    /// </param>
    /// <param name="descriptors">All numbers above those that they get in the VMM.</param>
    public static void Write(
        ChildScript script, JailWalls walls, JailWalls wanted, in JailDescriptors descriptors, string program,
        GuestGroup? group)
    {
        script.AddEndWithParent();
        if (group is not null)
            EnterGroup(script, group);
        if (walls.HasFlag(JailWalls.User))
            script.AddHold(); // for its user and group maps
        ResetSignals(script);
        if (HostHasKeys)
            script.Add("keyctl KEYCTL_JOIN_SESSION_KEYRING", SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING);
        PlaceDescriptors(script, descriptors);
        Unshare(script, walls);
        if (walls.HasFlag(JailWalls.Root))
            EnterEmptyRoot(script);
        if (walls.HasFlag(JailWalls.Limits))
            SetLimits(script);
        if (walls.HasFlag(JailWalls.NoNewPrivileges))
            script.Add("prctl PR_SET_NO_NEW_PRIVS", SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
        if (walls.HasFlag(JailWalls.Capabilities))
            LockCapabilities(script);
        if (walls.HasFlag(JailWalls.OwnUser))
            BecomeUser(script, VmmUser.Of(Environment.ProcessId));
        if (wanted.HasFlag(JailWalls.Capabilities))
            DropCapabilities(script);
        script.AddClock();
        Execute(script, walls, program);
    }

    // Before anything costs something, and before the group is all that it sees of control groups.
    static void EnterGroup(ChildScript script, GuestGroup group)
    {
        nint itself = script.PlaceText("0");
        foreach (FileDescriptor entry in group.Entries)
            script.Add(EnterGroupStep, SYS_write, entry.Value, itself, 1);
    }

    // A process has its login session's keys in its credentials: tickets, keys of disks. Namespaces do not change that,
    // an empty keyring of its own does. Where a kernel or a container has no such calls, nobody in it can use a key.
    public static bool HostHasKeys =>
        syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 0) >= 0 || errno is not (ENOSYS or EPERM);

    // A session of its own: Ctrl-C at the caller's terminal goes to the command line alone, which passes it on, and
    // reading that terminal as stdin does not stop the VMM as a background job.
    internal static void ResetSignals(ChildScript script)
    {
        script.Add("setsid", SYS_setsid);
        kernel_sigaction* byDefault = script.Place(default(kernel_sigaction));
        for (int signal = 1; signal <= SIGRTMAX; signal++)
            if (signal is not (SIGKILL or SIGSTOP))
                script.Add("rt_sigaction", SYS_rt_sigaction, signal, (nint)byDefault, 0, sizeof(ulong));
        ulong* none = script.Place(0UL);
        script.Add("rt_sigprocmask", SYS_rt_sigprocmask, SIG_SETMASK, (nint)none, 0, sizeof(ulong));
    }

    static void PlaceDescriptors(ChildScript script, in JailDescriptors from)
    {
        script.Add("dup2 stdin", SYS_dup2, from.Null, STDIN_FILENO);
        script.Add("dup2 stdout", SYS_dup2, from.Null, STDOUT_FILENO);
        script.Add("dup2 channel", SYS_dup2, from.Channel, StartDescriptors.Channel);
        script.Add("dup2 kvm", SYS_dup2, from.Kvm, StartDescriptors.Kvm);
        script.Add("dup3 program", SYS_dup3, from.Program, ProgramDescriptor, O_CLOEXEC);
        script.Add("close_range", SYS_close_range, FirstFreeDescriptor, unchecked((nint)uint.MaxValue));
    }

    // A new namespace has a copy of the host's names. Where a service manager lets nobody set any (ProtectHostname=),
    // the copy stays, and the filters keep it from being asked for.
    static void Rename(ChildScript script)
    {
        const string name = "sandbox-vmm";
        nint text = script.PlaceText(name);
        script.AddTolerating(EPERM, "sethostname", SYS_sethostname, text, name.Length);
        script.AddTolerating(EPERM, "setdomainname", SYS_setdomainname, text, name.Length);
    }

    static void Unshare(ChildScript script, JailWalls walls)
    {
        (JailWalls Wall, int Flag)[] namespaces =
        [
            (JailWalls.Root, CLONE_NEWNS), (JailWalls.Network, CLONE_NEWNET), (JailWalls.Ipc, CLONE_NEWIPC),
            (JailWalls.Uts, CLONE_NEWUTS), (JailWalls.Cgroup, CLONE_NEWCGROUP), (JailWalls.Time, CLONE_NEWTIME),
        ];
        int flags = 0;
        foreach ((JailWalls wall, int flag) in namespaces)
            if (walls.HasFlag(wall))
                flags |= flag;
        if (flags != 0)
            script.Add("unshare", SYS_unshare, flags);
        if (walls.HasFlag(JailWalls.Uts))
            Rename(script);
    }

    static void EnterEmptyRoot(ChildScript script)
    {
        nint root = script.PlaceText("/"), here = script.PlaceText("."), place = script.PlaceText(PivotPlace);
        nint kind = script.PlaceText("tmpfs"), options = script.PlaceText("size=4k,nr_inodes=2,mode=555");
        script.Add("mount MS_PRIVATE", SYS_mount, 0, root, 0, MS_REC | MS_PRIVATE);
        script.Add(
            "mount tmpfs", SYS_mount, kind, place, kind, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, options);
        script.Add("chdir", SYS_chdir, place);
        // The old root ends up on top of the new one, and goes.
        script.Add("pivot_root", SYS_pivot_root, here, here);
        script.Add("umount2", SYS_umount2, here, MNT_DETACH);
        script.Add("chdir", SYS_chdir, root);
    }

    static void SetLimits(ChildScript script)
    {
        rlimit* zero = script.Place(default(rlimit));
        foreach (int resource in (ReadOnlySpan<int>)[RLIMIT_CORE, RLIMIT_MSGQUEUE, RLIMIT_MEMLOCK, RLIMIT_RTPRIO])
            script.Add("prlimit64", SYS_prlimit64, 0, resource, (nint)zero);
        OpenFileLimit.Restore(script);
    }

    // None can come back afterwards, and none goes with the user.
    static void LockCapabilities(ChildScript script)
    {
        for (int capability = 0; capability <= LastCapability; capability++)
            script.AddTolerating(EINVAL, "prctl PR_CAPBSET_DROP", SYS_prctl, PR_CAPBSET_DROP, capability);
        script.Add("prctl PR_CAP_AMBIENT", SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
        script.Add("prctl PR_SET_SECUREBITS", SYS_prctl, PR_SET_SECUREBITS,
            SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED
            | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED);
    }

    static void BecomeUser(ChildScript script, uint number)
    {
        script.Add("setgroups", SYS_setgroups, 0);
        script.Add("setresgid", SYS_setresgid, (nint)number, (nint)number, (nint)number);
        script.Add("setresuid", SYS_setresuid, (nint)number, (nint)number, (nint)number);
        // Forgotten by the kernel when the user changes.
        script.Add("prctl PR_SET_PDEATHSIG", SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    }

    static void DropCapabilities(ChildScript script)
    {
        __user_cap_header_struct* header =
            script.Place(new __user_cap_header_struct { version = _LINUX_CAPABILITY_VERSION_3 });
        // Two halves of 32 bits.
        (__user_cap_data_struct Low, __user_cap_data_struct High)* none =
            script.Place<(__user_cap_data_struct, __user_cap_data_struct)>(default);
        script.Add("capset", SYS_capset, (nint)header, (nint)none);
    }

    static void Execute(ChildScript script, JailWalls walls, string program)
    {
        nint name = script.PlaceText("sandbox-vmm");
        nint arguments = script.PlaceList(name), environment = script.PlaceList();
        // No path leads to it any more from an empty root.
        if (walls.HasFlag(JailWalls.Root))
            script.Add(ExecuteStep, SYS_execveat, ProgramDescriptor, script.PlaceText(""), arguments, environment,
                AT_EMPTY_PATH);
        else
            script.Add(ExecuteStep, SYS_execve, script.PlaceText(program), arguments, environment);
    }
}
