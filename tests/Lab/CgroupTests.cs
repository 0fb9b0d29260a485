using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>
/// Guests' control groups where there is nothing but version 2, as on most hosts. What runs in them is a stand-in for the
/// VMM: the kernel counts it all the same.
/// </summary>
public sealed class CgroupTests
{
    /// <summary>
    /// Functions for scripts. <c>vmms</c> says where VMMs are; a group is left if it is there without its supervisor.
    /// </summary>
    const string Prelude = """
        set -e
        cd /sys/fs/cgroup
        sandbox=$0
        vmms() { for proc in /proc/[0-9]*; do read -r name <$proc/comm && [ "$name" = sandbox-vmm ] && sed -n 's/^0:://p' $proc/cgroup; done 2>/dev/null; true; }
        until_vmm() { until path=$(vmms | grep "^$1/sandbox-${2-[0-9]*}-[0-9-]*$"); do sleep 0.2; done; path=/sys/fs/cgroup$path; until grep -q 84 $path/pids.max; do sleep 0.2; done; }
        flags="--memory 64M --cpus 1 --processes 20 --timeout 60s"

        """;

    static string Folder { get; } = Path.Combine(Laboratory.Root, "build/test/hostile-vmm");

    static string FolderInLab => $"{LabHost.Repository}/build/test/hostile-vmm";

    /// <summary>One of their own, whose memory they use up.</summary>
    static readonly Lazy<LabHost> s_host = new(() => new LabHost(new LabHostOptions { Name = "cgroups", Processors = 2 }));

