using Sandbox.EndToEnd.Harness;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd;

/// <summary>
/// Hostile and broken programs, each stopped by its limit within a second of it, with the documented status and one
/// line that says so, and with nothing left on the host. Timed, so they run alone.
/// </summary>
[Collection(nameof(Alone))]
public sealed class LimitTests
{
    static readonly TimeSpan s_grace = TimeSpan.FromSeconds(1);

    // No program of these ends by itself; a busy host's lateness is not the sandbox's.
    static readonly TimeSpan s_late = TimeSpan.FromSeconds(20);

    [Theory]
    [InlineData("loop")]
    [InlineData("loops")]
    [InlineData("calls")]
    [InlineData("sleep")]
    [InlineData("ignore")]
    [InlineData("fork")]
    [InlineData("threads")]
    [InlineData("buffers")]
    public void The_time_limit_stops(string behaviour)
    {
        Outcome outcome = Misbehave(["--timeout", "1s", "--memory", "256M"], behaviour);
        // Whoever hoards kernel memory may meet the memory limit first.
        if (behaviour == "buffers" && outcome.Status == 137)
            outcome.Ended(137).Says("memory");
        else
            outcome.Ended(124).Says("time limit", "1 s");
        Assert.StartsWith("ready\n", outcome.Text);
        Assert.True(outcome.Wall < TimeSpan.FromSeconds(1) + s_late, outcome.ToString());
    }

    [Theory]
    [InlineData("loop", 1000)]
    [InlineData("loops", 1000)]
    [InlineData("calls", 1000)]
    public void The_cpu_time_limit_stops(string behaviour, int milliseconds)
    {
        Outcome outcome = Misbehave(["--cpu-time", $"{milliseconds}ms", "--timeout", "30s"], behaviour);
        outcome.Ended(124).Says("CPU time");
        // On a busy machine a second of CPU time takes longer than a second; what counts is what was spent.
        Assert.InRange(outcome.Cpu, TimeSpan.FromMilliseconds(milliseconds * 0.7), TimeSpan.FromMilliseconds(milliseconds) + s_grace);
    }

    [Fact]
    public void The_cpu_time_limit_lets_a_sleeper_sleep() =>
        SandboxRun.Run(["--cpu-time", "500ms"], ["sleep", "1"]).Ended(0);

    [Theory]
    [InlineData("overcommit", 137)]
    [InlineData("memory", 3)]
    public void The_memory_limit_stops(string behaviour, int status)
    {
        var peak = new PeakMemory();
        Outcome outcome = Misbehave(["--memory", "128M", "--timeout", "30s"], behaviour, peak.Watch).Ended(status);
        if (status == 137)
            outcome.Says("memory limit", "128 MiB");
        else
            Assert.Equal("ready\nrefused: ENOMEM\n", outcome.Text);
        Assert.True(outcome.Wall < TimeSpan.FromSeconds(10), outcome.ToString());
        Assert.True(peak.Kilobytes < 320 << 10, $"the host lost {peak.Kilobytes >> 10} MiB");
    }

    [Fact]
    public void Memory_is_refused_before_it_is_missed()
    {
        // A program that checks malloc's answer gets ENOMEM and lives.
        string text = SandboxRun.Run(["--memory", "128M"], ["python3", "-c", """
            import mmap
            try:
                b = bytearray(1 << 30)
                print("got it")
            except MemoryError:
                print("refused")
            print("alive")
            """]).Ended(0).Text;
        Assert.Equal("refused\nalive\n", text);
    }

    [Fact]
    public void The_output_limit_stops_a_flood()
    {
        Outcome outcome = Misbehave(["--output-limit", "5M", "--timeout", "30s"], "output");
        outcome.Ended(128 + SIGXFSZ).Says("output limit");
        Assert.Equal(5 << 20, outcome.Output.Length);
        Assert.True(outcome.Wall < TimeSpan.FromSeconds(5), outcome.ToString());
    }

    [Theory]
    [InlineData("disk", "/tmp", "ENOSPC")]
    [InlineData("disk", "/dev/shm", "ENOSPC")]
    [InlineData("files", "/tmp", "ENOSPC")]
    public void The_tmp_size_stops(string behaviour, string folder, string error)
    {
        Outcome outcome = SandboxRun.Run(["--tmp-size", "16M", "--timeout", "60s", .. s_mount],
            ["/guests/misbehave", behaviour, folder]);
        outcome.Ended(0);
        Assert.Contains($"refused: {error}", outcome.Text);
    }

    [Fact]
    public void Deep_recursion_is_a_stack_overflow_of_the_program_alone()
    {
        Outcome native = Native.Run([Path.Combine(Ring.GuestPrograms, "misbehave"), "recursion"], "/");
        Assert.Equal(139, native.Status);
        Misbehave(["--timeout", "20s"], "recursion").Ended(139).Says("SEGV");
    }

    [Fact]
    public void The_process_limit_refuses_with_EAGAIN()
    {
        string text = SandboxRun.Run(["--processes", "10"], ["python3", "-c", """
            import errno, os, signal
            children = []
            try:
                while len(children) < 100:
                    child = os.fork()
                    if child == 0:
                        signal.pause()
                    children.append(child)
            except OSError as error:
                print(errno.errorcode[error.errno], len(children))
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            print(os.fork() >= 0)
            """]).Clean().Text;
        Assert.StartsWith("EAGAIN 9\nTrue\n", text);
    }

    [Fact]
    public void A_fork_bomb_leaves_the_host_responsive()
    {
        int most = 0;
        Outcome outcome = Misbehave(["--timeout", "2s", "--processes", "64"], "fork", child =>
        {
            for (int i = 0; i < 15 && !child.Ended; i++)
            {
                // The bomb's processes are not processes of the host: only the sandbox's own are.
                most = Math.Max(most, ProcessTable.Tree(child.Pid).Count);
                Thread.Sleep(100);
            }
        });
        outcome.Ended(124);
        Assert.InRange(most, 1, 3);
    }

    static string[] s_mount => ["--mount", $"{Ring.GuestPrograms}:/guests"];

    static Outcome Misbehave(string[] flags, string behaviour, Action<ChildProcess>? whileRunning = null)
    {
        Tool.NeedGuestPrograms();
        return SandboxRun.Run([.. flags, .. s_mount], ["/guests/misbehave", behaviour], timeout: TimeSpan.FromSeconds(40),
            whileRunning: whileRunning);
    }

    /// <summary>The most memory that the sandbox's processes took together, private and shared.</summary>
    sealed class PeakMemory
    {
        public long Kilobytes { get; private set; }

        public void Watch(ChildProcess child)
        {
            for (int i = 0; i < 2000 && !child.Ended; i++)
            {
                long sum = ProcessTable.StatusKilobytes(child.Pid, "VmRSS")
                    + ProcessTable.Tree(child.Pid).Sum(row => Math.Max(0, ProcessTable.StatusKilobytes(row.Pid, "VmRSS")));
                Kilobytes = Math.Max(Kilobytes, sum);
                Thread.Sleep(20);
            }
        }
    }
}

/// <summary>Tests that measure time: nothing else runs beside them.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;
