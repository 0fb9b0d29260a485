using Sandbox.EndToEnd.Harness;
using Xunit;

namespace Sandbox.EndToEnd;

/// <summary>What a policy file says is what happens: in real guests, for programs that try otherwise.</summary>
public sealed class PolicyTests
{
    /// <summary>A folder with inputs, shown as /data and writable, and a policy over it.</summary>
    private static string Policy(string name, out string data, string more = "")
    {
        string folder = Case.NewFolder($"policy-{name}");
        data = Path.Combine(folder, "data");
        Directory.CreateDirectory(Path.Combine(data, "keys"));
        File.WriteAllText(Path.Combine(data, "plain.txt"), "plain\n");
        File.WriteAllText(Path.Combine(data, "secret.key"), "secret\n");
        File.WriteAllText(Path.Combine(data, "keys", "deep.key"), "deep\n");
        string policy = Path.Combine(folder, "policy.yaml");
        File.WriteAllText(policy, $"""
            version: 1
            extends: builtin:default.yaml
            guest: {"{memory: 256M, time: 20s}"}
            files:
              show:
                - path: /data
                  from: {data}
                  access: [read, write, execute, create, delete]
                  because: the program's input
              rules:
                - deny: [read, write]
                  path: /data/**/*.key
                  because: keys lie beside the input
                - deny: delete
                  path: /data/plain.txt
                  because: the input stays
            {more}
            """);
        return policy;
    }

    private static Outcome Sh(string policy, string script, params string[] flags) =>
        SandboxRun.Run(["--policy", policy, "--workdir", "/data", .. flags], ["sh", "-c", script]);

    [Fact]
    public void Denied_files_are_out_of_reach_by_every_name()
    {
        string policy = Policy("files", out string data);
        Outcome outcome = Sh(policy, """
            cat plain.txt
            for try in 'cat secret.key' 'cat ./keys/../secret.key' 'cat /proc/self/cwd/secret.key' 'cat keys/deep.key' \
                'cp secret.key copy' 'ln secret.key copy' 'mv secret.key copy' 'ln -s secret.key link && cat link' \
                'echo x > secret.key' 'truncate -s 0 secret.key' 'dd if=secret.key' 'mv keys moved && cat moved/deep.key' \
                'rm plain.txt' 'mv plain.txt other'
            do
                sh -c "$try" >/dev/null 2>&1 && echo "done: $try"
            done
            ls; cat copy 2>/dev/null; echo end
            """).Ended(0);
        Assert.DoesNotContain("done:", outcome.Text.Replace("done: cp secret.key copy", "copied"));
        Assert.DoesNotContain("secret\n", outcome.Text);
        Assert.EndsWith("end\n", outcome.Text);
        Assert.Equal("secret\n", File.ReadAllText(Path.Combine(data, "secret.key")));
        // The folder may move to where the same rules hold.
        Assert.Equal("deep\n", File.ReadAllText(Path.Combine(data, "moved", "deep.key")));
        Assert.Equal("plain\n", File.ReadAllText(Path.Combine(data, "plain.txt")));
    }

    /// <summary>Streams and pipes have no path, so that rules on paths leave them to those who hold them.</summary>
    [Theory]
    [InlineData("builtin:untrusted-python.yaml")]
    [InlineData("builtin:untrusted-node.yaml")]
    [InlineData("builtin:compile-only.yaml")]
    public void Streams_are_opened_by_their_names(string policy)
    {
        const string script = """
            echo one >/dev/stderr
            echo two | tee /dev/stderr
            echo three >/dev/stdout
            cat /dev/stdin <(echo four) - </proc/self/fd/0
            { echo five >/dev/fd/9; } 9>&1
            echo six | cat /dev/fd/0 /dev/stdin
            """;
        Outcome outcome = SandboxRun.Run(
            ["--policy", policy, "--timeout", "25s"], ["bash", "-c", script], "input\n"u8.ToArray()).Ended(0);
        Assert.Equal("two\nthree\ninput\nfour\nfive\nsix\n", outcome.Text);
        Assert.Equal("one\ntwo\n", outcome.ErrorText);
    }

