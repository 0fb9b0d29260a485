using System.Text.Json;
using Sandbox.EndToEnd.Harness;
using Xunit;

namespace Sandbox.EndToEnd;

/// <summary>What real guests do is in the log, which is proved; what was done to the log is found.</summary>
public sealed class AuditTests
{
    readonly string _folder = Case.NewFolder("audit");

    string Log => Path.Combine(_folder, "logs", "audit.log");

    /// <summary>The key and the heads are this test's own.</summary>
    Dictionary<string, string> Places => new()
    {
        ["XDG_CONFIG_HOME"] = Path.Combine(_folder, "config"), ["XDG_STATE_HOME"] = Path.Combine(_folder, "state"),
    };

    string Policy(string record, string whenFull = "block", string more = "")
    {
        string data = Path.Combine(_folder, "data");
        Directory.CreateDirectory(data);
        File.WriteAllText(Path.Combine(data, "plain.txt"), "plain\n");
        File.WriteAllText(Path.Combine(data, "secret.key"), "secret\n");
        string policy = Path.Combine(_folder, "policy.yaml");
        File.WriteAllText(policy, $$"""
            version: 1
            extends: builtin:default.yaml
            guest: {memory: 256M, time: 60s}
            files:
              show:
                - path: /data
                  from: {{data}}
                  because: the program's input
              rules:
                - deny: read
                  path: /data/*.key
                  because: keys lie beside the input
            audit:
              record: {{record}}
              to: {{Log}}
              when-full: {{whenFull}}
            {{more}}
            """);
        return policy;
    }

    Outcome Command(params string[] arguments) => SandboxRun.Command(arguments, environment: Places);

    Outcome Sh(string policy, string script) => Command("run", "--policy", policy, "--workdir", "/data", "--", "sh", "-c", script);

    void IsProved() => Assert.StartsWith($"'{Log}': good", Command("audit", "verify", Log).Ended(0).Text);