    static void Need()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a host of its own: ./test --lab-all");
    }

    static Outcome Script(string text, string? sandbox = null, int status = 0)
    {
        Need();
        Outcome outcome = s_host.Value.Run(["sh", "-c", Prelude + text, sandbox ?? Laboratory.SandboxInLab], limit: TimeSpan.FromSeconds(150));
        Assert.True(outcome.Status == status, outcome.ToString());
        return outcome;
    }

    /// <summary>The program under test beside a VMM that does as its name says.</summary>
    static string WithVmm(string mode)
    {
        Need();
        string folder = Path.Combine(Folder, mode);
        Directory.CreateDirectory(folder);
        File.Copy(Path.Combine(Laboratory.Root, "build/bin/sandbox"), Path.Combine(folder, "sandbox"), overwrite: true);
        Assert.True(Laboratory.Made(out string said, "gcc", "-O1", "-static", $"-DMODE={mode}", "-o",
            Path.Combine(folder, "sandbox-vmm"), Path.Combine(Laboratory.Root, "tests/EndToEnd/hostile-vmm.c")), said);
        return $"{FolderInLab}/{mode}/sandbox";
    }

    [Fact]
    public void In_the_root_group_limits_hold_and_the_group_is_removed()
    {
        string[] lines = Script("""
            $sandbox run $flags -- true &
            until_vmm "" $!
            cat $path/memory.max $path/memory.swap.max $path/memory.oom.group $path/cpu.max $path/cpu.weight $path/pids.max
            wait $!
            [ ! -e $path ]
            """, WithVmm("linger")).Text.TrimEnd('\n').Split('\n');
        string memory = $"{(64 + 4 + 128 + 15) << 20}";
        // Without swap there is no file for it.
        Assert.Equal([memory, "0", "1", "100000 100000", "100", "84"], lines);
    }

    [Fact]
    public void Beside_others_the_group_is_beside_and_alone_below()
    {
        Script("""
            mkdir -p beside/own alone
            echo "+memory +cpu +pids" >cgroup.subtree_control
            echo "+memory +cpu +pids" >beside/cgroup.subtree_control
            sh -c 'echo $$ >beside/own/cgroup.procs; '"$sandbox run $flags -- true; true" &
            until_vmm /beside
            wait $!
            [ ! -e $path ]
            sh -c 'echo $$ >alone/cgroup.procs; exec '"$sandbox run $flags -- true" &
            until_vmm /alone
            grep -q cpu alone/cgroup.subtree_control
            wait $!
            [ ! -e $path ]
            # The supervisor's own is removed by whoever comes next; here, the folder's owner.
            rmdir alone/sandbox-*-0 alone beside/own beside
            """, WithVmm("linger"));
    }

    [Fact]
    public void A_VMM_that_eats_memory_is_stopped_and_the_reason_told()
    {
        Outcome outcome = Script("exec $sandbox run --memory 32M --timeout 100s -- true", WithVmm("memory"), status: 137);
        Assert.Contains("control group's limit of 354 MiB", outcome.ErrorText, StringComparison.Ordinal);
    }

    [Fact]
    public void A_VMM_that_forks_is_refused_and_the_reason_told()
    {
        Outcome outcome = Script("exec $sandbox run --processes 10 --timeout 100s -- true", WithVmm("fork_bomb"), status: 125);
        Assert.Contains("refused it more than 74 threads", outcome.ErrorText, StringComparison.Ordinal);
    }

    /// <summary>A disk in memory, with a file system that can be read from it again.</summary>
    const string Disk = """
        [ -e /dev/ram0 ] && /usr/sbin/mkfs.ext4 -q /dev/ram0 && mkdir -p /tmp/disk && mount /dev/ram0 /tmp/disk
        printf 'version: 1\nextends: builtin:default.yaml\nisolation: [cgroup]\nfiles: {show: [{path: /disk, from: /tmp/disk, rate: 100K, because: x}]}\n' >/tmp/rate.yaml

        """;

    [Fact]
    public void A_rate_is_set_on_the_disk()
    {
        string[] lines = Script(Disk + """
            # The stand-in never says what walls it has, so that these cannot be required of it.
            grep -v isolation /tmp/rate.yaml >/tmp/rate-only.yaml
            $sandbox run $flags --policy /tmp/rate-only.yaml -- true &
            until_vmm "" $!
            until grep -q rbps $path/io.max; do sleep 0.2; done
            cat $path/io.max
            wait $!
            [ ! -e $path ]
            """, WithVmm("linger")).Text.TrimEnd('\n').Split('\n');
        Assert.Equal(["1:0 rbps=102400 wbps=102400 riops=max wiops=max"], lines);
    }

    [Fact]
    public void A_guest_reads_no_faster_than_its_rate_and_the_rate_is_read_back() => Script(Disk + """
        dd if=/dev/urandom of=/tmp/disk/input bs=64k count=32 conv=fsync status=none
        echo 3 >/proc/sys/vm/drop_caches
        start=$(date +%s)
        $sandbox run $flags --policy /tmp/rate.yaml --json /tmp/result.json -- cat /disk/input >/dev/null
        seconds=$(($(date +%s) - start))
        [ $seconds -ge 19 ] || { echo "2 MiB in $seconds s"; exit 1; }
        grep -A 4 '"wall": *"io.max"' /tmp/result.json | grep -q '"verdict": *"holds"'
        """);

    [Fact]
    public void A_pause_freezes_the_group() => Script("""
        # An emulated host may be too slow for a supervisor to answer at once.
        ask() { until $sandbox $1 $id; do sleep 1; done; }
        id=$($sandbox run --detach --timeout none -- sleep 1000)
        path=/sys/fs/cgroup$(vmms | head -n 1)
        ask pause
        grep -q 'frozen 1' $path/cgroup.events
        ask resume
        grep -q 'frozen 0' $path/cgroup.events
        ask pause
        $sandbox kill $id || true
        until [ ! -e $path ]; do sleep 0.2; done
        """);

    [Fact]
    public void What_a_killed_supervisor_leaves_the_next_start_removes() => Script("""
        mkdir -p kill/own
        echo "+memory +cpu +pids" >cgroup.subtree_control
        echo "+memory +cpu +pids" >kill/cgroup.subtree_control
        echo $$ >kill/own/cgroup.procs
        $sandbox run $flags -- true &
        until_vmm /kill
        kill -KILL $!
        wait $! || true
        [ -e $path ]
        until [ -z "$(cat $path/cgroup.procs)" ]; do sleep 0.2; done
        $sandbox run -- true
        [ ! -e $path ]
        """, WithVmm("linger"));

    [Fact]
    public void Without_a_tree_of_control_groups_a_policy_that_requires_one_refuses()
    {
        Outcome outcome = Script("""
            printf 'version: 1\nextends: builtin:default.yaml\nisolation: [cgroup]\n' >/tmp/walls.yaml
            unshare -m sh -c "umount -l /sys/fs/cgroup && exec $sandbox run --policy /tmp/walls.yaml -- true"
            """, status: 125);
        Assert.Contains("the policy requires the wall cgroup", outcome.ErrorText, StringComparison.Ordinal);
    }
}
