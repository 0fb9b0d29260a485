using System.Diagnostics;
using System.Globalization;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>
/// The host's own limits, which hold even a VMM that has fallen: a stand-in in its place uses up what it can. Some are
/// timed, so they run alone.
/// </summary>
[Collection(nameof(Alone))]
public sealed class CgroupTests
{
    private static void NeedGroups()
    {
        SandboxRun.Need();
        Assert.SkipUnless(Environment.UserName == "root" && File.Exists("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
            "only root on a host of version 1 always has control groups to give");
    }

    /// <summary>A folder with the program under test beside a VMM that does as it is named.</summary>
    private static string WithHostileVmm(string mode)
    {
        string folder = Case.NewFolder("hostile");
        foreach (string file in Directory.GetFiles(Path.GetDirectoryName(Ring.Sandbox)!))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        Native.Run(["gcc", "-O1", "-static", $"-DMODE={mode}", "-o", Path.Combine(folder, "sandbox-vmm"),
            Path.Combine(Ring.Repository, "tests/EndToEnd/hostile-vmm.c")], folder).Ended(0);
        return Path.Combine(folder, "sandbox");
    }

    private static Outcome RunHostile(string mode, params string[] flags)
    {
        NeedGroups();
        Outcome outcome = Native.Run([WithHostileVmm(mode), "run", .. flags, "--", "true"], "/");
        Assert.Empty(ControlGroups.Abandoned());
        return outcome;
    }

    /// <summary>Where the kernel says that a process is, by controller.</summary>
    private static string GroupOf(int pid, string controller)
    {
        string line = File.ReadLines($"/proc/{pid}/cgroup")
            .Single(line => line.Split(':')[1].Split(',').Contains(controller));
        return $"/sys/fs/cgroup/{controller}{line.Split(':', 3)[2]}";
    }

    [Theory]
    [InlineData("memory")]
    [InlineData("family")]
    public void A_VMM_that_eats_memory_is_stopped_at_the_guests_limit_and_the_reason_told(string mode) =>
        RunHostile(mode, "--memory", "32M", "--timeout", "60s").Ended(137)
            .Says("the memory limit of 32 MiB (--memory) was reached", "control group's limit of 354 MiB");

    [Fact]
    public void A_VMM_that_forks_is_refused_at_the_guests_limit_and_the_reason_told() =>
        RunHostile("fork_bomb", "--processes", "10", "--timeout", "60s").Ended(125)
            .Says("exit status 7", "refused it more than 74 threads (--processes 10)");

    [Fact]
    public void A_VMM_that_burns_CPU_time_gets_no_more_than_the_guest_may_and_ends_with_it()
    {
        Assert.SkipUnless(Environment.ProcessorCount > 1, "one CPU is all that there is");
        Outcome outcome = RunHostile("burn", "--cpus", "1", "--timeout", "2s").Ended(124).Says("time limit", "by force");
        // Four processes on two or more CPUs.
        Assert.InRange(outcome.Cpu.TotalSeconds, 0.1, outcome.Wall.TotalSeconds * 1.15);
    }

    [Fact]
    public void The_limits_are_in_the_kernel_and_the_supervisor_is_apart()
    {
        NeedGroups();
        SandboxRun.Run(["--memory", "64M", "--cpus", "1", "--processes", "20"], ["sleep", "3"], whileRunning: child =>
        {
            int vmm = 0;
            Assert.True(SpinWait.SpinUntil(
                () => (vmm = ProcessTable.All()
                    .FirstOrDefault(row => row.Parent == child.Pid && row.Name == "sandbox-vmm").Pid) != 0,
                20_000), "no VMM");
            // None is "max" in some files.
            ulong? Number(string controller, string file) => ulong.TryParse(
                File.ReadAllText($"{GroupOf(vmm, controller)}/{file}"), CultureInfo.InvariantCulture, out ulong number) ? number : null;
            const ulong memory = (64 + 4 + 128 + 15) << 20;
            Assert.True(SpinWait.SpinUntil(() => Number("pids", "pids.max") == 84, 20_000), "no limit");
            Assert.Equal(memory, Number("memory", "memory.limit_in_bytes"));
            if (File.Exists($"{GroupOf(vmm, "memory")}/memory.memsw.limit_in_bytes"))
                Assert.Equal(memory, Number("memory", "memory.memsw.limit_in_bytes"));
            Assert.Equal(1024UL, Number("cpu", "cpu.shares"));
            if (Environment.ProcessorCount > 1)
                Assert.Equal(Number("cpu", "cpu.cfs_period_us"), Number("cpu", "cpu.cfs_quota_us"));
            foreach (string controller in (string[])["memory", "cpu", "pids", "freezer"])
            {
                Assert.Equal(GroupOf(child.Pid, controller).TrimEnd('/'), Path.GetDirectoryName(GroupOf(vmm, controller)));
                Assert.Equal([$"{vmm}"], File.ReadAllLines($"{GroupOf(vmm, controller)}/cgroup.procs"));
            }
        }).Ended(0);
    }

    [Fact]
    public void A_supervisor_that_is_killed_leaves_groups_only_until_the_next_command()
    {
        NeedGroups();
        var random = new Random(4);
        int left = 0;
        for (int i = 0; i < 30; i++)
        {
            ProcessStartInfo start = new(Ring.Sandbox, ["run", "--", "sleep", "100"]) { RedirectStandardError = true };
            using Process supervisor = Process.Start(start)!;
            // At any moment of the start, or of the run.
            if (i >= 15)
                SpinWait.SpinUntil(() => ControlGroups.MadeBy(supervisor.Id).Length > 0, 20_000);
            Thread.Sleep(random.Next(30));
            supervisor.Kill();
            supervisor.WaitForExit();
            left += ControlGroups.MadeBy(supervisor.Id).Length;
        }

        Assert.True(left > 0, "no kill came in time to leave a group");
        // The VMMs die of their supervisors' deaths, soon.
        Assert.True(SpinWait.SpinUntil(() =>
        {
            SandboxRun.Run([], ["true"]).Ended(0);
            return ControlGroups.Abandoned().Length == 0;
        }, 20_000), string.Join('\n', ControlGroups.Abandoned()));
    }

    [Fact]
    public void Many_at_once_do_not_remove_each_others_groups()
    {
        NeedGroups();
        string policy = Path.Combine(Case.NewFolder("policy"), "walls.yaml");
        File.WriteAllText(policy, "version: 1\nextends: builtin:default.yaml\nisolation: [cgroup]\n");
        Parallel.For(0, 40, new ParallelOptions { MaxDegreeOfParallelism = 8 }, _ =>
            SandboxRun.Run(["--policy", policy], ["true"]).Ended(0));
        Assert.Empty(ControlGroups.Abandoned());
    }

    /// <summary>An ordinary user owns no control group here, as on most hosts.</summary>
    [Fact]
    public void Without_delegation_doctor_tells_and_a_policy_that_requires_it_refuses()
    {
        SandboxRun.Need();
        Assert.SkipUnless(Environment.UserName == "root", "only root can lend another user /dev/kvm");
        string folder = Case.NewFolder("user"), node = Path.Combine(folder, "kvm");
        string policy = Path.Combine(folder, "walls.yaml");
        foreach (string file in Directory.GetFiles(Path.GetDirectoryName(Ring.Sandbox)!))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        File.WriteAllText(policy, "version: 1\nextends: builtin:default.yaml\nisolation: [cgroup]\n");
        Native.Run(["mknod", "-m", "666", node, "c", "10", "232"], "/").Ended(0);
        Outcome AsUser(params string[] arguments) => Native.Run(["unshare", "-m", "bash", "-c",
            "mount --bind \"$0\" /dev/kvm && exec setpriv --reuid=4321 --regid=4321 --clear-groups \"$@\"", node,
            Path.Combine(folder, "sandbox"), .. arguments], "/");

        Outcome quiet = AsUser("run", "--", "echo", "hello").Ended(0);
        Assert.Equal(("hello\n", ""), (quiet.Text, quiet.ErrorText));
        string doctor = AsUser("doctor").Ended(0).Text;
        Assert.Contains("control group of guests", doctor, StringComparison.Ordinal);
        Assert.Contains("systemd-run --user --scope -p Delegate=yes", doctor, StringComparison.Ordinal);
        AsUser("run", "--policy", policy, "--", "echo", "hello").Ended(125)
            .Says("walls.yaml:3:13: the policy requires the wall cgroup", "EACCES");
    }

    [Fact]
    public void A_tree_that_is_read_only_is_told()
    {
        NeedGroups();
        Outcome told = Native.Run(["unshare", "-m", "bash", "-c",
            "for tree in memory cpu pids freezer; do mount -o remount,bind,ro /sys/fs/cgroup/$tree || exit 99; done; "
                + "exec \"$0\" run -- echo hello",
            Ring.Sandbox], "/").Ended(0);
        Assert.Equal("hello\n", told.Text);
        told.Says("warning: the jail around the VMM lacks walls (control group)", "EROFS", "sandbox doctor");
    }
}
