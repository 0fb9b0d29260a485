using System.Globalization;
using System.Text.Json;
using Sandbox.EndToEnd.Harness;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd;

/// <summary><c>sandbox audit sandbox</c>: what stands around a running guest's VMM, and what was taken away meanwhile.</summary>
public sealed class SandboxAuditTests
{
    static void NeedRoot() =>
        Assert.SkipUnless(geteuid() == 0, "only root can build every wall anywhere, and change a control group behind its back");

    /// <summary>A guest that holds files of both kinds open, and what is said of it meanwhile.</summary>
    static Outcome WhileRunning(Action<string, int> look)
    {
        NeedRoot();
        string folder = Case.NewFolder("audited");
        File.WriteAllText(Path.Combine(folder, "input"), "x");
        return SandboxRun.Run(["--mount", $"{folder}:/work:rw", "--cpus", "1"],
            ["sh", "-c", "exec 5</work/input 6>/work/output 7</etc/passwd; sleep 5 & echo ready >/work/ready; wait"],
            whileRunning: child =>
            {
                Assert.True(SpinWait.SpinUntil(() => File.Exists(Path.Combine(folder, "ready")), 20_000), "no guest");
                // It is listed once it has run for a moment.
                JsonElement mine = default;
                Assert.True(SpinWait.SpinUntil(() => IsListed(child.Pid, out mine), 20_000), "it is not listed");
                look(mine.GetProperty("id").GetString()!, mine.GetProperty("vmmPid").GetInt32());
            }).Ended(0);
    }

    static bool IsListed(int supervisor, out JsonElement sandbox)
    {
        sandbox = JsonDocument.Parse(SandboxRun.Command(["ps", "--json"]).Ended(0).Text).RootElement.EnumerateArray()
            .FirstOrDefault(one => one.TryGetProperty("supervisorPid", out JsonElement pid) && pid.GetInt32() == supervisor);
        return sandbox.ValueKind != JsonValueKind.Undefined;
    }

    static Dictionary<string, string> Faults(string id, int status)
    {
        JsonElement root = JsonDocument.Parse(SandboxRun.Command(["audit", "sandbox", "--json", id]).Ended(status).Text).RootElement;
        Assert.Equal(status == 0, root.GetProperty("holds").GetBoolean());
        return root.GetProperty("walls").EnumerateArray().Where(line => line.GetProperty("verdict").GetString() != "holds")
            .ToDictionary(line => line.GetProperty("wall").GetString()!, line => $"{line.GetProperty("verdict")}: {line.GetProperty("found")}");
    }

    [Fact]
    public void Everything_holds_of_a_running_guest() => WhileRunning((id, _) =>
    {
        Assert.Empty(Faults(id, 0));
        string text = SandboxRun.Command(["audit", "sandbox", id[..6]]).Ended(0).Text;
        Assert.EndsWith("Everything holds.\n", text);
        foreach (string wall in (string[])["network namespace", "seccomp filter", "capabilities", "descriptors", "memory."])
            Assert.Contains(wall, text);
        Assert.Matches(@"holds +Landlock +the VMM says so \(reported\)", text);
    });

    /// <summary>Version 1's file and version 2's.</summary>
    [Theory]
    [InlineData("pids", "pids.max", "pids.max")]
    [InlineData("memory", "memory.memsw.limit_in_bytes", "memory.swap.max")]
    [InlineData("cpu", "cpu.cfs_quota_us", "cpu.max")]
    public void A_limit_that_is_raised_behind_its_back_is_seen(string controller, string one, string two) => WhileRunning((id, vmm) =>
    {
        string folder = GroupOf(vmm, controller, out bool isTwo), file = isTwo ? two : one;
        string path = Path.Combine(folder, file), before = File.ReadAllText(path).Trim();
        Assert.SkipWhen(before is "-1" || before.StartsWith("max ", StringComparison.Ordinal), "one CPU is all that there is");
        File.WriteAllText(path, isTwo ? "max" : file == "cpu.cfs_quota_us" ? "-1"
            : (ulong.Parse(before, CultureInfo.InvariantCulture) * 2).ToString(CultureInfo.InvariantCulture));
        KeyValuePair<string, string> fault = Assert.Single(Faults(id, 1));
        Assert.Equal((file, $"weaker: '{File.ReadAllText(path).Trim()}'"), (fault.Key, fault.Value));
        File.WriteAllText(path, before);
        Assert.Empty(Faults(id, 0));
    });

    [Fact]
    public void A_process_that_joins_the_VMMs_group_is_seen() => WhileRunning((id, vmm) =>
    {
        using System.Diagnostics.Process stranger = System.Diagnostics.Process.Start("/bin/sleep", "60");
        File.WriteAllText(Path.Combine(GroupOf(vmm, "pids", out _), "cgroup.procs"), $"{stranger.Id}");
        Assert.StartsWith("weaker: processes ", Faults(id, 1)["control group"]);
        stranger.Kill();
        stranger.WaitForExit();
        Assert.Empty(Faults(id, 0));
    });

    static string GroupOf(int pid, string controller, out bool isTwo)
    {
        string[][] lines = [.. File.ReadLines($"/proc/{pid}/cgroup").Select(line => line.Split(':', 3))];
        string[]? one = lines.FirstOrDefault(line => line[1].Split(',').Contains(controller));
        isTwo = one is null;
        return isTwo
            ? "/sys/fs/cgroup" + lines.Single(line => line[0] == "0")[2]
            : $"/sys/fs/cgroup/{controller}{one![2]}";
    }

