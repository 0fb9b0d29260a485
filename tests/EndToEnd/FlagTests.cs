using System.Text.Json;
using System.Text.RegularExpressions;
using Sandbox.EndToEnd.Harness;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd;

/// <summary>The flags of <c>sandbox run</c>, as the guest and the caller see their effect.</summary>
public sealed class FlagTests
{
    [Fact]
    public void Env_sets_and_passes_on_and_nothing_else_enters()
    {
        string text = SandboxRun.Command(["run", "--env", "A=one two", "--env", "PASSED", "--env", "EMPTY=", "--", "env"],
            environment: new Dictionary<string, string> { ["PASSED"] = "on", ["SECRET"] = "never" }).Ended(0).Text;
        string[] lines = text.TrimEnd('\n').Split('\n');
        Assert.Contains("A=one two", lines);
        Assert.Contains("PASSED=on", lines);
        Assert.Contains("EMPTY=", lines);
        Assert.DoesNotContain(lines, line => line.StartsWith("SECRET", StringComparison.Ordinal) || line.Contains("TMPDIR"));
        Assert.Equal(["A", "EMPTY", "HOME", "LANG", "PASSED", "PATH", "USER"],
            lines.Select(line => line.Split('=')[0]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Workdir_is_where_the_program_starts() =>
        Assert.Equal("/usr/share\n", SandboxRun.Run(["--workdir", "/usr/share"], ["pwd"]).Ended(0).Text);

    [Fact]
    public void Without_workdir_the_program_starts_in_its_home() =>
        Assert.Equal("yes\n", SandboxRun.Run([], ["sh", "-c", "[ \"$(pwd)\" = \"$HOME\" ] && [ -w . ] && echo yes"]).Ended(0).Text);

    [Fact]
    public void A_workdir_that_does_not_exist_is_refused() =>
        SandboxRun.Run(["--workdir", "/nowhere"], ["pwd"]).Ended(125).Says("/nowhere");

    [Theory]
    [InlineData("chosen")]
    [InlineData("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")]
    public void Hostname_is_seen_by_uname_and_in_proc(string name) =>
        Assert.Equal($"{name}\n{name}\n{name}\n", SandboxRun.Run(["--hostname", name],
            ["sh", "-c", "uname -n; hostname; cat /proc/sys/kernel/hostname"]).Ended(0).Text);

    [Theory]
    [InlineData("1234:567", "1234 567")]
    [InlineData("0", "0 0")]
    [InlineData("root", "0 0")]
    [InlineData("nobody", "65534 65534")]
    public void User_is_who_the_program_is(string user, string expected) =>
        Assert.Equal(expected + "\n", SandboxRun.Run(["--user", user], ["sh", "-c", "echo $(id -u) $(id -g)"]).Ended(0).Text);

    [Fact]
    public void The_user_has_a_name_and_a_writable_home() =>
        Assert.Equal("someone\nyes\n", SandboxRun.Run(["--user", "someone"],
            ["sh", "-c", "id -un; echo x > ~/file && echo yes"]).Ended(0).Text);

    [Fact]
    public void A_mount_is_read_only_unless_said_otherwise()
    {
        string folder = Case.NewFolder("mount");
        File.WriteAllText(Path.Combine(folder, "file"), "host\n");
        Outcome outcome = SandboxRun.Run(["--mount", $"{folder}:/m"], ["sh", "-c",
            "cat /m/file; { echo x > /m/new; } 2>&1; { echo x >> /m/file; } 2>&1; rm -f /m/file 2>&1; mkdir /m/d 2>&1; touch /m/file 2>&1; mv /m/file /m/g 2>&1; chmod 777 /m/file 2>&1; ln -s x /m/l 2>&1; true"]).Ended(0);
        string[] lines = outcome.Text.TrimEnd('\n').Split('\n');
        Assert.Equal("host", lines[0]);
        Assert.Equal(9, lines.Length);
        Assert.All(lines[1..], line => Assert.Contains("Read-only file system", line));
        Assert.Equal(["file"], Directory.GetFileSystemEntries(folder).Select(Path.GetFileName));
        Assert.Equal("host\n", File.ReadAllText(Path.Combine(folder, "file")));
    }

    [Fact]
    public void What_is_written_to_a_writable_mount_is_on_the_host()
    {
        string folder = Case.NewFolder("mount");
        File.WriteAllText(Path.Combine(folder, "old"), "old\n");
        SandboxRun.Run(["--mount", $"{folder}:/m:rw"], ["sh", "-c",
            "umask 022; echo new > /m/new; echo more >> /m/old; mkdir /m/sub; ln -s new /m/link; mv /m/new /m/sub/moved; chmod 640 /m/old"]).Ended(0);
        Assert.Equal("new\n", File.ReadAllText(Path.Combine(folder, "sub/moved")));
        Assert.Equal("old\nmore\n", File.ReadAllText(Path.Combine(folder, "old")));
        Assert.Equal("new", new FileInfo(Path.Combine(folder, "link")).LinkTarget);
        Assert.Equal((UnixFileMode)0b110_100_000, File.GetUnixFileMode(Path.Combine(folder, "old")));
    }

    [Fact]
    public void A_mount_without_a_guest_path_is_at_the_same_path_and_the_working_directory_follows()
    {
        string folder = Case.NewFolder("same");
        Directory.CreateDirectory(Path.Combine(folder, "below"));
        File.WriteAllText(Path.Combine(folder, "below/script.py"), "import os; print(os.getcwd())\n");
        Assert.Equal(folder + "/below\n",
            SandboxRun.Run(["--mount", ".."], ["python3", "script.py"], directory: Path.Combine(folder, "below")).Ended(0).Text);
    }

    [Fact]
    public void A_script_or_folder_below_the_working_directory_is_found_by_its_relative_name()
    {
        string folder = Case.NewFolder("here");
        Directory.CreateDirectory(Path.Combine(folder, "src"));
        File.WriteAllText(Path.Combine(folder, "src/script.py"), "import os; print(os.getcwd())\n");
        foreach (string mount in new[] { "src", "src/script.py" })
        {
            Assert.Equal(folder + "\n",
                SandboxRun.Run(["--mount", mount], ["python3", "src/script.py"], directory: folder).Ended(0).Text);
        }
    }

    [Fact]
    public void A_file_can_be_mounted()
    {
        string folder = Case.NewFolder("mount");
        File.WriteAllText(Path.Combine(folder, "one"), "1\n");
        File.WriteAllText(Path.Combine(folder, "two"), "2\n");
        Outcome outcome = SandboxRun.Run(
            ["--mount", $"{folder}/one:/data/file", "--mount", $"{folder}/two:/data/out:rw"],
            ["sh", "-c", "cat /data/file; echo changed > /data/out; ls /data; echo x > /data/file"]);
        Assert.Equal("1\nfile\nout\n", outcome.Text);
        Assert.Contains("Read-only", outcome.ErrorText);
        Assert.Equal("changed\n", File.ReadAllText(Path.Combine(folder, "two")));
        Assert.Equal("1\n", File.ReadAllText(Path.Combine(folder, "one")));
    }

    [Fact]
    public void Mounts_nest()
    {
        string outer = Case.NewFolder("outer"), inner = Case.NewFolder("inner");
        Directory.CreateDirectory(Path.Combine(outer, "in"));
        File.WriteAllText(Path.Combine(inner, "file"), "inner\n");
        Outcome outcome = SandboxRun.Run(["--mount", $"{inner}:/m/in:rw", "--mount", $"{outer}:/m"],
            ["sh", "-c", "cat /m/in/file; echo x > /m/in/new && echo written; echo x > /m/new"]);
        Assert.Equal("inner\nwritten\n", outcome.Text);
        Assert.True(File.Exists(Path.Combine(inner, "new")));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(outer, "in")));
    }

    [Fact]
    public void Cpus_bounds_what_the_guest_counts() =>
        Assert.Equal("1\n1\n", SandboxRun.Run(["--cpus", "1"],
            ["sh", "-c", "nproc; grep -c ^processor /proc/cpuinfo"]).Ended(0).Text);

    [Fact]
    public void Memory_bounds_what_the_guest_is_told()
    {
        string text = SandboxRun.Run(["--memory", "200M"], ["sh", "-c", "sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo"]).Ended(0).Text;
        Assert.InRange(int.Parse(text), 150 << 10, 200 << 10);
    }

    [Fact]
    public void Tmp_size_bounds_tmp_shm_and_home_together()
    {
        string text = SandboxRun.Run(["--tmp-size", "8M"], ["sh", "-c",
            "head -c 5000000 /dev/zero > /tmp/a && echo first; head -c 5000000 /dev/zero > /dev/shm/b 2>/dev/null || echo second; rm -f /tmp/a /dev/shm/b; head -c 5000000 /dev/zero > ~/c && echo third"]).Ended(0).Text;
        Assert.Equal("first\nsecond\nthird\n", text);
    }

    [Fact]
    public void The_result_record_tells_what_happened()
    {
        string folder = Case.NewFolder("json"), file = Path.Combine(folder, "result.json");
        SandboxRun.Run(["--json", file], ["sh", "-c", "head -c 3000000 /dev/zero | md5sum > /dev/null; exit 3"]).Ended(3);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(file));
        JsonElement root = document.RootElement;
        Assert.Equal(3, root.GetProperty("status").GetInt32());
        Assert.Equal(JsonValueKind.String, root.GetProperty("cause").ValueKind);
        string all = string.Join(' ', Names(root)).ToLowerInvariant();
        foreach (string word in new[] { "status", "cause", "wall", "cpu", "peak", "memory", "exits", "phases" })
            Assert.Contains(word, all);
        Assert.Matches("system ?calls|syscalls", all);
        Assert.Equal(["result.json"], Directory.GetFileSystemEntries(folder).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData("124", "--timeout", "200ms", "sleep", "9")]
    [InlineData("137", "--memory", "32M", "/guests/misbehave", "overcommit")]
    [InlineData("127", "--hostname", "h", "no-such-program")]
    public void The_result_record_tells_of_every_end(string status, string flag, string value, params string[] command)
    {
        string file = Path.Combine(Case.NewFolder("json"), "result.json");
        SandboxRun.Run([flag, value, "--json", file, "--mount", $"{Ring.GuestPrograms}:/guests"], command).Ended(int.Parse(status));
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(file));
        Assert.Equal(int.Parse(status), document.RootElement.GetProperty("status").GetInt32());
        Assert.NotEqual("exited", document.RootElement.GetProperty("cause").GetString());
    }