    /// <summary>A deny that would have to be asked about a longer path than can be compared is not passed over.</summary>
    [Fact]
    public void A_rule_that_cannot_be_evaluated_denies()
    {
        Tool.Need("python3");
        const string program = """
            import os
            os.chdir('/tmp')
            for depth in range(20):
                try: os.mkdir('d' * 250); os.chdir('d' * 250)
                except PermissionError: print('denied below', depth); break
            try: open('a' * 250, 'w'); print('written')
            except PermissionError: print('denied')
            """;
        Outcome outcome = SandboxRun.Run(["--policy", Policy("long", out _)], ["python3", "-c", program]);
        Assert.Equal("denied below 16\ndenied\n", outcome.Ended(0).Text);
    }

    [Fact]
    public void Denied_calls_answer_what_the_policy_says_or_end_the_guest()
    {
        string answers = Policy("calls", out _, """
            syscalls:
              - {deny: uname, answer: ENOSYS, because: a test}
            """);
        Assert.Contains("cannot get system name", Sh(answers, "uname 2>&1; echo on").Ended(0).Text);
        string kills = Policy("kill", out _, """
            syscalls:
              - {deny: uname, answer: kill, because: a test}
            """);
        const int SIGSYS = 31;
        Outcome outcome = Sh(kills, "uname; echo on");
        outcome.Ended(128 + SIGSYS);
        Assert.DoesNotContain("on\n", outcome.Text);
    }

    [Fact]
    public void Flags_narrow_and_what_goes_beyond_is_refused()
    {
        string policy = Policy("limits", out _);
        Assert.Equal("", Sh(policy, "true", "--memory", "128M").Ended(0).ErrorText);
        string narrow = Path.Combine(Path.GetDirectoryName(policy)!, "narrow.yaml");
        File.WriteAllText(narrow, "version: 1\nextends: builtin:untrusted-python.yaml\n");
        SandboxRun.Command(["run", "--policy", narrow, "--timeout", "1d", "--", "true"]).Ended(125).Says("--timeout");
        SandboxRun.Command(["run", "--policy", narrow, "--mount", "/var:/var:rw", "--", "true"]).Ended(125).Says("--mount");
    }

    /// <summary>Either there is an answer, or one line that says why there is none; the memory that it takes has a bound.</summary>
    [Fact]
    public void Policies_as_large_as_can_be_are_compared_or_refused()
    {
        string folder = Case.NewFolder("policy-large");
        string wide = Path.Combine(folder, "wide.yaml"), deep = Path.Combine(folder, "deep.yaml");
        string Shown(int count, Func<int, string> path) => "version: 1\nfragment: true\nfiles:\n  show:\n"
            + string.Concat(Enumerable.Range(0, count).Select(i => $"    - {{path: {path(i)}, memory: true}}\n"));
        File.WriteAllText(wide, Shown(9990, i => $"/a{i}/b{i}/c"));
        File.WriteAllText(deep, Shown(6500, i => $"/{string.Concat(Enumerable.Repeat("x/", 60))}{i}"));
        Outcome outcome = SandboxRun.Command(["policy", "diff", wide, deep]);
        Assert.Contains(outcome.Status, (int[])[1, 3, 125]);
        Assert.DoesNotContain("Unhandled", outcome.ErrorText);
        if (outcome.Status == 125)
            outcome.Says("80 MiB");
    }

    [Theory]
    [InlineData("version: 1\nextends: builtin:default.yaml\nguest: {memroy: 1G}\n", "memroy")]
    [InlineData("version: 1\nextends: builtin:default.yaml\nguest: {memory: 1G, memory: 2G}\n", "memory")]
    [InlineData("version: 1\nextends: builtin:nothing.yaml\n", "nothing")]
    [InlineData("version: 1\nextends: builtin:default.yaml\nnetwork:\n  - {allow: connect, to: 203.0.113.1, ports: 80, because: x}\n", "network")]
    [InlineData("a: &a [x]\nb: *a\n", "anchor")]
    public void A_policy_that_cannot_be_applied_refuses_the_start_and_names_the_place(string text, string word)
    {
        string file = Path.Combine(Case.NewFolder("policy-bad"), "bad.yaml");
        File.WriteAllText(file, text);
        Outcome outcome = SandboxRun.Run(["--policy", file], ["true"]).Ended(125);
        Assert.Contains(word, outcome.ErrorText);
        Assert.Contains("bad.yaml", outcome.ErrorText);
        Assert.Empty(outcome.Output);
    }
}
