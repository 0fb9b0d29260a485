using Sandbox.EndToEnd.Harness;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd;

/// <summary>The walls around a running VMM, as the kernel tells of them.</summary>
public sealed class JailTests
{
    /// <summary>A guest that runs until it is told to stop, and its VMM's folder in /proc.</summary>
    private static void WithVmm(string sandbox, string[] prefix, Action<string> look)
    {
        SandboxRun.Need();
        string folder = Case.NewFolder("jail");
        string script = $$"""
            mkfifo stop
            {{string.Join(' ', prefix)}} '{{sandbox}}' run -- cat <stop >out 2>err &
            exec 9>stop
            for i in $(seq 200); do vmm=$(pgrep -P $! -x sandbox-vmm) && grep -q . /proc/$vmm/task/*/comm && break; sleep 0.05; done
            while ! ls -l /proc/$vmm/fd | grep -q kvm-vcpu; do sleep 0.05; done
            echo $vmm >vmm
            while [ ! -e seen ]; do sleep 0.05; done
            exec 9>&-
            wait $!
            """;
        Task<Outcome> run = Task.Run(() => Native.Run(["bash", "-c", script], folder));
        string file = Path.Combine(folder, "vmm");
        Assert.True(SpinWait.SpinUntil(() => File.Exists(file) && File.ReadAllText(file).EndsWith('\n'), 20_000), "no VMM");
        try
        {
            look("/proc/" + File.ReadAllText(file).Trim());
        }
        finally
        {
            File.WriteAllText(Path.Combine(folder, "seen"), "");
            run.Result.Ended(0);
        }
        Assert.Equal("", File.ReadAllText(Path.Combine(folder, "err")));
    }

    private static string Status(string proc, string field) =>
        File.ReadLines(proc + "/status").First(line => line.StartsWith(field + ":", StringComparison.Ordinal))
            [(field.Length + 1)..].Trim();

