namespace Sandbox.Escape;

/// <summary>An audit log whose writers are killed, and whose guests have something of the network; its key and its head are its own.</summary>
sealed class KilledLog : IDisposable
{
    /// <summary>Nobody else may change it.</summary>
    readonly string _folder = Directory.CreateTempSubdirectory("sandbox-escape-log-").FullName;

    /// <param name="port">Of the host's loopback, which guests may connect to.</param>
    public KilledLog(int port) => File.WriteAllText(Policy, $$"""
        version: 1
        extends: builtin:default.yaml
        network:
          - {allow: connect, to: 127.0.0.1, protocol: tcp, port: {{port}}, because: a test}
        audit: {record: [lifecycle, decisions], to: {{Log}}, when-full: block}
        """);

    public string Policy => Path.Combine(_folder, "audit.yaml");

    string Log => Path.Combine(_folder, "log");

    internal Outcome Start(string[] command, string directory, Action<ChildProcess>? meanwhile = null) =>
        World.Start(["/usr/bin/env", $"XDG_CONFIG_HOME={_folder}/key", $"XDG_STATE_HOME={_folder}/head", .. command], directory, null, meanwhile);

    /// <summary>
    /// Whatever was interrupted is repaired by the next writer, and nothing that was written before is lost: the log is whole.
    /// </summary>
    /// <param name="vmm">Whether it was the VMM that was killed: then the supervisor has written the end.</param>
    public void AssertProved(string directory, bool vmm)
    {
        Outcome last = Start([World.Sandbox, "run", "--policy", Policy, "--", "true"], directory);
        Assert.True(last.Status == 0, last.ToString());
        Outcome proof = Start([World.Sandbox, "audit", "verify", Log], directory);
        Assert.True(proof.Status == 0, proof.ToString());
        string[] lines = File.ReadAllLines(Log);
        int Count(string kind) => lines.Count(line => line.Contains($"\"Kind\":\"{kind}\"", StringComparison.Ordinal));
        Assert.True(Count("start") > Count("end") != vmm, $"{Count("start")} starts, {Count("end")} ends");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
