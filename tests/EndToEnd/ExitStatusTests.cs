using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>Exit statuses, and the one line on stderr that says what happened.</summary>
public sealed class ExitStatusTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(42)]
    [InlineData(124)]
    [InlineData(125)]
    [InlineData(127)]
    [InlineData(255)]
    public void A_programs_own_status_passes_through_in_silence(int status)
    {
        Outcome outcome = SandboxRun.Run([], ["sh", "-c", $"exit {status}"]).Ended(status);
        Assert.Empty(outcome.Error);
    }

    [Theory]
    [InlineData("TERM", 143)]
    [InlineData("KILL", 137)]
    [InlineData("INT", 130)]
    [InlineData("SEGV", 139)]
    [InlineData("USR1", 138)]
    public void A_signal_is_128_plus_its_number(string signal, int status) =>
        SandboxRun.Run([], ["bash", "-c", $"kill -{signal} $$"]).Ended(status).Says(signal);

    [Fact]
    public void A_real_fault_is_reported_as_one() =>
        SandboxRun.Run([], ["python3", "-c", "import ctypes; ctypes.string_at(8)"]).Ended(139).Says("SEGV");

    [Fact]
    public void A_program_that_does_not_exist_is_127() =>
        SandboxRun.Run([], ["no-such-program"]).Ended(127).Says("no-such-program", "not found");

    [Theory]
    [InlineData("/nonexistent/program")]
    [InlineData("./relative")]
    public void A_path_that_does_not_exist_is_127(string path) =>
        SandboxRun.Run([], [path]).Ended(127).Says(path, "not found");

    [Theory]
    [InlineData("/usr")]
    [InlineData("/usr/share/")]
    [InlineData("/dev/null")]
    [InlineData("/etc/passwd")]
    public void What_cannot_be_executed_is_126(string path) => SandboxRun.Run([], [path]).Ended(126).Says(path);

    [Fact]
    public void The_time_limit_is_124()
    {
        Outcome outcome = SandboxRun.Run(["--timeout", "300ms"], ["sleep", "60"]).Ended(124).Says("time", "300 ms");
        // A busy host takes its time, but not the program's.
        Assert.True(outcome.Wall < TimeSpan.FromSeconds(30), outcome.ToString());
    }

    [Fact]
    public void The_memory_limit_is_137()
    {
        Tool.NeedGuestPrograms();
        SandboxRun.Run(["--memory", "64M", "--mount", $"{Ring.GuestPrograms}:/guests"], ["/guests/misbehave", "overcommit"])
            .Ended(137).Says("memory", "64 MiB");
    }

    [Fact]
    public void A_signal_to_the_command_line_reaches_the_program()
    {
        string folder = Case.NewFolder("signal"), ready = Path.Combine(folder, "ready");
        Outcome outcome = SandboxRun.Run(["--mount", $"{folder}:/told:rw"],
            ["bash", "-c", "trap 'echo got TERM; exit 5' TERM; echo ready; : >/told/ready; while :; do sleep 0.05; done"],
            whileRunning: child =>
            {
                Assert.True(SpinWait.SpinUntil(() => File.Exists(ready), 60_000), "the guest is not ready");
                child.Signal(15);
            }).Ended(5);
        Assert.Equal("ready\ngot TERM\n", outcome.Text);
    }

    [Fact]
    public void Killing_the_command_line_takes_the_guest_with_it()
    {
        Outcome outcome = SandboxRun.Run([], ["sleep", "60"], whileRunning: child =>
        {
            Thread.Sleep(500);
            child.Kill();
        });
        Assert.Equal(137, outcome.Status);
        // Nobody is left to remove the empty control group: the next start does.
        SandboxRun.Run([], ["true"]).Clean();
        Assert.DoesNotContain(
            outcome.Left, left => !left.StartsWith("/sys/fs/cgroup/", StringComparison.Ordinal) || Directory.Exists(left));
    }
}
