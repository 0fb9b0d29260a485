using Sandbox.EndToEnd.Harness;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd;

/// <summary>Hosts and containers that lack something: it works and tells, or refuses in one line with the remedy.</summary>
[Collection(nameof(Alone))]
public sealed class StrangeHostTests
{
    const string AsUser = "setpriv --reuid=4321 --regid=4321 --clear-groups";

    [Fact]
    public void Without_Landlock_that_is_told_and_a_policy_that_requires_it_refuses()
    {
        SandboxRun.Need();
        string refusing = StrangeHost.Refusing();
        Outcome Run(params string[] flags) => Native.Run(
            [refusing, $"{SYS_landlock_create_ruleset}={ENOSYS}", "--", Ring.Sandbox, "run", .. flags, "--", "echo", "hello"], "/");
        Outcome told = Run().Ended(0).Says("warning: the jail around the VMM lacks walls (Landlock)", "this kernel has no Landlock", "sandbox doctor");
        Assert.Equal("hello\n", told.Text);
        Outcome refused = Run("--policy", StrangeHost.Requiring("landlock")).Ended(125);
        refused.Says("walls.yaml:3:13: the policy requires the wall landlock", "this kernel has no Landlock");
        Assert.Equal("", refused.Text);
    }

    /// <summary>
    /// A kernel before 5.6, and containers whose runtime knows less than the kernel: every path would be to blame.
    /// </summary>
    [Theory]
    [InlineData(ENOSYS)]
    [InlineData(EPERM)]
    public void Without_openat2_that_is_told_with_the_remedy(int error)
    {
        SandboxRun.Need();
        string refusing = StrangeHost.Refusing();
        Outcome Run(params string[] words) =>
            Native.Run([refusing, $"{SYS_openat2}={error}", "--", Ring.Sandbox, .. words], "/");
        string[] why =
            [Errno.Describe(error), "older than 5.6", "seccomp profile", "update", "a profile that allows openat2"];
        Outcome refused = Run("run", "--", "echo", "hello").Ended(125).Says(["sandbox: openat2: ", .. why]);
        Assert.Equal("", refused.Text);
        Run("policy", "check", "policy.yaml").Ended(125).Says(["sandbox: openat2: ", .. why]);
        Outcome examined = Run("doctor").Ended(1);
        Assert.All(why, part => Assert.Contains(part, examined.Text));
        Assert.Contains("MISSING  opening files", examined.Text);
        Assert.Single(examined.Text.Split("MISSING  ")[1..]);
    }

    /// <summary>A container to which nobody gave KVM, or a host that has none: whatever was to run there.</summary>
    [Theory]
    [InlineData("--kernel", "/bin/sh")]
    [InlineData("--", "echo", "hello")]
    public void Without_KVM_it_refuses_in_one_line_that_says_where_to_look(params string[] words)
    {
        Assert.True(File.Exists(Ring.Sandbox), $"{Ring.Sandbox} does not exist; ./sandbox builds it");
        Assert.SkipUnless(geteuid() == 0, "only root can make another host of this one");
        Outcome outcome = Native.Run(["unshare", "-m", "bash", "-c",
            """
            mount -t tmpfs tmpfs /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9 || exit 99
            exec "$0" run "$@"
            """, Ring.Sandbox, .. words], "/").Ended(125);
        outcome.Says("sandbox: open /dev/kvm: No such file or directory", "run sandbox doctor to see what is missing");
        Assert.Empty(outcome.Output);
    }

    [Fact]
    public void A_KVM_of_another_group_serves_its_members_and_tells_others_how_to_join()
    {
        string programs = StrangeHost.CopyOfPrograms();
        Outcome As(string groups) => StrangeHost.WithKvm("660", StrangeHost.User,
            $"exec setpriv --reuid=4322 --regid=4322 {groups} \"$1\" run -- echo hello", $"{programs}/sandbox");
        Assert.Equal(("hello\n", ""), (As("--groups=4321").Ended(0).Text, As("--groups=4321").ErrorText));
        As("--clear-groups").Ended(125).Says("/dev/kvm", "Permission denied", "join its group: sudo usermod -aG \"$(stat -c %G /dev/kvm)\"");
    }

    /// <summary>In a user namespace that allows no other below it, whose users this test maps.</summary>
    [Fact]
    public void Without_user_namespaces_an_ordinary_user_is_told_or_refused()
    {
        string programs = StrangeHost.CopyOfPrograms();
        Outcome Run(string flags) => StrangeHost.WithKvm("666", 0, $$"""
            mkfifo "$2/go" && exec 4<>"$2/go" || exit 99
            limit='echo 0 >/proc/sys/user/max_user_namespaces && exec {{AsUser}} "$0" run {{flags}} -- echo hello'
            unshare -U bash -c 'read -r _ <&4; exec bash -c "$1" "$0"' "$1" "$limit" &
            until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.05; done
            echo "0 0 65536" >/proc/$!/uid_map && echo "0 0 65536" >/proc/$!/gid_map && echo >&4 && wait $!
            """, $"{programs}/sandbox", Case.NewFolder("go"));
        Outcome told = Run("").Ended(0).Says("warning: the jail around the VMM lacks walls (user namespace, PID namespace", "sandbox doctor");
        Assert.Equal("hello\n", told.Text);
        Run($"--policy '{StrangeHost.Requiring("namespaces")}'").Ended(125).Says("walls.yaml:3:13: the policy requires the wall namespaces");
    }

