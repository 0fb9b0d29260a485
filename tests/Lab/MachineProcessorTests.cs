using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>
/// Machine guests with one, two and four processors. The lab host has one: vCPUs take turns on it, since QEMU 7.2 does not
/// emulate several for guests that take interrupts (<see cref="LabHostOptions.Processors"/>).
/// </summary>
[Collection(nameof(OnMachineHost))]
public sealed class MachineProcessorTests
{
    /// <summary>Where time is not real a kernel may wait for long: for a processor's turn, for a lock that another holds.</summary>
    internal const string Patient = $"{MachineTests.Sane} nowatchdog rcupdate.rcu_cpu_stall_timeout=300";

    /// <summary>In a guest: what its kernel found wrong.</summary>
    internal const string Complaints =
        "dmesg | grep -E 'WARNING|BUG:|Oops|Call Trace|unchecked MSR|hung task|self-detected stall'";

    [Theory]
    [InlineData("6.1", 1)]
    [InlineData("6.1", 2)]
    [InlineData("6.1", 4)]
    [InlineData("cloud", 1)]
    [InlineData("cloud", 2)]
    [InlineData("cloud", 4)]
    [InlineData("minimal", 1)]
    [InlineData("minimal", 2)]
    [InlineData("minimal", 4)]
    public void Each_kernel_boots_to_its_program_on_each_number_of_processors(string kernel, int processors)
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string file = kernel switch
        {
            "6.1" => MachineTests.PackagedKernel,
            "cloud" => MachineKernel.Cloud,
            _ => MachineKernel.Minimal,
        };
        string program = Laboratory.Compiled("processors");
        string root = MachineRoot.With($"processors-{kernel}-{processors}", program);
        Outcome outcome = Laboratory.MachineHost.Run(
            [
                Laboratory.SandboxInLab, "run", "--kernel", file, "--root", root, "--memory", "256M", "--cpus", $"{processors}",
                "--append", Patient, "--", "sh", "-c", $"nproc; {program} 200; {Complaints}; exit 5",
            ],
            limit: TimeSpan.FromSeconds(280));
        Assert.True(outcome.Status == 5, outcome.ToString());
        int threads = Math.Max(processors, 2);
        Assert.Equal(
            $"{processors}\n{processors} processors, {threads} threads, {threads * 200} steps\n", outcome.Text);
    }
}
