using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>The kernel of <c>kernels/minimal.config</c>.</summary>
[Collection(nameof(OnMachineHost))]
public class MinimalKernelTests
{
    [Fact]
    public void A_kernel_with_nothing_but_what_guests_need_runs_a_program_in_an_image()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "builds a kernel: ./test --lab-all");
        Outcome outcome = Laboratory.MachineHost.Run(
            [Laboratory.SandboxInLab, "run", "--kernel", MachineKernel.Minimal, "--root", MachineTests.Image("minimal"), "--memory", "64M",
                "--", "sh", "-c", "uname -r; cat; test ! -e /proc/modules && exit 5"],
            "input\n"u8.ToArray(), TimeSpan.FromSeconds(100));

        Assert.True(outcome.Status == 5, outcome.ToString());
        Assert.Matches("^6\\.[0-9.]+\ninput\n$", outcome.Text);
    }
}