    private static void AssertJailed(string proc)
    {
        string[] spaces = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"];
        // Earlier kernels enter a time namespace by a fork alone.
        foreach (string space in Environment.OSVersion.Version >= new Version(6, 2) ? [.. spaces, "time"] : spaces)
            Assert.NotEqual(
                new FileInfo($"/proc/self/ns/{space}").LinkTarget, new FileInfo($"{proc}/ns/{space}").LinkTarget);
        foreach (string set in (string[])["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
            Assert.Equal("0000000000000000", Status(proc, set));
        Assert.Equal("1", Status(proc, "NoNewPrivs"));
        // One filter for all threads, and one of each thread's role.
        // KVM's workers, which the kernel counts as the VMM's threads, run none of its code.
        Assert.True(SpinWait.SpinUntil(() => Directory.GetDirectories(proc + "/task")
            .Where(task => !File.ReadAllText(task + "/comm").StartsWith("kvm-", StringComparison.Ordinal))
            .All(task => (Status(task, "Seccomp"), Status(task, "Seccomp_filters")) == ("2", "2")), 10_000),
            "a thread without its filters");
        Assert.Equal("1", Status(proc, "NSpid").Split('\t')[1]);
        string mount = Assert.Single(File.ReadAllLines(proc + "/mountinfo"));
        Assert.Contains(" / / ro,nosuid,nodev,noexec", mount, StringComparison.Ordinal);
        Assert.Matches("Max core file size +0 +0 ", File.ReadAllText(proc + "/limits"));
        Assert.Equal("", File.ReadAllText(proc + "/environ"));
        // Two interfaces' lines are headings; the only interface is a loopback that is down.
        Assert.Equal("lo", Assert.Single(File.ReadAllLines(proc + "/net/dev").Skip(2)).Split(':')[0].Trim());
    }

    [Fact]
    public void Every_wall_stands_around_the_VMM() => WithVmm(Ring.Sandbox, [], proc =>
    {
        AssertJailed(proc);
        Assert.Empty(Directory.GetFileSystemEntries(proc + "/root/"));
        if (geteuid() == 0)
            Assert.All(Status(proc, "Uid").Split('\t'), user => Assert.InRange(uint.Parse(user), 0x7000_0000u, (uint)int.MaxValue));
        Assert.Equal("", Status(proc, "Groups"));
        string[] held = [.. Directory.GetFiles(proc + "/fd").Select(fd => new FileInfo(fd).LinkTarget!)];
        Assert.DoesNotContain(held, target => target is "/" || target.StartsWith("/etc/shadow", StringComparison.Ordinal));
    });

    [Fact]
    public void An_ordinary_user_gets_them_as_well()
    {
        Assert.SkipUnless(geteuid() == 0, "only root can lend another user /dev/kvm");
        string node = Path.Combine(Case.NewFolder("device"), "kvm");
        // The device for everybody, in a mount namespace of this test's own.
        string copy = Case.NewFolder("bin");
        foreach (string file in Directory.GetFiles(Path.GetDirectoryName(Ring.Sandbox)!))
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        WithVmm(Path.Combine(copy, "sandbox"), ["unshare", "-m", "bash", "-c",
            $"'mknod -m 666 {node} c 10 232 && mount --bind {node} /dev/kvm && exec setpriv --reuid=4321 --regid=4321 --clear-groups \"$0\" \"$@\"'"],
            AssertJailed);
    }

    /// <summary>Root's VMM is no more than the owner of the folder that it was given, and makes files that are his.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(4321)]
    public void Roots_guest_acts_in_a_folder_as_its_owner(int owner)
    {
        Assert.SkipUnless(geteuid() == 0, "only root gives his VMM a user of its own");
        string folder = Case.NewFolder("owned");
        File.WriteAllText(Path.Combine(folder, "private"), "secret\n");
        File.WriteAllText(Path.Combine(folder, "others"), "secret\n");
        Native.Run(["sh", "-c", $"chmod 600 private others; chmod 700 .; chown {owner}:{owner} . private; chown 99:99 others"], folder).Ended(0);
        string text = SandboxRun.Run(["--mount", $"{folder}:/work:rw"], ["sh", "-c", """
            cd /work; cat private; cat others 2>/dev/null || echo refused
            echo mine >made; mkdir sub; ln -s made link; chmod 640 made
            stat -c '%n %U' . private others made sub
            """]).Ended(0).Text;
        Assert.Equal("secret\nrefused\n. sandbox\nprivate sandbox\nothers nobody\nmade sandbox\nsub sandbox\n", text);
        Assert.Equal($"made {owner} {owner} 640\nsub {owner} {owner} 755\nlink {owner} {owner} 777\n",
            Native.Run(["stat", "-c", "%n %u %g %a", "made", "sub", "link"], folder).Text);
    }

    /// <summary>devpts cannot be mapped; nor can other file systems, on older kernels.</summary>
    [Fact]
    public void Where_owners_cannot_be_mapped_the_VMM_runs_as_the_caller_and_that_is_told()
    {
        Assert.SkipUnless(geteuid() == 0, "only root gives his VMM a user of its own");
        SandboxRun.Need();
        string folder = Case.NewFolder("unmapped");
        // ramfs has never learned it.
        Outcome outcome = Native.Run(["unshare", "-m", "sh", "-c",
            $"mount -t ramfs none '{folder}' && echo hello >'{folder}/file' && exec '{Ring.Sandbox}' run --mount '{folder}:/work:rw' -- sh -c 'cat /work/file; echo more >/work/new'"],
            "/").Ended(0);
        Assert.Equal("hello\n", outcome.Text);
        outcome.Says("warning: the jail around the VMM lacks walls (a user of its own), since this host refused giving the VMM /work",
            "see sandbox doctor");
    }

    [Theory]
    [InlineData("echo 0 >/proc/sys/user/max_user_namespaces", "user namespace")]
    [InlineData("echo 0 >/proc/sys/user/max_net_namespaces", "network namespace")]
    public void A_wall_that_the_host_refuses_is_told_and_never_left_out_in_silence(string refuse, string missing)
    {
        SandboxRun.Need();
        string policy = Path.Combine(Case.NewFolder("policy"), "walls.yaml");
        File.WriteAllText(policy, "version: 1\nextends: builtin:default.yaml\nisolation: [namespaces]\n");
        Outcome Run(string flags) => Native.Run(
            ["unshare", "-U", "-r", "bash", "-c", $"{refuse} && exec '{Ring.Sandbox}' run {flags} -- echo hello"], "/");

        Outcome told = Run("").Ended(0);
        Assert.Equal("hello\n", told.Text);
        told.Says("warning: the jail around the VMM lacks walls", missing, "sandbox doctor");
        Outcome refused = Run($"--policy '{policy}'").Ended(125);
        refused.Says("walls.yaml:3:13: the policy requires the wall namespaces", "see sandbox doctor");
        Assert.Equal("", refused.Text);
    }
}
