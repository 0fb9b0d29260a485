using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>How machine guests end that have a root and a program in it.</summary>
[Collection(nameof(OnMachineHost))]
public sealed class MachineEndTests
{
    static Outcome Run(string script)
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        return Laboratory.MachineHost.Run(
            [
                Laboratory.SandboxInLab, "run", "--kernel", MachineTests.PackagedKernel, "--root", MachineRoot.With("ends"),
                "--memory", "256M", "--append", MachineTests.Sane, "--", "sh", "-c", script,
            ],
            limit: TimeSpan.FromSeconds(170));
    }

    [Theory]
    [InlineData("poweroff -f", 0, "")]
    [InlineData("reboot -f", 120, "sandbox: the guest reset itself")]
    [InlineData("echo c >/proc/sysrq-trigger", 121, "sandbox: the guest's kernel panicked")]
    public void Whoever_may_ends_the_machine_and_each_end_has_its_status(string command, int status, string line)
    {
        // What a panic comes before has not left the guest.
        Outcome outcome = Run($"echo said; sleep 1; {command}; sleep 100; exit 9");
        Assert.True(outcome.Status == status, outcome.ToString());
        Assert.Contains(line, outcome.ErrorText, StringComparison.Ordinal);
        Assert.Contains("said", outcome.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_first_process_outlives_every_signal_of_its_programs()
    {
        Outcome outcome = Run("for signal in $(seq 64); do kill -$signal 1 2>/dev/null; done; sleep 1; echo here; exit 7");
        Assert.True(outcome.Status == 7, outcome.ToString());
        Assert.Equal("here\n", outcome.Text);
    }
}