    /// <summary>As a service manager gives one away: folders of version 1 that are the user's, with him in them.</summary>
    [Fact]
    public void In_a_delegated_tree_an_ordinary_user_has_a_control_group()
    {
        SandboxRun.Need();
        Assert.SkipUnless(geteuid() == 0 && File.Exists("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
            "only root on a host of version 1 always has control groups to give");
        string programs = StrangeHost.CopyOfPrograms(), name = $"sandbox-delegated-{Environment.ProcessId}";
        string[] folders = [.. new[] { "memory", "cpu", "pids", "freezer" }.Select(tree => $"/sys/fs/cgroup/{tree}/{name}")];
        try
        {
            string entered = string.Concat(folders.Select(
                folder => $"mkdir {folder} && chown -R {StrangeHost.User} {folder} && echo $$ >{folder}/cgroup.procs || exit 98\n"));
            Outcome outcome = StrangeHost.WithKvm("666", 0,
                $"{entered}exec {AsUser} \"$1\" run --memory 64M --policy \"$2\" -- echo hello", $"{programs}/sandbox", StrangeHost.Requiring("cgroup"));
            Assert.Equal(("hello\n", ""), (outcome.Ended(0).Text, outcome.ErrorText));
        }
        finally
        {
            foreach (string folder in folders.Where(Directory.Exists))
                Directory.Delete(folder);
        }
    }

    /// <summary>
    /// A container that an ordinary user has made: he is its root, and nobody else is there. It gets every wall but those of
    /// another user and of control groups that nobody gave it.
    /// </summary>
    [Fact]
    public void In_an_ordinary_users_container_it_lacks_what_he_cannot_have()
    {
        string programs = StrangeHost.CopyOfPrograms();
        string policy = StrangeHost.Requiring("namespaces, seccomp, landlock, no-network, user-mapping");
        Outcome Run(string flags) => StrangeHost.WithKvm("666", 0, $$"""
            exec {{AsUser}} unshare -U -r -m -p -f -n -i -u -C --kill-child bash -c '
                mount -t proc proc /proc && mount -t tmpfs tmpfs /run && exec "$0" run {{flags}} -- echo hello' "$1"
            """, $"{programs}/sandbox");
        Outcome told = Run($"--policy '{policy}'").Ended(0);
        told.Says("warning: the jail around the VMM lacks walls (a user of its own, control group), since this host refused");
        Assert.Equal("hello\n", told.Text);
    }

    /// <summary>
    /// Root of a container as managers of containers make them: few capabilities, and a filter that refuses new namespaces
    /// and answers ENOSYS to clone3. What needs no right still stands, as the kernel shows it.
    /// </summary>
    [Theory]
    [InlineData("+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap", false)]
    [InlineData("+kill,+net_bind_service,+audit_write", true)]
    [InlineData("", true)]
    public void In_a_container_of_roots_what_needs_no_right_stands(string capabilities, bool lacksCapabilities)
    {
        string refusing = StrangeHost.Refusing(), programs = StrangeHost.CopyOfPrograms();
        // CLONE_NEW*.
        const string namespaces = "7e020000";
        int[] refused =
        [
            SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_open_tree, SYS_move_mount, SYS_mount_setattr, SYS_fsopen,
            SYS_keyctl, SYS_add_key, SYS_bpf, SYS_perf_event_open, SYS_io_uring_setup,
        ];
        string filter = $"{SYS_clone3}={ENOSYS} '{SYS_clone}&{namespaces}={EPERM}' " + string.Join(' ', refused.Select(call => $"{call}={EPERM}"));
        string bounds = capabilities.Length == 0 ? "-all" : $"-all,{capabilities}";
        Outcome Run(string walls) => StrangeHost.WithKvm("666", 0, $$"""
            exec unshare -m -p -f -n -i -u -C --kill-child bash -c '
                mount -t proc proc /proc && mount -t tmpfs tmpfs /run && umount -l /sys/fs/cgroup || exit 98
                exec setpriv --inh-caps=-all --bounding-set={{bounds}} "$0" "${@:2}" -- "$1"/sandbox run --policy "{{StrangeHost.Requiring(walls)}}" -- \
                    sh -c "echo hello; true | cat"' "$2" "$1" {{filter}}
            """, programs, refusing);
        Outcome told = Run("seccomp, landlock").Ended(0);
        Assert.Equal("hello\n", told.Text);
        told.Says("warning: the jail around the VMM lacks walls (user namespace, PID namespace", "sandbox doctor");
        Assert.Equal(lacksCapabilities, told.ErrorText.Contains("capabilities", StringComparison.Ordinal));
        Run("namespaces").Ended(125).Says("walls.yaml:3:13: the policy requires the wall namespaces");
    }
}
