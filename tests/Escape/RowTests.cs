using Sandbox.Filters;
using Sandbox.Supervisor.Jail;
using Sandbox.Vmm;
using static Sandbox.Host.Libc;

namespace Sandbox.Escape;

/// <summary>
/// Rows of the filters that nothing needs are found: guests ask for all that guests can ask for, and strace records what
/// their VMM does for it, behind Landlock and without filters. Those of machine guests are not looked at.
/// </summary>
public sealed class RowTests
{
    const string PythonScript = "tests/Escape/rows.py";

    /// <summary>Reasons of rows that a recording shows by chance, on other hosts, or never.</summary>
    static readonly string[] s_unseen =
    [
        // By chance.
        "malloc(3), which then takes mmap",
        "the end of the handler by which a thread is stopped", "pthread_kill(3)", "spinning locks",
        "the collector stops threads; a vCPU is called out of the guest; abort(3)", "the collector stops threads",
        "the collector waits for threads that are about to stop", "the collector returns memory",
        "the collector asks for the host's free memory", "the collector asks how much memory it may map",
        "the signal that called a vCPU out is taken away", "a wait goes on after the host's cgroup freezer",
        "pthread_kill(3), abort(3), and the start of threads",
        // With another C library, or another vDSO.
        "CPU clocks, and hosts whose vDSO has no clock",
        // With --trace into a stream that does not block and is full.
        "the trace's reader is waited for",
        // When a VMM fails, is stopped, or its supervisor has closed the network.
        "abort(3), and faults that are not the runtime's to handle", "a last word on standard error",
        "a stopped call is named to the supervisor",
        // With filters.
        "a thread takes its role", "the runtime asks /proc and /sys for limits: there are none",
        "its flags are out of a filter's sight: pthread_create(3) takes clone",
    ];

    [Fact]
    public void Every_row_is_needed_by_some_guest()
    {
        World.Need();
        Assert.SkipUnless(Scale.Full, "records minutes of system calls: ./test --escape-all");
        Assert.SkipUnless(geteuid() == 0, "only root can make a network of its own");
        Tool.Need("strace", "python3", "ip");
        TraceReport report = new();
        report.Read(Record("sockets", "all"));
        report.Read(Record("pipes", "streams"));
        report.Read(Record("terminal", "streams"));
        Assert.Empty(report.Forbidden);
        Rule[] rows = [.. RuleTable.All.Where(row => (row.Needs & GuestNeeds.Machine) == 0)];
        Assert.Empty(s_unseen.Except(rows.Select(row => row.Reason)));
        Assert.Empty(report.Unused.Intersect(rows).Where(row => !s_unseen.Contains(row.Reason))
            .Select(row => $"{row.Name}: {row.Reason}"));
    }

    /// <returns>A folder with the record of each thread.</returns>
    static string Record(string streams, string what)
    {
        string folder = World.Current.NewFolder(), record = World.Current.NewFolder(), policy = Path.Combine(folder, "rows.yaml");
        // Nobody else may change it.
        DirectoryInfo log = Directory.CreateTempSubdirectory("sandbox-escape-log-");
        File.WriteAllText(policy, $$"""
            version: 1
            extends: builtin:default.yaml
            guest: {memory: 512M, time: 500s}
            network:
              - {allow: connect, to: 192.0.2.1, because: a test}
              - {allow: listen, to: 192.0.2.1, port: 8001, because: a test}
              - {allow: resolve, to: nobody.example, because: a test}
            audit: {record: [lifecycle, decisions], to: {{log.FullName}}/log, when-full: block}
            """);
        string script = Path.Combine(World.Repository, PythonScript), work = World.Current.NewFolder();
        // Without namespaces the numbers of threads are the recorder's; clone3 is refused as the filters would.
        HostileVmm vmm = HostileVmm.Replaced(JailWalls.NoNewPrivileges | JailWalls.Limits | JailWalls.Landlock);
        Outcome outcome = World.Start(
            [
                "/usr/bin/env", $"XDG_CONFIG_HOME={folder}/key", $"XDG_STATE_HOME={folder}/head", "unshare", "-n", "-m", "python3", script,
                "host", streams, "strace", "-ff", "-e", "raw=all", "-e", "inject=clone3:error=ENOSYS", "-o", $"{record}/t", vmm.Sandbox, "run",
                "--policy", policy, "--mount", $"{work}:/work:rw", "--mount", $"{script}:/rows.py", "--user", "0:0", "--workdir", "/work",
                "--", "python3", "/rows.py", "guest", what,
            ],
            folder, TimeSpan.FromSeconds(280));
        log.Delete(recursive: true);
        Assert.True(outcome is { Status: 0, TimedOut: false }, outcome.ToString());
        return record;
    }
}
