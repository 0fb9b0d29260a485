using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
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
        # The VMM may be started a second time, in a group of its own.
        vmm() { vmms | grep -m 1 "^$1/sandbox-${2-[0-9]*}-[0-9-]*$"; }
        until_vmm() { until path=/sys/fs/cgroup$(vmm "$@") && grep -q 84 $path/pids.max 2>/dev/null; do sleep 0.2; done; }
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
        Outcome outcome = s_host.Value.Run(
            ["sh", "-c", Prelude + text, sandbox ?? Laboratory.SandboxInLab], limit: TimeSpan.FromSeconds(280));
        Assert.True(outcome.Status == status, outcome.ToString());
        return outcome;
    }

    static readonly ConcurrentDictionary<string, Lazy<string>> s_made = new();

    /// <summary>The program under test beside a VMM that does as its name says. Made once: tests run at one time.</summary>
    static string WithVmm(string mode)
    {
        Need();
        return s_made.GetOrAdd(mode, name => new Lazy<string>(() => Make(name))).Value;
    }

    static string Make(string mode)
    {
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
    public void A_VMM_that_eats_memory_is_stopped_without_swap_and_the_reason_told()
    {
        Outcome outcome = Script("""
            busybox mkswap /dev/ram1 >/dev/null
            busybox swapon /dev/ram1
            before=$(grep pswpout /proc/vmstat)
            status=0
            $sandbox run --memory 32M --timeout 100s -- true || status=$?
            [ "$(grep pswpout /proc/vmstat)" = "$before" ] || echo "it was swapped out"
            busybox swapoff /dev/ram1
            exit $status
            """, WithVmm("memory"), status: 137);
        Assert.Contains(
            "the memory limit of 32 MiB (--memory) was reached by guest and VMM together: the host's kernel stopped them at their "
            + "control group's limit of 354 MiB", outcome.ErrorText, StringComparison.Ordinal);
        Assert.Equal("", outcome.Text);
    }

    /// <summary>Of four processes that never rest, on a host with two processors.</summary>
    [Fact]
    public void A_VMM_that_burns_has_its_quota_and_no_more()
    {
        string[] lines = Script("""
            $sandbox run $flags -- true &
            until_vmm "" $!
            until [ $(sed -n 's/^nr_throttled //p' $path/cpu.stat) -ge 10 ]; do sleep 0.2; done
            now() { cut -d ' ' -f 1 /proc/uptime; sed -n 's/^usage_usec //p' $path/cpu.stat; }
            now
            sleep 5
            now
            kill -INT $!
            wait $! || true
            """, WithVmm("burn")).Text.TrimEnd('\n').Split('\n');
        double[] numbers = [.. lines.Select(line => double.Parse(line, CultureInfo.InvariantCulture))];
        double seconds = numbers[2] - numbers[0], used = (numbers[3] - numbers[1]) / 1e6;
        // A period's share more may have begun.
        Assert.InRange(used, seconds * 0.5, seconds + 0.2);
    }

    [Fact]
    public void What_a_guest_used_at_most_is_in_its_record()
    {
        Outcome outcome = Script("""
            $sandbox run --memory 64M --cpus 1 --processes 20 --timeout none --json /tmp/used.json -- \
                dd if=/dev/zero of=/dev/null bs=32M count=4 status=none
            cat /tmp/used.json
            """);
        JsonElement used = JsonDocument.Parse(outcome.Text).RootElement.GetProperty("controlGroup");
        Assert.InRange(used.GetProperty("memoryPeakBytes").GetInt64(), 32 << 20, (64 + 4 + 128 + 15) << 20);
        Assert.InRange(used.GetProperty("cpuMicroseconds").GetInt64(), 10_000, 60_000_000);
        Assert.Equal((0, 0), (used.GetProperty("oomKills").GetInt32(), used.GetProperty("forksRefused").GetInt32()));
    }

    /// <summary>A user's own part of the tree, as systemd's <c>Delegate=</c> makes it.</summary>
    [Fact]
    public void In_a_delegated_tree_a_user_has_limits_of_its_own()
    {
        string[] lines = Script("""
            mkdir -p user/own
            echo "+memory +cpu +pids" >cgroup.subtree_control
            chown 1000:1000 user user/own user/cgroup.procs user/cgroup.subtree_control user/own/cgroup.procs
            chmod 666 /dev/kvm
            mkdir -p -m 700 /tmp/user
            chown 1000:1000 /tmp/user
            echo "+memory +cpu +pids" >user/cgroup.subtree_control
            as_user() { XDG_RUNTIME_DIR=/tmp/user HOME=/tmp/user setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
            sh -c 'echo $$ >user/own/cgroup.procs; exec sleep 1000' &
            inside=$!
            (echo 0 >user/own/cgroup.procs; as_user $sandbox run $flags -- true) &
            until_vmm /user
            stat -c %u $path
            cat $path/memory.max $path/cpu.max $path/pids.max
            wait $!
            [ ! -e $path ]
            kill $inside
            wait $inside || true
            rmdir user/own user
            """, WithVmm("linger")).Text.TrimEnd('\n').Split('\n');
        Assert.Equal(["1000", $"{(64 + 4 + 128 + 15) << 20}", "100000 100000", "84"], lines);
    }

    [Fact]
    public void In_a_tree_that_is_read_only_a_guest_runs_unless_its_policy_requires_a_group()
    {
        Outcome outcome = Script("""
            printf 'version: 1\nextends: builtin:default.yaml\nisolation: [cgroup]\n' >/tmp/walls.yaml
            unshare -m sh -ec "mount -o remount,bind,ro /sys/fs/cgroup
                $sandbox run -- echo ran
                exec $sandbox run --policy /tmp/walls.yaml -- true"
            """, status: 125);
        Assert.Equal("ran\n", outcome.Text);
        Assert.Contains("the policy requires the wall cgroup", outcome.ErrorText, StringComparison.Ordinal);
        Assert.Contains("Read-only file system", outcome.ErrorText, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void A_VMM_that_forks_is_refused_and_the_reason_told()
    {
        Outcome outcome = Script("exec $sandbox run --processes 10 --timeout 100s -- true", WithVmm("fork_bomb"), status: 125);
        Assert.Contains("refused it more than 74 threads", outcome.ErrorText, StringComparison.Ordinal);
    }

    /// <summary>A disk in memory, with a file system that can be read from it again.</summary>
    const string Disk = """
        # Tests run beside each other.
        make_disk='mountpoint -q /tmp/disk || { /usr/sbin/mkfs.ext4 -q /dev/ram0; mkdir -p /tmp/disk; mount /dev/ram0 /tmp/disk; }'
        flock /tmp/disk.lock sh -ec "$make_disk"
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

    /// <summary>
    /// A group with a thread of the kernel's in it, as KVM puts there before Linux 6.14, is never said to be frozen: then
    /// every process in it is stopped.
    /// </summary>
    [Fact]
    public void A_paused_group_stands_still() => Script("""
        # An emulated host may be too slow for a supervisor to answer at once.
        ask() { until $sandbox $1 $id; do sleep 1; done; }
        used() { sed -n 's/^usage_usec //p' $path/cpu.stat; }
        still() {
            [ "$(cat $path/cgroup.freeze)" = 0 ] || return 0
            for pid in $(cat $path/cgroup.procs); do
                # What has no program is the kernel's.
                readlink /proc/$pid/exe >/dev/null || continue
                grep -q '^State:.*T (stopped)' /proc/$pid/status || return 1
            done
        }
        id=$($sandbox run --detach --timeout none -- sh -c 'while :; do :; done')
        path=$($sandbox inspect $id | sed -n 's/^control group: *//p')
        [ -n "$(cat $path/cgroup.procs)" ]
        ask pause
        still
        before=$(used)
        sleep 2
        [ $(used) = $before ]
        ask resume
        if still; then echo "it was not resumed"; exit 1; fi
        until [ $(used) -gt $((before + 100000)) ]; do sleep 0.2; done
        ask pause
        still
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