    [Fact]
    public void What_does_not_run_cannot_be_looked_at()
    {
        SandboxRun.Command(["audit", "sandbox", "no-such-sandbox"]).Ended(125).Says("no sandbox is called", "sandbox ps");
        SandboxRun.Command(["audit", "sandbox"]).Ended(125);
    }

    /// <summary>
    /// Root reads all of it, and believes the user nothing: here he claims that a process of root's is his sandbox.
    /// </summary>
    [Fact]
    public void Root_looks_at_an_ordinary_users_sandboxes()
    {
        NeedRoot();
        SandboxRun.Need();
        string folder = Case.NewFolder("others"), node = Path.Combine(folder, "kvm");
        foreach (string file in Directory.GetFiles(Path.GetDirectoryName(Ring.Sandbox)!))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        Native.Run(["mknod", "-m", "666", node, "c", "10", "232"], "/").Ended(0);
        Outcome outcome = Native.Run(["unshare", "-m", "bash", "-c", $$"""
            mount --bind '{{node}}' /dev/kvm && mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/user/4321 && chown 4321 /run/user/4321 || exit 1
            as_user() { exec setpriv --reuid=4321 --regid=4321 --clear-groups env XDG_RUNTIME_DIR=/run/user/4321 "$@"; }
            sandbox='{{folder}}/sandbox'
            (as_user $sandbox run --name web -- sleep 60) 2>/dev/null & user=$!
            until $sandbox ps --user 4321 | grep -q running; do sleep 0.1; done
            $sandbox ps --user 4321
            $sandbox inspect --user 4321 web
            $sandbox audit sandbox --user 4321 web; echo "status $?"
            $sandbox ps | grep web && exit 1
            id=$($sandbox ps --user 4321 | grep -o '^[0-9a-f]\{12\}')
            (as_user sh -c "cd /run/user/4321/sandbox && cp -r $id bbbbbbbbbbbb && sed -i -e 's/^id .*/id bbbbbbbbbbbb/' -e 's/^name .*/name trap/' -e 's/^vmm .*/vmm $$/' bbbbbbbbbbbb/record && exec flock bbbbbbbbbbbb sleep 60") & trap=$!
            until $sandbox ps --user 4321 | grep -q 'trap *running'; do sleep 0.1; done
            $sandbox ps --user 4321 | grep trap
            $sandbox inspect --user 4321 trap
            $sandbox audit sandbox --user 4321 trap; echo "status $?"
            $sandbox inspect --metrics --user 4321 web; echo "status $?"
            kill $trap $user; wait $user
            exit 0
            """], "/").Ended(0);
        Assert.Matches("(?m)^[0-9a-f]{12}  web +running +[0-9]+s +[0-9]+ +sleep 60$", outcome.Text);
        Assert.Matches("(?m)^walls: +user namespace, PID namespace, .*Landlock, seccomp filter, as the kernel shows them$", outcome.Text);
        foreach (string wall in (string[])["user namespace", "network namespace", "seccomp filter", "descriptors", "environment", "Landlock"])
            Assert.Matches($"(?m)^holds +{wall}", outcome.Text);
        Assert.Matches("(?m)^missing +control group", outcome.Text);
        // Of the trap there is no process to be seen, and nothing is compared.
        Assert.Matches("(?m)^b{12}  trap +running +[0-9]+s +- +sleep 60$", outcome.Text);
        Assert.Matches("(?m)^processes: +none that can be this sandbox's: process [0-9]+ is not of user 4321$", outcome.Text);
        Assert.Matches("audit sandbox: 'trap': process [0-9]+ is not of user 4321", outcome.ErrorText);
        Assert.Contains("leave --metrics or --user out", outcome.ErrorText);
        Assert.Equal(["status 1", "status 125", "status 125"], outcome.Text.Split('\n').Where(line => line.StartsWith("status ", StringComparison.Ordinal)));
    }

    /// <summary>He may not read all of his own VMM; what he reads is true, and the rest is said.</summary>
    [Fact]
    public void An_ordinary_user_is_told_what_he_cannot_read()
    {
        NeedRoot();
        SandboxRun.Need();
        string folder = Case.NewFolder("user"), node = Path.Combine(folder, "kvm");
        foreach (string file in Directory.GetFiles(Path.GetDirectoryName(Ring.Sandbox)!))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        Native.Run(["mknod", "-m", "666", node, "c", "10", "232"], "/").Ended(0);
        string state = Path.Combine(folder, "run");
        Directory.CreateDirectory(state);
        Native.Run(["chown", "4321:4321", state], "/").Ended(0);
        Outcome outcome = Native.Run(["unshare", "-m", "bash", "-c", $$"""
            mount --bind '{{node}}' /dev/kvm && exec setpriv --reuid=4321 --regid=4321 --clear-groups env XDG_RUNTIME_DIR='{{state}}' sh -c '
                "{{folder}}/sandbox" run -- sleep 3 &
                for i in $(seq 100); do id=$("{{folder}}/sandbox" ps | grep -o "^[0-9a-f]\{12\}") && break; sleep 0.05; done
                sleep 0.5
                "{{folder}}/sandbox" audit sandbox $id; echo "status $?"; wait'
            """], "/").Ended(0);
        Assert.Matches("cannot be read +descriptors", outcome.Text);
        Assert.Matches("cannot be read +environment", outcome.Text);
        Assert.Contains("run it as root", outcome.Text);
        foreach (string wall in (string[])["user namespace", "network namespace", "seccomp filter", "capabilities", "Landlock", "empty root"])
            Assert.Matches($"holds +{wall}", outcome.Text);
        // He has no control group to give, and that was told.
        Assert.Matches("missing +control group", outcome.Text);
        Assert.EndsWith("status 1\n", outcome.Text);
    }
}