    [Fact]
    public void Trace_prints_system_calls_as_strace_does()
    {
        string file = Path.Combine(Case.NewFolder("trace"), "trace");
        Outcome outcome = SandboxRun.Run([$"--trace={file}"], ["sh", "-c", "cat /etc/hostname /nonexistent; exit 4"]).Ended(1 + 3);
        string[] lines = File.ReadAllLines(file);
        Assert.NotEmpty(outcome.Text);
        Assert.Contains(lines, line => Call("openat").IsMatch(line) && line.Contains("\"/etc/hostname\"") && line.Contains("O_RDONLY"));
        Assert.Contains(lines, line => line.Contains("\"/nonexistent\"") && line.Contains("= -1 ENOENT (No such file or directory)"));
        Assert.Contains(lines, line => Call("write").IsMatch(line) && Regex.IsMatch(line, @"write\(1, "".*"", \d+\)\s+= \d+"));
        Assert.Contains(lines, line => line.Contains("execve(") && line.Contains("[\"cat\""));
        Assert.Contains(lines, line => line.Contains("exit_group(4)"));
        Assert.Contains(lines, line => line.Contains("mmap(NULL, ") && line.Contains("PROT_READ"));
    }

    [Fact]
    public void Trace_goes_to_stderr_unless_a_file_is_named()
    {
        Outcome outcome = SandboxRun.Run(["--trace"], ["true"]).Ended(0);
        Assert.Empty(outcome.Output);
        Assert.Contains("exit_group(0)", outcome.ErrorText);
    }

