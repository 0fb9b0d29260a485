using System.Diagnostics;
using System.Text.Json.Nodes;
using Sandbox.EndToEnd.Harness;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd;

/// <summary>Sandboxes that outlive the command line that started them, and the commands that look after them.</summary>
public sealed class BackgroundTests : IDisposable
{
    static readonly string s_place = geteuid() == 0 ? "/run/sandbox" : $"{Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR")}/sandbox";

    readonly List<string> _started = [];

    /// <summary>A test that failed half-way leaves nothing running.</summary>
    public void Dispose()
    {
        foreach (string id in _started)
        {
            Sandbox("kill", id);
            Sandbox("rm", id);
        }
    }

    /// <summary>No more than the command line itself: what it started goes on.</summary>
    static Outcome Sandbox(params string[] arguments)
    {
        SandboxRun.Need();
        Dictionary<string, string> environment = [];
        if (Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is string folder)
            environment["XDG_RUNTIME_DIR"] = folder;
        return Native.Run([Ring.Sandbox, .. arguments], "/", environment: environment);
    }

    static string Name() => $"test-{Guid.NewGuid():N}";

    string Detach(string[] flags, params string[] command)
    {
        Outcome outcome = Sandbox(["run", "--detach", "--timeout", "100s", .. flags, "--", .. command]).Ended(0);
        Assert.Equal("", outcome.ErrorText);
        Assert.Matches("^[0-9a-f]{12}\n$", outcome.Text);
        _started.Add(outcome.Text.Trim());
        return _started[^1];
    }

    static JsonNode Inspect(string id) => JsonNode.Parse(Sandbox("inspect", "--json", id).Ended(0).Text)!;

    static string State(string id) => (string)Inspect(id)["state"]!;

    static bool IsListed(string id, params string[] flags) => Sandbox(["ps", .. flags]).Ended(0).Text.Contains(id, StringComparison.Ordinal);

    static void AwaitOutput(string id, string text) =>
        Assert.True(SpinWait.SpinUntil(() => Sandbox("logs", id).Text.Contains(text, StringComparison.Ordinal), 30_000), $"{id} never wrote {text}");

    [Fact]
    public void A_detached_sandbox_runs_on_and_its_status_and_output_are_kept()
    {
        string id = Detach([], "sh", "-c", "echo out; echo err >&2; read x; sleep 4; exit 7");
        Assert.True(IsListed(id));
        Sandbox("wait", id).Ended(7);
        Assert.False(IsListed(id));
        Assert.True(IsListed(id, "--all"));
        // stdin was at its end.
        Outcome logs = Sandbox("logs", id).Ended(0);
        Assert.Equal(("out\n", "err\n"), (logs.Text, logs.ErrorText));
        Sandbox("wait", id).Ended(7);
        Assert.Equal("exited", State(id));
        Assert.Equal(7, (int)Inspect(id)["exitStatus"]!);
        Sandbox("stop", id).Ended(0);
        Sandbox("kill", id).Ended(125).Says("has ended");
        Sandbox("rm", id).Ended(0);
        Sandbox("inspect", id).Ended(125).Says("no sandbox is called");
        Assert.False(Directory.Exists($"{s_place}/{id}"));
    }

    [Fact]
    public void The_caller_gets_his_streams_back_at_once()
    {
        SandboxRun.Need();
        // Whoever reads a pipe to its end would wait for the guest if anything held the pipe.
        var clock = Stopwatch.StartNew();
        Outcome outcome = Native.Run(["sh", "-c", $"id=$({Ring.Sandbox} run --detach --rm -- sleep 30 2>&1); echo $id"], "/");
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), $"it took {clock.Elapsed}");
        _started.Add(outcome.Text.Trim());
        Assert.Matches("^[0-9a-f]{12}\n$", outcome.Text);
    }

    [Fact]
    public void With_rm_nothing_is_left()
    {
        string id = Detach(["--rm"], "sleep", "4");
        int supervisor = (int)Inspect(id)["supervisorPid"]!;
        Sandbox("wait", id).Ended(0);
        Assert.True(SpinWait.SpinUntil(() => !Directory.Exists($"{s_place}/{id}"), 10_000));
        // Its groups go last.
        SpinWait.SpinUntil(() => ControlGroups.MadeBy(supervisor).Length == 0, 10_000);
        Assert.Empty(ControlGroups.MadeBy(supervisor));
    }

    [Theory]
    [InlineData(127, "was not found", "/no/such/program")]
    [InlineData(126, "cannot be executed", "/etc/os-release")]
    public void A_start_that_fails_is_told_with_its_status(int status, string words, string program)
    {
        Outcome outcome = Sandbox("run", "--detach", "--", program).Ended(status).Says(words);
        Assert.Equal("", outcome.Text);
    }

    [Fact]
    public void Mistakes_are_told_at_once()
    {
        Sandbox("run", "--detach", "--tty", "--", "true").Ended(125).Says("--detach", "--tty");
        Sandbox("run", "--name", "../x", "--", "true").Ended(125).Says("--name", "is not a name");
        Sandbox("run", "--detach", "--memory", "x", "--", "true").Ended(125).Says("--memory");
        Sandbox("run", "--detach", "--mount", "/no/such/folder", "--", "true").Ended(125).Says("/no/such/folder");
        Sandbox("stop").Ended(125).Says("name a sandbox");
        Sandbox("supervise", "run", "--", "true").Ended(125).Says("supervise");
        foreach (string command in (string[])["inspect", "logs", "stop", "kill", "pause", "resume", "wait", "rm"])
            foreach (string wrong in (string[])["no-such-sandbox", "", "../../etc", "ffffffffffff", "\x1b[31m"])
                Sandbox(command, wrong).Ended(125).Says("no sandbox is called");
        Sandbox("balloon", "no-such-sandbox", "64M").Ended(125).Says("no sandbox is called");
        foreach (string wrong in (string[])["", "-1", "64X", "1.5G"])
            Sandbox("balloon", "no-such-sandbox", wrong).Ended(125).Says("balloon", "is not a size");
        Sandbox("balloon", "no-such-sandbox").Ended(125).Says("SIZE");
    }

    /// <summary>Of metrics: each sample's value by its name and labels, without the sandbox's own.</summary>
    static Dictionary<string, double> Metrics(string text, string id)
    {
        Assert.EndsWith("\n# EOF\n", text, StringComparison.Ordinal);
        return text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => !line.StartsWith('#')).ToDictionary(
            line => line[..line.LastIndexOf(' ')].Replace($"sandbox=\"{id}\",", "", StringComparison.Ordinal)
                .Replace($"{{sandbox=\"{id}\"}}", "", StringComparison.Ordinal),
            line => double.Parse(line[line.LastIndexOf(' ')..], System.Globalization.CultureInfo.InvariantCulture));
    }

    [Fact]
    public void What_is_counted_grows_while_it_runs_and_stays_after_its_end()
    {
        string id = Detach([], "sh", "-c", "while [ ! -e /tmp/stop ]; do echo x; cat /etc/hostname >/dev/null; sleep 0.05; done");
        AwaitOutput(id, "x");
        Dictionary<string, double> first = Metrics(Sandbox("inspect", "--metrics", id).Ended(0).Text, id);
        Assert.Equal((1, 1), (first["sandbox_vmm_responding"], first["sandbox_state{sandbox_state=\"running\"}"]));
        Dictionary<string, double> second = [];
        string[] growing =
        [
            "sandbox_wall_seconds", "sandbox_cpu_seconds_total", "sandbox_guest_wall_seconds", "sandbox_guest_cpu_seconds_total",
            "sandbox_guest_output_bytes_total", "sandbox_guest_processes_total",
            "sandbox_guest_system_calls_total{call=\"execve\"}", "sandbox_exits_total{kind=\"systemCall\"}",
            "sandbox_exit_duration_seconds_count{kind=\"systemCall\"}", "sandbox_exit_duration_seconds_sum{kind=\"systemCall\"}",
            "sandbox_exits_total{kind=\"pageFault\"}", "sandbox_exit_duration_seconds_sum{kind=\"pageFault\"}",
        ];
        Assert.True(SpinWait.SpinUntil(() =>
        {
            second = Metrics(Sandbox("inspect", "--metrics", id).Ended(0).Text, id);
            return growing.All(name => second[name] > first[name]);
        }, 20_000), string.Join(", ", growing.Where(name => second[name] <= first[name])));
        Assert.InRange(second["sandbox_exit_duration_minimum_seconds{kind=\"systemCall\"}"], 1e-9,
            second["sandbox_exit_duration_maximum_seconds{kind=\"systemCall\"}"]);
        Sandbox("inspect", "--metrics", "--json", id).Ended(125).Says("--json", "--metrics");
        Sandbox("kill", "--signal", "TERM", id).Ended(0);
        Sandbox("wait", id).Ended(143);
        Dictionary<string, double> last = Metrics(Sandbox("inspect", "--metrics", id).Ended(0).Text, id);
        Assert.Equal((143, 1), (last["sandbox_exit_status"], last["sandbox_state{sandbox_state=\"exited\"}"]));
        Assert.All(growing.Skip(1), name => Assert.True(last[name] >= second[name], name));
        Assert.DoesNotContain("sandbox_vmm_responding", last.Keys);
    }

    [Fact]
    public void A_vmm_that_does_not_answer_is_unresponsive_and_keeps_nobody_waiting()
    {
        string id = Detach([], "sleep", "60");
        int vmm = (int)Inspect(id)["vmmPid"]!;
        Assert.Equal(0, kill(vmm, SIGSTOP));
        try
        {
            var clock = Stopwatch.StartNew();
            Outcome outcome = Sandbox("inspect", "--metrics", id).Ended(0).Says($"the VMM of {id} is unresponsive");
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), $"it took {clock.Elapsed}");
            Dictionary<string, double> told = Metrics(outcome.Text, id);
            Assert.Equal(0, told["sandbox_vmm_responding"]);
            Assert.DoesNotContain(told.Keys, name => name.StartsWith("sandbox_guest", StringComparison.Ordinal));
        }
        finally
        {
            Assert.Equal(0, kill(vmm, SIGCONT));
        }

        Assert.True(SpinWait.SpinUntil(
            () => Metrics(Sandbox("inspect", "--metrics", id).Ended(0).Text, id)["sandbox_vmm_responding"] == 1, 20_000));
        Sandbox("pause", id).Ended(0);
        Dictionary<string, double> paused = Metrics(Sandbox("inspect", "--metrics", id).Ended(0).Text, id);
        Assert.Equal(1, paused["sandbox_state{sandbox_state=\"paused\"}"]);
        Assert.DoesNotContain("sandbox_vmm_responding", paused.Keys);
        Sandbox("resume", id).Ended(0);
    }

    [Fact]
    public void A_name_is_one_sandboxs_as_long_as_it_runs()
    {
        string name = Name(), id = Detach(["--name", name], "sleep", "50");
        Assert.Equal(id, (string)Inspect(name)["id"]!);
        Assert.Equal(id, (string)Inspect(id[..8])["id"]!);
        Sandbox("run", "--name", name, "--", "true").Ended(125).Says("--name", id);
        Sandbox("run", "--detach", "--name", name, "--", "true").Ended(125).Says("--name", id);
        Sandbox("kill", name).Ended(0);
        Sandbox("run", "--name", name, "--", "true").Ended(0);
        // In front nothing stays; the name is that of the one which was kept.
        Assert.Equal("exited", State(name));
        Assert.Equal(137, (int)Inspect(name)["exitStatus"]!);
    }

    [Fact]
    public void Of_many_who_want_a_name_one_gets_it()
    {
        SandboxRun.Need();
        string name = Name();
        Outcome[] outcomes = new Outcome[8];
        Parallel.For(0, outcomes.Length, i => outcomes[i] = Sandbox("run", "--detach", "--rm", "--name", name, "--timeout", "100s", "--", "sleep", "60"));
        Outcome won = Assert.Single(outcomes, outcome => outcome.Status == 0);
        _started.Add(won.Text.Trim());
        Assert.All(outcomes.Where(outcome => outcome.Status != 0), outcome => outcome.Ended(125).Says("--name"));
    }

    [Fact]
    public void Stop_asks_first()
    {
        string id = Detach([], "sh", "-c", "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
        AwaitOutput(id, "ready");
        Sandbox("stop", id).Ended(0);
        Sandbox("wait", id).Ended(3);
        Assert.EndsWith("asked\n", Sandbox("logs", id).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Stop_ends_what_does_not_listen()
    {
        string id = Detach([], "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done");
        AwaitOutput(id, "ready");
        Sandbox("stop", "--time", "300ms", id).Ended(0);
        Sandbox("wait", id).Ended(137).Says("ended by sandbox kill or sandbox stop");
    }

    [Fact]
    public void Kill_sends_a_signal_or_ends_for_certain()
    {
        string id = Detach([], "sh", "-c", "trap 'echo got it' USR1; echo ready; while :; do sleep 0.05; done");
        AwaitOutput(id, "ready");
        Sandbox("kill", "--signal", "USR1", id).Ended(0);
        AwaitOutput(id, "got it");
        Sandbox("kill", "--signal", "99", id).Ended(125).Says("--signal");
        Sandbox("balloon", id, "64M").Ended(125).Says("has no balloon; only a machine guest has one");
        Sandbox("kill", id).Ended(0);
        Sandbox("wait", id).Ended(137);
    }

    [Fact]
    public void What_cannot_be_done_to_one_is_done_to_the_others()
    {
        string ended = Detach([], "true"), running = Detach([], "sleep", "60");
        Sandbox("wait", ended).Ended(0);
        Sandbox("kill", ended, running).Ended(125).Says($"{ended} has ended");
        Sandbox("wait", running).Ended(137);
        Sandbox("rm", "nobody", ended, running).Ended(125).Says("no sandbox is called 'nobody'");
        Assert.False(IsListed(ended, "--all") || IsListed(running, "--all"));
    }

    [Fact]
    public void A_paused_sandbox_stands_still()
    {
        string id = Detach([], "sh", "-c", "while :; do echo x; sleep 0.02; done");
        AwaitOutput(id, "x");
        Sandbox("pause", id).Ended(0);
        Assert.Equal("paused", State(id));
        Sandbox("pause", id).Ended(0);
        Thread.Sleep(200);
        int before = Sandbox("logs", id).Output.Length;
        Thread.Sleep(500);
        Assert.Equal(before, Sandbox("logs", id).Output.Length);
        Sandbox("resume", id).Ended(0);
        Assert.Equal("running", State(id));
        Assert.True(SpinWait.SpinUntil(() => Sandbox("logs", id).Output.Length > before, 20_000), "it did not go on");
        // A paused one hears when it is stopped.
        Sandbox("pause", id).Ended(0);
        Sandbox("stop", id).Ended(0);
        Sandbox("wait", id).Ended(143);
    }

    /// <summary>Whatever else is in the VMM's control group stands still with it.</summary>
    [Fact]
    public void A_pause_is_of_the_whole_group()
    {
        Assert.SkipUnless(geteuid() == 0, "only root can put a process into the VMM's group");
        string id = Detach([], "sleep", "50"), ticks = Path.Combine(Case.NewFolder("ticks"), "ticks");
        string[] folders = [.. Inspect(id)["controlGroup"]!["folders"]!.AsArray().Select(folder => (string)folder!)];
        using Process stranger = Process.Start("/bin/sh", ["-c", $"while :; do echo >>{ticks}; sleep 0.01; done"]);
        long Ticks() => File.Exists(ticks) ? new FileInfo(ticks).Length : 0;
        foreach (string folder in folders)
            File.WriteAllText($"{folder}/cgroup.procs", $"{stranger.Id}");
        Assert.True(SpinWait.SpinUntil(() => Ticks() > 0, 30_000), "it does not run");
        Sandbox("pause", id).Ended(0);
        long before = Ticks();
        Thread.Sleep(500);
        Assert.Equal(before, Ticks());
        Sandbox("resume", id).Ended(0);
        Assert.True(SpinWait.SpinUntil(() => Ticks() > before, 30_000), "it does not go on");
        Sandbox("kill", id).Ended(0);
        // It was among what the group's removal kills.
        Assert.True(stranger.WaitForExit(30_000));
    }

    /// <summary>Then it is the VMM alone that is stopped: one process, which can start no other.</summary>
    [Fact]
    public void Without_a_control_group_a_sandbox_pauses_all_the_same()
    {
        SandboxRun.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can mount");
        Outcome outcome = Native.Run(["unshare", "-m", "sh", "-c", $$"""
            umount -l /sys/fs/cgroup
            id=$({{Ring.Sandbox}} run --detach --rm --timeout 100s -- sh -c 'while :; do echo x; sleep 0.02; done') || exit 1
            {{Ring.Sandbox}} pause $id && {{Ring.Sandbox}} inspect $id | grep -E '^(state|control group):'
            vmm=$({{Ring.Sandbox}} inspect --json $id | sed -n 's/.*"vmmPid": *\([0-9]*\).*/\1/p')
            grep ^State: /proc/$vmm/status
            {{Ring.Sandbox}} resume $id && {{Ring.Sandbox}} stop $id
            """], "/").Ended(0);
        Assert.Contains("control group", outcome.ErrorText, StringComparison.Ordinal);
        Assert.Matches("^state: +paused\nState:\tT", outcome.Text);
    }

    [Fact]
    public void Output_is_followed_to_the_end()
    {
        string id = Detach([], "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; echo bad >&2");
        Outcome logs = Sandbox("logs", "--follow", id).Ended(0);
        Assert.Equal(("1\n2\n3\n4\n5\n", "bad\n"), (logs.Text, logs.ErrorText));
    }

    [Fact]
    public void Only_the_last_output_is_kept_and_the_rest_does_not_fill_the_host()
    {
        string id = Detach([], "sh", "-c", "head -c 8M /dev/zero; echo end");
        Sandbox("wait", id).Ended(0);
        Outcome logs = Sandbox("logs", id).Ended(0).Says("earlier bytes of stdout were not kept");
        Assert.Equal(1 << 20, logs.Output.Length);
        Assert.EndsWith("end\n", logs.Text, StringComparison.Ordinal);
        Assert.InRange(Directory.GetFiles($"{s_place}/{id}").Sum(file => new FileInfo(file).Length), 1 << 20, 3 << 20);
    }

    [Fact]
    public void Inspect_tells_walls_limits_and_usage()
    {
        string id = Detach(["--memory", "64M", "--cpus", "1"], "sleep", "50");
        JsonNode all = Inspect(id);
        Assert.Equal("running", (string)all["state"]!);
        Assert.Equal("builtin:default.yaml", (string)all["policy"]!);
        Assert.Matches("^[0-9a-f]{64}$", (string)all["policyDigest"]!);
        Assert.Equal(64L << 20, (long)all["limits"]!["memoryBytes"]!);
        Assert.Equal((int)all["supervisorPid"]!, ProcessTable.Row((int)all["vmmPid"]!)!.Value.Parent);
        if (geteuid() == 0)
        {
            Assert.Contains("control group", all["walls"]!.AsArray().Select(wall => (string)wall!));
            Assert.Equal("kernel", (string)all["wallsFrom"]!);
            Assert.Empty(all["missingWalls"]!.AsArray());
            // It says what is, and not what was built.
            string pids = all["controlGroup"]!["folders"]!.AsArray().Select(folder => $"{folder}/pids.max").Single(File.Exists);
            File.WriteAllText(pids, "max");
            JsonNode raised = Inspect(id);
            Assert.Equal("control group", (string)raised["missingWalls"]!.AsArray().Single()!);
            Assert.Contains(raised["readBack"]!.AsArray(), line => (string)line!["wall"]! == "pids.max" && (string)line["verdict"]! == "weaker");
            Assert.Matches("(?m)^weaker: +pids.max: 'max', expected at most", Sandbox("inspect", id).Ended(0).Text);
            Assert.InRange((long)all["controlGroup"]!["memoryBytes"]!, 1 << 20, 300 << 20);
            Assert.InRange((int)all["controlGroup"]!["threads"]!, 2, 100);
        }

        Assert.Contains("sleep", Sandbox("inspect", id).Ended(0).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_sandbox_in_front_is_seen_and_can_be_stopped_and_leaves_nothing()
    {
        string? id = null;
        SandboxRun.Run([], ["sleep", "60"], whileRunning: child =>
        {
            bool IsMine(JsonNode? one) => (int?)one!["supervisorPid"] == child.Pid;
            Assert.True(SpinWait.SpinUntil(() =>
                (id = (string?)JsonNode.Parse(Sandbox("ps", "--json").Text)!.AsArray().FirstOrDefault(IsMine)?["id"]) is not null, 20_000));
            Sandbox("logs", id!).Ended(125).Says("not detached");
            Sandbox("rm", id!).Ended(125).Says("runs");
            Sandbox("stop", id!).Ended(0);
        }).Ended(143);
        Assert.False(Directory.Exists($"{s_place}/{id}"));
        Assert.False(IsListed(id!, "--all"));
    }

    [Fact]
    public void A_killed_supervisor_takes_its_guest_with_it_and_gc_removes_the_rest()
    {
        foreach (bool paused in (bool[])[false, true])
        {
            string id = Detach([], "sh", "-c", "echo last words; sleep 60");
            AwaitOutput(id, "last words");
            JsonNode before = Inspect(id);
            int supervisor = (int)before["supervisorPid"]!, vmm = (int)before["vmmPid"]!;
            string[] groups = [.. before["controlGroup"]!["folders"]!.AsArray().Select(folder => (string)folder!)];
            if (paused)
                Sandbox("pause", id).Ended(0);
            Assert.Equal(0, kill(supervisor, SIGKILL));
            Assert.True(SpinWait.SpinUntil(() => ProcessTable.Row(vmm) is null or { State: 'Z' }, 10_000), "the guest lives on");
            Assert.True(SpinWait.SpinUntil(() => State(id) == "lost", 10_000));
            Assert.False(IsListed(id));
            Assert.True(IsListed(id, "--all"));
            Sandbox("wait", id).Ended(125).Says("its supervisor was killed");
            Assert.Equal("last words\n", Sandbox("logs", id).Ended(0).Text);
            Assert.Contains(id, Sandbox("gc").Ended(0).Text, StringComparison.Ordinal);
            Assert.False(Directory.Exists($"{s_place}/{id}"));
            Assert.DoesNotContain(groups, Directory.Exists);
        }
    }

    [Fact]
    public void The_next_start_removes_what_a_killed_supervisor_left()
    {
        string id = Detach(["--rm"], "sleep", "60");
        JsonNode before = Inspect(id);
        string[] groups = [.. before["controlGroup"]!["folders"]!.AsArray().Select(folder => (string)folder!)];
        Assert.Equal(0, kill((int)before["supervisorPid"]!, SIGKILL));
        Assert.True(SpinWait.SpinUntil(() =>
        {
            // Gone before anybody could see it.
            Sandbox("run", "--", "true").Ended(0);
            return !Directory.Exists($"{s_place}/{id}") && !groups.Any(Directory.Exists);
        }, 60_000), "it is still there");
    }

    [Theory]
    [InlineData("size=16k,nr_inodes=2", "No space left")]
    [InlineData("ro", "Read-only")]
    public void Without_room_for_its_state_a_sandbox_in_front_runs_and_others_are_refused(string options, string words)
    {
        SandboxRun.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can mount");
        Outcome In(string script) => Native.Run(["unshare", "-m", "sh", "-c",
            $"mount -t tmpfs tmpfs /run && mkdir /run/sandbox && chmod 700 /run/sandbox && mount -t tmpfs -o {options},mode=700 tmpfs /run/sandbox && {script}"], "/");
        Outcome front = In($"{Ring.Sandbox} run -- sh -c 'sleep 0.5; echo hello'").Ended(0).Says("warning", "/run/sandbox", words);
        Assert.Equal("hello\n", front.Text);
        In($"{Ring.Sandbox} run --detach -- true").Ended(125).Says("/run/sandbox", words, "make room");
        In($"{Ring.Sandbox} run --name x -- true").Ended(125).Says("/run/sandbox", words, "make room");
        Assert.Equal(1, In($"{Ring.Sandbox} ps").Ended(0).Text.Count(c => c == '\n'));
    }
}
