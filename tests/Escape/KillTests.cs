using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using static Sandbox.Host.Libc;

namespace Sandbox.Escape;

/// <summary>SIGKILL for the supervisor or the VMM at any moment of a run: nothing is left of it.</summary>
public sealed class KillTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Killed_at_any_moment_nothing_is_left(bool vmm)
    {
        World.Need();
        string folder = World.Current.NewFolder(), work = World.Current.NewFolder();
        using TcpListener server = new(IPAddress.Loopback, 0);
        server.Start();
        int port = ((IPEndPoint)server.LocalEndpoint).Port;
        using var log = new KilledLog(port);
        string[] program = ["--mount", $"{work}:/work:rw", "--", "bash", "-c",
            $"exec 2>/dev/null 3<>/dev/tcp/127.0.0.1/{port}; echo made >/work/made; sleep 0.1; echo done"];
        string[] command = [World.Sandbox, "run", .. program];
        var host = new HostState();
        string[] logged = [World.Sandbox, "run", "--policy", log.Policy, .. program];
        TimeSpan usual = Usual(() => World.Start(command, folder).Wall), usualLogged = Usual(() => log.Start(logged, folder).Wall);
        while (server.Pending())
            server.AcceptTcpClient().Dispose();
        int seed = Environment.TickCount, early = 0, late = 0;
        var random = new Random(seed);
        for (int round = 0; round < Scale.Of(150, 20); round++)
        {
            // Every other one keeps a log, on which they all write, and connects to the server.
            bool isLogged = round % 2 != 0;
            TimeSpan moment = (isLogged ? usualLogged : usual) * random.NextDouble() * 1.2;
            bool hit = false;
            string[] killed = isLogged ? logged : command;
            Outcome outcome = log.Start(killed, folder, child => hit = Kill(child, vmm, moment));
            string what = $"seed {seed}, round {round}, killed after {moment.TotalMilliseconds:F1} ms\n{outcome}";
            Assert.False(outcome.TimedOut, what);
            Assert.True(outcome.Left.Count == 0, $"left: {string.Join(", ", outcome.Left)}; {what}");
            Assert.Empty(Directory.GetFileSystemEntries(folder));
            Assert.Empty(Directory.GetFileSystemEntries(work).Except([Path.Combine(work, "made")]));
            if (outcome.Status == 0)
                late++;
            else
                Assert.True(hit && outcome.Status == (vmm ? 125 : 128 + SIGKILL), what);
            if (outcome.Status != 0 && outcome.Output.Length == 0)
                early++;
        }

        Assert.True(early > 0, $"seed {seed}: no kill came before the guest's end ({late} came too late)");
        Assert.True(server.Pending(), "no guest has connected");
        AssertNothingIsKnown(folder);
        host.AssertNothingMore();
        log.AssertProved(folder, vmm);
    }

    [Fact]
    public void A_detached_supervisor_that_is_killed_at_any_moment_leaves_nothing()
    {
        World.Need();
        string folder = World.Current.NewFolder();
        string[] command = [World.Sandbox, "run", "--detach", "--rm", "--", "sleep", "60"];
        var host = new HostState();
        TimeSpan usual = Usual(() =>
        {
            Outcome started = World.Start(command, folder);
            World.Start([World.Sandbox, "kill", started.Text.Trim()], folder);
            return started.Wall;
        });
        int seed = Environment.TickCount, early = 0;
        var random = new Random(seed);
        for (int round = 0; round < Scale.Of(150, 20); round++)
        {
            TimeSpan moment = usual * random.NextDouble() * 1.2;
            Outcome outcome = World.Start(command, folder, null, child => Kill(child, vmm: true, moment));
            string what = $"seed {seed}, round {round}, killed after {moment.TotalMilliseconds:F1} ms\n{outcome}";
            Assert.False(outcome.TimedOut, what);
            if (outcome.Status == 0)
            {
                // The caller was told before the kill, or there was none.
                World.Start([World.Sandbox, "kill", outcome.Text.Trim()], folder);
                continue;
            }

            early++;
            Assert.True(outcome.Status == 125, what);
            Assert.True(outcome.Left.Count == 0, $"left: {string.Join(", ", outcome.Left)}; {what}");
        }

        Assert.True(early > 0, $"seed {seed}: no kill came before the caller's end");
        AssertNothingIsKnown(folder);
        host.AssertNothingMore();
    }

    /// <summary>A machine guest's supervisor makes a socket at a path of the host's; here its VMM does nothing.</summary>
    [Fact]
    public void The_socket_of_a_machine_guest_goes_after_a_kill_at_any_moment()
    {
        World.Need();
        string folder = World.Current.NewFolder(), place = World.Current.NewFolder();
        string socket = Path.Combine(place, "vsock"), policy = Path.Combine(place, "machine.yaml"), kernel = Path.Combine(place, "kernel");
        File.WriteAllText(kernel, "none");
        File.WriteAllText(policy, $"""
            version: 1
            extends: builtin:machine-default.yaml
            devices:
              - {"{"}device: vsock, from: {socket}, because: a test{"}"}
            """);
        string[] command = [new HostileVmm("scenario=never-end\n").Sandbox, "run", "--kernel", kernel, "--policy", policy];
        int seed = Environment.TickCount, left = 0;
        var random = new Random(seed);
        for (int round = 0; round < Scale.Of(100, 15); round++)
        {
            // Every third one is killed soon after the socket is there.
            TimeSpan moment = TimeSpan.FromMilliseconds(random.NextDouble() * (round % 3 == 0 ? 10 : 80));
            Outcome outcome = World.Start(command, folder, null, child =>
            {
                if (round % 3 == 0)
                    SpinWait.SpinUntil(() => File.Exists(socket), 20_000);
                Kill(child, vmm: false, moment);
            });
            string what = $"seed {seed}, round {round}, killed after {moment.TotalMilliseconds:F1} ms\n{outcome}";
            Assert.True(outcome is { TimedOut: false, Left.Count: 0, Status: 128 + SIGKILL }, what);
            left += File.Exists(socket) ? 1 : 0;
            // Every other time the next start finds it, and needs the same path.
            if (round % 2 != 0)
                continue;
            Assert.Equal(0, World.Start([World.Sandbox, "gc"], folder).Status);
            Assert.False(File.Exists(socket), what);
        }

        Assert.True(left > 0, $"seed {seed}: no kill came after the socket was made");
        AssertNothingIsKnown(folder);
        Assert.False(File.Exists(socket));
    }

    /// <summary>What a run takes here that nobody kills.</summary>
    static TimeSpan Usual(Func<TimeSpan> run) => Enumerable.Range(0, 5).Select(_ => run()).Order().ElementAt(2);

    /// <summary>After gc there is no folder and no control group of a sandbox that does not run.</summary>
    static void AssertNothingIsKnown(string folder)
    {
        string left = "";
        // A test beside this one may kill one of its own between two commands.
        Assert.True(SpinWait.SpinUntil(() =>
        {
            Outcome cleaned = World.Start([World.Sandbox, "gc"], folder);
            Assert.True(cleaned.Status == 0, $"{cleaned}");
            left = World.Start([World.Sandbox, "ps", "--all"], folder).Text + string.Join('\n', ControlGroups.Abandoned());
            return !left.Contains("lost", StringComparison.Ordinal) && !left.Contains("exited", StringComparison.Ordinal)
                && !left.Contains("/sandbox-", StringComparison.Ordinal);
        }, 30_000), left);
    }

    /// <returns>False when there was no process to kill at that moment.</returns>
    static bool Kill(ChildProcess supervisor, bool vmm, TimeSpan moment)
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < moment)
            Thread.Yield();
        if (!vmm)
        {
            supervisor.Kill();
            return true;
        }

        return Children.First(supervisor.Pid) is int pid && kill(pid, SIGKILL) == 0;
    }
}