    /// <summary>One of them a pipe that is not written to at once.</summary>
    [Fact]
    public void What_the_caller_has_open_is_named_as_shells_name_it()
    {
        SandboxRun.Need();
        string folder = Case.NewFolder("given");
        File.WriteAllText(Path.Combine(folder, "policy.yaml"), "version: 1\nextends: builtin:default.yaml\n");
        Native.Run(["bash", "-c", """
            (sleep 0.3; cat policy.yaml) | "$0" run --policy /dev/stdin --trace=/dev/fd/3 --json /proc/self/fd/4 -- true 3>trace 4>record
            """, Ring.Sandbox], folder).Ended(0);
        Assert.Contains("exit_group(0)", File.ReadAllText(Path.Combine(folder, "trace")));
        Assert.Contains("\"status\"", File.ReadAllText(Path.Combine(folder, "record")));
        Native.Run(["bash", "-c", "exec \"$0\" policy check <(sleep 0.3; cat policy.yaml)", Ring.Sandbox], folder).Ended(0);
    }

    /// <summary>Only the caller himself can name what he has open, here a policy, not a file that he names.</summary>
    [Theory]
    [InlineData("/dev/stdin")]
    [InlineData("/dev/fd/0")]
    [InlineData("/proc/self/fd/0")]
    public void A_policy_file_does_not_name_what_the_caller_has_open(string name)
    {
        SandboxRun.Need();
        string folder = Case.NewFolder("naming");
        File.WriteAllText(Path.Combine(folder, "policy.yaml"), $"version: 1\nextends: {name}\n");
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(folder, "cases")).FullName, "cases.yaml"),
            $"policy: {name}\ncases:\n  - request: open /usr for read\n    expect: allow\n");
        const string policy = "version: 1\nextends: builtin:default.yaml\n";
        Outcome With(string command) =>
            Native.Run(["bash", "-c", $"printf %s \"$1\" | \"$0\" {command}", Ring.Sandbox, policy], folder);
        string[] why =
        [
            $"'{name}' cannot be read",
            "a link of /proc to what a process has open, which is not followed: name that by its own path",
        ];
        With("run --policy policy.yaml -- true").Ended(125).Says(["policy.yaml:2:10", .. why]);
        Assert.All(why, part => Assert.Contains(part, With("policy check policy.yaml").Ended(3).Text));
        With("policy test cases").Ended(125).Says(why);
    }

    [Theory]
    [InlineData("--trace=/dev/fd/77")]
    [InlineData("--trace=/dev/stdin")]
    [InlineData("--json /dev/fd/77")]
    [InlineData("--policy /dev/stdout")]
    public void What_is_not_open_or_open_the_other_way_is_refused(string flag)
    {
        SandboxRun.Need();
        Native.Run(["bash", "-c", $"exec \"$0\" run {flag} -- true </dev/null >/dev/null", Ring.Sandbox], "/").Ended(125)
            .Says(flag.Split(' ', '=')[0], "Bad file descriptor");
    }

    /// <summary>Links of /proc lead past every name, to files that another process was given.</summary>
    [Theory]
    [InlineData("--trace=/proc/self/cwd/trace")]
    [InlineData("--mount", "/proc/self/root/etc:/mnt")]
    [InlineData("--mount", "/proc/self/fd/0:/mnt")]
    [InlineData("--policy", "/proc/self/root/etc/hostname")]
    public void Links_of_proc_are_not_followed(params string[] flags) =>
        SandboxRun.Run(flags, ["true"]).Ended(125).Says(flags[0].Split('=')[0], "Too many levels of symbolic links", "link of /proc");

    [Theory]
    [InlineData("on")]
    [InlineData("off")]
    public void Results_do_not_depend_on_the_hand_off(string value) =>
        Assert.Equal("500500\n", SandboxRun.Run(["--handoff", value],
            ["sh", "-c", "seq 1 1000 | awk '{ s += $1 } END { print s }'"]).Ended(0).Text);

    [Fact]
    public void Output_limit_ends_the_guest_after_exactly_that_much()
    {
        Outcome outcome = SandboxRun.Run(["--output-limit", "10000"], ["yes"]);
        outcome.Ended(128 + SIGXFSZ).Says("output");
        Assert.Equal(10000, outcome.Output.Length);
    }

    [Fact]
    public void Version_and_help_are_for_people()
    {
        Assert.Matches(@"\d+\.\d+\.\d+", SandboxRun.Command(["version"]).Ended(0).Text);
        Assert.Contains("sandbox run -- ", SandboxRun.Command(["run", "--help"]).Ended(0).Text);
        Assert.Contains("doctor", SandboxRun.Command(["--help"]).Ended(0).Text);
    }

    [Fact]
    public void Doctor_says_which_kvm_this_is() => Assert.Contains("kvm", SandboxRun.Command(["doctor"]).Ended(0).Text, StringComparison.OrdinalIgnoreCase);

    static Regex Call(string name) => new($@"^(\[?(pid )?\s*\d*\]?\s*)?{name}\(");

    static IEnumerable<string> Names(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => element.EnumerateObject().SelectMany(p => Names(p.Value).Prepend(p.Name)),
        JsonValueKind.Array => element.EnumerateArray().SelectMany(Names),
        _ => [],
    };
}