    List<JsonElement> Lines(params string[] flags) =>
        [.. Command(["audit", "show", "--json", .. flags, Log]).Ended(0).Text.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line).RootElement)];

    [Fact]
    public void A_run_is_recorded_from_start_to_end_and_proved()
    {
        string policy = Policy("[lifecycle, decisions]", more: "syscalls:\n  - {deny: uname, because: a test}\n");
        Outcome outcome = Sh(policy, "cat plain.txt; cat secret.key; echo x > new; uname; exit 3").Ended(3);
        Assert.Equal("plain\n", outcome.Text);
        IsProved();
        List<JsonElement> lines = Lines();
        Assert.Equal(("start", "end"), (lines[0].GetProperty("Kind").GetString(), lines[^1].GetProperty("Kind").GetString()));
        Assert.True(lines[^1].GetProperty("Complete").GetBoolean());
        Assert.Equal(3, lines[^1].GetProperty("Status").GetInt32());
        Assert.Single(lines, line => Text(line, "Kind") == "walls");
        Assert.Equal(lines.Count - 3, lines[^1].GetProperty("Decisions").GetInt32());
        Assert.InRange(lines[^1].GetProperty("PeakKibibytes").GetInt64(), 1024, 1 << 20);
        JsonElement read = Assert.Single(lines, line => Is(line, "open /data/secret.key for read"));
        Assert.Equal(("denied EACCES", "deny read of /data/*.key", "keys lie beside the input"),
            (read.GetProperty("Result").GetString(), read.GetProperty("Rule").GetString(), read.GetProperty("Because").GetString()));
        Assert.Equal($"{policy}:10:7", read.GetProperty("Place").GetString());
        Assert.Equal("denied EROFS", Assert.Single(lines, line => Is(line, "open /data/new for create")).GetProperty("Result").GetString());
        Assert.Contains(lines, line => Is(line, "open /data/plain.txt for read") && line.GetProperty("Allowed").GetBoolean());
        Assert.Contains(lines, line => Is(line, "open /usr/bin/cat for execute"));
        Assert.Contains(lines, line => Text(line, "Request").StartsWith("syscall uname ", StringComparison.Ordinal) && Text(line, "Result") == "denied EPERM");
        Assert.Contains(lines, line => Text(line, "Request").StartsWith("syscall exit_group 0x3 ", StringComparison.Ordinal));
        Outcome table = Command("audit", "show", "--denied", Log).Ended(0);
        Assert.Contains("denied EACCES   open /data/secret.key for read  [deny read of /data/*.key, ", table.Text);
        Assert.DoesNotContain("allowed", table.Text);
        string sandbox = Text(lines[0], "Sandbox");
        Assert.Equal(lines.Count, Lines("--sandbox", sandbox[..6]).Count);
        Assert.Empty(Lines("--sandbox", "zzzz"));
        Assert.Empty(Lines("--since", "2999-01-01T00:00:00Z"));
        Assert.Equal(lines.Count, Lines("--since", "1h").Count);
    }

    static string Text(JsonElement line, string name) => line.TryGetProperty(name, out JsonElement value) ? $"{value}" : "";

    static bool Is(JsonElement line, string request) => Text(line, "Request") == request;

    [Fact]
    public void Every_call_is_recorded_whichever_way_it_reached_the_monitor()
    {
        string policy = Policy("[lifecycle, decisions]");
        const string script = "import os\nfor i in range(3000): os.getppid()";
        Command("run", "--policy", policy, "--", "python3", "-c", script).Ended(0);
        IsProved();
        Assert.Equal(3000, Lines().Count(line => Text(line, "Request").StartsWith("syscall getppid ", StringComparison.Ordinal)));
        Assert.True(Lines()[^1].GetProperty("Complete").GetBoolean());
    }

    [Fact]
    public void What_is_done_to_a_log_is_found_and_it_is_not_continued()
    {
        string policy = Policy("[lifecycle, denials]");
        Sh(policy, "cat secret.key").Ended(1);
        string[] lines = File.ReadAllLines(Log);
        Assert.Equal(4, lines.Length);
        File.WriteAllLines(Log, [lines[0], lines[1], lines[2].Replace("secret.key", "public.key"), lines[3]]);
        Assert.StartsWith($"'{Log}':3: line 3 was changed", Command("audit", "verify", Log).Ended(1).Text);
        File.WriteAllLines(Log, lines[..3]);
        Assert.StartsWith($"'{Log}':4: the log ends after line 3", Command("audit", "verify", Log).Ended(1).Text);
        Sh(policy, "true").Ended(125).Says("cannot be continued", "truncated");
        File.Delete(Log);
        Assert.StartsWith($"'{Log}':1: the log is gone", Command("audit", "verify", Log).Ended(1).Text);
        File.WriteAllLines(Log, lines);
        File.SetUnixFileMode(Log, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        IsProved();
        File.Delete(Path.Combine(_folder, "config", "sandbox", "audit.key"));
        Assert.Contains("there is no key", Command("audit", "verify", Log).Ended(3).Text);
        Sh(policy, "true").Ended(125).Says("another key");
    }

    [Fact]
    public void Several_sandboxes_write_one_log()
    {
        SandboxRun.Need();
        string policy = Policy("[lifecycle, denials]");
        Thread[] threads = [.. Enumerable.Range(0, 3).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 3; i++)
                Sh(policy, "cat secret.key; cat secret.key");
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        IsProved();
        List<JsonElement> lines = Lines();
        Assert.Equal(9, lines.Count(line => Text(line, "Kind") == "start"));
        Assert.Equal(9, lines.Count(line => Text(line, "Kind") == "end" && line.GetProperty("Complete").GetBoolean()));
        Assert.Equal(18, lines.Count(line => Text(line, "Kind") == "decision"));
    }

    [Fact]
    public void A_command_line_that_is_killed_anywhere_leaves_a_log_that_is_proved_and_continued()
    {
        string policy = Policy("[lifecycle, decisions]");
        var random = new Random(5);
        for (int i = 0; i < 6; i++)
        {
            Outcome killed = SandboxRun.Command(
                ["run", "--policy", policy, "--", "sh", "-c", "while :; do cat /data/plain.txt; done"], environment: Places,
                whileRunning: child =>
                {
                    Thread.Sleep(300 + random.Next(500));
                    child.Kill();
                });
            Assert.Equal(128 + 9, killed.Status);
            // Nobody is left to remove the empty control group: the next start does.
            Assert.DoesNotContain(killed.Left, left => !left.StartsWith("/sys/fs/cgroup/", StringComparison.Ordinal));
            if (File.Exists(Log))
                IsProved();
        }

        Sh(policy, "true").Ended(0);
        IsProved();
        Assert.Equal("end", Text(Lines()[^1], "Kind"));
    }

    [Theory]
    [InlineData("stop", 125)]
    [InlineData("drop", 125)]
    public void A_log_that_cannot_be_written_ends_the_guest(string whenFull, int status)
    {
        SandboxRun.Need();
        string policy = Policy("[lifecycle, decisions]", whenFull);
        // A limit on the size of files stands for a broken disk.
        string script = $"trap '' XFSZ; ulimit -f 32; exec '{Ring.Sandbox}' run --policy '{policy}' -- sh -c 'while :; do cat /data/plain.txt; done >/dev/null'";
        Outcome outcome = Capture.Run("/bin/bash", ["bash", "-c", script], SandboxRun.Environment(_folder, Places), _folder, null,
            TimeSpan.FromSeconds(60), static _ => []);
        Assert.Equal(status, outcome.Status);
        Assert.Contains("the audit log is incomplete and the guest was stopped", outcome.ErrorText);
        IsProved();
    }

    [Fact]
    public void The_policy_for_malware_records_everything()
    {
        // Without the walls that this version does not have.
        string text = SandboxRun.Command(["policy", "show", "builtin:malware-triage.yaml"]).Ended(0).Text;
        string[] lines = text.Split('\n');
        int walls = Array.FindIndex(lines, line => line.StartsWith("isolation:", StringComparison.Ordinal));
        int end = Array.FindIndex(lines, walls + 1, line => !line.StartsWith("  ", StringComparison.Ordinal));
        Assert.True(walls > 0 && end > walls, text);
        string policy = Path.Combine(_folder, "triage.yaml");
        File.WriteAllText(policy, string.Join('\n', lines[..walls].Concat(lines[end..]))
            .Replace("/var/log/sandbox/triage.log", Log, StringComparison.Ordinal));
        Command("run", "--policy", policy, "--", "sh", "-c", "cat /etc/passwd >/dev/null; cp /bin/true /tmp/x; /tmp/x; rm /tmp/x; ls /root; :").Ended(0);
        IsProved();
        string[] requests = [.. Lines().Select(line => Text(line, "Request"))];
        foreach (string request in (string[])["open /etc/passwd for read", "open /tmp/x for create", "open /tmp/x for execute", "open /tmp/x for delete"])
            Assert.Contains(request, requests);
        Assert.Contains(requests, request => request.StartsWith("syscall execve ", StringComparison.Ordinal));
        Assert.True(Lines()[^1].GetProperty("Complete").GetBoolean());
    }

    [Fact]
    public void What_the_broker_decides_is_recorded()
    {
        (Outcome outcome, string[] reached) = Network.NetworkSpace.Python($$"""
            network:
              - {allow: connect, to: files.example, protocol: tcp, port: 8000, because: its files}
              - {deny: connect, to: 10.9.9.9, because: not inside}
              - {allow: listen, to: 0.0.0.0, protocol: tcp, port: 8123, because: it serves}
              - {allow: resolve, to: "*.other.example", because: it asks}
            audit:
              record: [lifecycle, decisions]
              to: {{Log}}
              when-full: block
            """, """
            s = socket.create_connection(("files.example", 8000)); s.sendall(b"x"); s.recv(1)
            attempt("inside", lambda: socket.socket().connect(("10.9.9.9", 8000)))
            attempt("elsewhere", lambda: socket.socket().connect(("192.0.2.11", 8000)))
            l = socket.socket(); l.bind(("0.0.0.0", 8123)); l.listen()
            attempt("another port", lambda: socket.socket().bind(("192.0.2.10", 8124)))
            print(socket.gethostbyname("a.other.example"))
            """, Places);
        Assert.StartsWith("inside EACCES\nelsewhere EACCES\n", outcome.Ended(0).Text);
        Assert.Equal(["tcp 192.0.2.10 8000"], reached);
        IsProved();
        List<JsonElement> lines = Lines();
        Assert.True(lines[^1].GetProperty("Complete").GetBoolean());
        (string, string, string) Decision(string request)
        {
            JsonElement line = lines.First(line => Is(line, request));
            Assert.InRange(line.GetProperty("Nanoseconds").GetInt64(), 0, 1_000_000_000);
            return (Text(line, "Result"), Text(line, "Rule"), Text(line, "Because"));
        }

        Assert.Equal(("allowed", "allow connect tcp files.example port 8000", "its files"), Decision("connect tcp 192.0.2.10:8000"));
        Assert.Equal(("denied EACCES", "deny connect 10.9.9.9/32", "not inside"), Decision("connect tcp 10.9.9.9:8000"));
        Assert.Equal(("denied EACCES", "", ""), Decision("connect tcp 192.0.2.11:8000"));
        Assert.Equal(("allowed", "allow listen tcp 0.0.0.0/32 port 8123", "it serves"), Decision("listen tcp 0.0.0.0:8123"));
        Assert.Equal(("allowed", "allow resolve *.other.example", "it asks"), Decision("resolve a.other.example"));
    }
}
