using Sandbox.EndToEnd.Harness;
using Xunit;

namespace Sandbox.EndToEnd;

/// <summary>A policy that was learned lets the program do what it did, and nothing else.</summary>
public sealed class LearnTests
{
    readonly string _folder = Case.NewFolder("learn");

    string Learned => Path.Combine(_folder, "learned.yaml");

    string Script
    {
        get
        {
            string script = Path.Combine(_folder, "work", "script.py");
            Directory.CreateDirectory(Path.GetDirectoryName(script)!);
            File.WriteAllText(Path.Combine(_folder, "work", "input.txt"), "input\n");
            File.WriteAllText(Path.Combine(_folder, "work", "other.txt"), "other\n");
            File.WriteAllText(script, """
                import json, os, sys, tempfile
                with open("/work/" + (sys.argv[1] if len(sys.argv) > 1 else "input.txt")) as f:
                    text = f.read()
                with tempfile.NamedTemporaryFile("w", delete=False) as t:
                    t.write(text)
                os.rename(t.name, "/tmp/result")
                print(json.dumps(open("/tmp/result").read()))
                os.unlink("/tmp/result")
                """);
            return script;
        }
    }

    Outcome Learn(params string[] flags)
    {
        _ = Script;
        return SandboxRun.Command(
            ["policy", "learn", .. flags, "--mount", $"{Path.Combine(_folder, "work")}:/work", "--", "python3", "/work/script.py"]);
    }

    Outcome Run(params string[] arguments) => SandboxRun.Command(
        ["run", "--policy", Learned, "--", "python3", "/work/script.py", .. arguments]);

    [Fact]
    public void What_was_learned_is_enough_and_no_more()
    {
        Outcome learning = Learn("--runs", "2", "--out", Learned).Ended(0);
        Assert.Equal("\"input\\n\"\n\"input\\n\"\n", learning.Text);
        Assert.Contains("LEARNING, run 2 of 2", learning.ErrorText);
        Assert.DoesNotContain("not covered", learning.ErrorText);
        SandboxRun.Command(["policy", "check", Learned]).Ended(0);
        string policy = File.ReadAllText(Learned);
        Assert.Contains("/work/input.txt  # ", policy);
        Assert.Contains("/tmp/tmp*", policy);
        Assert.DoesNotContain("/**", policy);
        Assert.DoesNotContain("other.txt", policy);
        Assert.Equal("\"input\\n\"\n", Run().Ended(0).Text);
        // The same program with another file.
        Outcome other = Run("other.txt").Ended(1);
        Assert.Contains("PermissionError: [Errno 13] Permission denied: '/work/other.txt'", other.ErrorText);
        // Another program.
        SandboxRun.Command(["run", "--policy", Learned, "--", "ls", "/work"]).Ended(126);
        SandboxRun.Command(["policy", "explain", "--request", "open /work/other.txt for read", Learned]).Ended(1);
        SandboxRun.Command(["policy", "explain", "--request", "syscall ptrace", Learned]).Ended(1);
        SandboxRun.Command(["policy", "implies", Learned, "builtin:default.yaml"]).Ended(1);
    }

    [Fact]
    public void A_policy_that_exists_is_never_changed()
    {
        File.WriteAllText(Learned, "mine\n");
        Outcome refused = Learn("--out", Learned).Ended(125).Says("--out", "exists");
        Assert.Empty(refused.Output);
        Assert.Equal("mine\n", File.ReadAllText(Learned));
    }

    [Fact]
    public void What_several_invocations_saw_is_added_up()
    {
        string kept = Path.Combine(_folder, "seen");
        Learn("--runs", "2", "--append", kept, "--out", Path.Combine(_folder, "first.yaml")).Ended(0);
        Assert.Contains("runs 2\n", File.ReadAllText(kept));
        SandboxRun.Command(
            ["policy", "learn", "--append", kept, "--out", Learned, "--mount", $"{Path.Combine(_folder, "work")}:/work",
                "--", "python3", "/work/script.py", "other.txt"]).Ended(0);
        Assert.Contains("runs 3\n", File.ReadAllText(kept));
        string policy = File.ReadAllText(Learned);
        Assert.Contains("/work/other.txt  # 1 time in 1 run", policy);
        Assert.Contains("/work/script.py  # ", policy);
        Run().Ended(0);
        Run("other.txt").Ended(0);
        SandboxRun.Command(["policy", "diff", "--fail-on-widening", Path.Combine(_folder, "first.yaml"), Learned]).Ended(1);
        File.AppendAllText(kept, "nonsense\n");
        Learn("--append", kept, "--out", Path.Combine(_folder, "third.yaml")).Ended(125).Says("--append", "is no observation");
    }

    [Fact]
    public void Learning_is_recorded_where_the_base_policy_records()
    {
        string log = Path.Combine(_folder, "log"), policy = Path.Combine(_folder, "base.yaml");
        Dictionary<string, string> places = new() { ["XDG_CONFIG_HOME"] = Path.Combine(_folder, "config"), ["XDG_STATE_HOME"] = Path.Combine(_folder, "state") };
        File.WriteAllText(policy, $"version: 1\nextends: builtin:default.yaml\nfiles: {{rules: [{{deny: read, path: /etc/passwd, because: a test}}]}}\naudit: {{record: lifecycle, to: {log}, when-full: stop}}\n");
        Outcome learning = SandboxRun.Command(
            ["policy", "learn", "--policy", policy, "--", "cat", "/etc/passwd"], environment: places).Ended(0);
        Assert.Contains("root:", learning.Text);
        // What the base refuses is marked for whoever reviews it.
        Assert.Contains("although the base policy does not allow it", learning.Text);
        Outcome shown = SandboxRun.Command(["audit", "show", log], environment: places).Ended(0);
        Assert.Contains(", learning", shown.Text);
        Assert.Contains("open /etc/passwd for read", shown.Text);
        SandboxRun.Command(["audit", "verify", log], environment: places).Ended(0);
    }

    [Fact]
    public void What_the_base_lets_be_reached_is_learned_and_nothing_more()
    {
        string[] program =
        [
            "python3", "-c", """
            import socket
            s = socket.create_connection(("files.example", 8000)); s.sendall(b"x"); s.recv(1)
            for port in (8001, 9000):
                try: socket.create_connection(("192.0.2.11", port)).sendall(b"x"); print(port)
                except OSError as e: print(port, e.errno)
            """,
        ];
        (Outcome learning, string[] reached) = Network.NetworkSpace.Run("""
            network:
              - {allow: connect, to: files.example, protocol: tcp, because: a test}
              - {deny: connect, to: 192.0.2.11, because: a test}
            """, program, words: ["policy", "learn", "--out", Learned]);
        Assert.Equal("8001 13\n9000 13\n", learning.Ended(0).Text);
        Assert.Equal(["tcp 192.0.2.10 8000"], reached);
        Assert.Contains("not covered: connect tcp 192.0.2.11:8001", learning.ErrorText);
        string text = File.ReadAllText(Learned);
        Assert.Contains("  - allow: connect\n    to: files.example\n    protocol: tcp\n    port:\n      - 8000  # 1 time in 1 run\n", text);
        foreach ((string request, int status) in new[] { ("files.example:8000", 0), ("files.example:8001", 1), ("192.0.2.11:8001", 1) })
            SandboxRun.Command(["policy", "explain", Learned, "--request", $"connect tcp {request}"]).Ended(status);
    }
}
