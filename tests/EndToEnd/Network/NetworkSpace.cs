using Sandbox.EndToEnd.Harness;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd.Network;

/// <summary>Runs sandboxes in a network namespace of the test's own, where world.py is all that there is to reach.</summary>
static class NetworkSpace
{
    const string Hosts = """
        127.0.0.1 localhost
        192.0.2.10 files.example
        2001:db8::10 six.example
        192.0.2.11 a.other.example
        10.9.9.9 inside.example
        192.0.2.10 deb.debian.org

        """;

    /// <summary>Skips the running test where no such namespace can be made.</summary>
    static void Need()
    {
        SandboxRun.Need();
        Tool.Need("python3", "ip", "unshare", "mount");
        Assert.SkipUnless(Namespaces is not null, "this user may not make a network namespace");
    }

    /// <summary>The flags of unshare(1) that work here; root keeps its own users.</summary>
    static string[]? Namespaces { get; } = new[] { geteuid() == 0 ? [] : new[] { "--map-root-user" } }
        .Select(flags => (string[])["--net", "--mount", .. flags])
        .FirstOrDefault(flags => Native.Run(["unshare", .. flags, "true"], "/").Status == 0);

    /// <summary>Runs a Python program in a guest.</summary>
    /// <param name="policy">The policy's sections beyond what it extends; or a whole one, from its version on.</param>
    /// <returns>How it ended, and what reached the servers.</returns>
    /// <param name="environment">Of the sandbox.</param>
    public static (Outcome Outcome, string[] Reached) Python(
        string policy, string program, IReadOnlyDictionary<string, string>? environment = null) =>
        Run(policy, ["python3", "-c", Program(program)], environment);

    /// <summary>A program may ask the world for something, and may wait for it.</summary>
    static string Program(string text) => $"""
        import socket, sys, os, errno, time
        def ask(line):
            with open("/world/asked", "a") as f: f.write(line + "\n")
        def attempt(what, call):
            try: print(what, call())
            except OSError as e: print(what, errno.errorcode.get(e.errno, e))
        {text}
        """;

    /// <param name="words">What the sandbox is told to do with the policy and the command; null for run.</param>
    /// <param name="withFiles">Its streams are no pipes: files, of which nobody has to wait for.</param>
    public static (Outcome Outcome, string[] Reached) Run(
        string policy, string[] command, IReadOnlyDictionary<string, string>? environment = null, string[]? words = null,
        bool withFiles = false)
    {
        Need();
        string folder = Case.NewFolder("network");
        File.WriteAllText(Path.Combine(folder, "hosts"), Hosts);
        File.WriteAllText(Path.Combine(folder, "resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
        string file = Path.Combine(folder, "policy.yaml");
        string head = "version: 1\nextends: builtin:default.yaml\nguest: {memory: 256M, time: 60s}\n";
        File.WriteAllText(file, policy.StartsWith("version", StringComparison.Ordinal) ? policy : head + policy);
        bool mounts = !policy.StartsWith("version", StringComparison.Ordinal);
        string world = Path.Combine(Ring.Repository, "tests", "EndToEnd", "Network", "world.py");
        string[] mount = mounts ? ["--mount", $"{folder}:/world:rw", "--user", SandboxRun.User] : [];
        const string toFiles = "\"$@\" </dev/null >out 2>err; status=$?; cat out; cat err >&2; exit $status";
        string[] shell = withFiles ? ["sh", "-c", toFiles, "sh"] : [];
        Outcome outcome = Native.Run(
            [
                "unshare", .. Namespaces!, "--", "python3", world, folder, .. shell, Ring.Sandbox, .. words ?? ["run"], "--policy", file,
                .. mount, "--", .. command,
            ],
            folder, environment: environment, timeout: TimeSpan.FromSeconds(100));
        string log = Path.Combine(folder, "reached");
        string[] reached = File.Exists(log) ? File.ReadAllLines(log) : [];
        Directory.Delete(folder, recursive: true);
        return (outcome, reached);
    }
}
