using Sandbox.EndToEnd.Harness;
using Xunit;

namespace Sandbox.Lab;

/// <summary>The kernel of <c>kernels/minimal.config</c>, which is built the first time that it is asked for.</summary>
public class MinimalKernelTests
{
    [Fact]
    public void A_kernel_with_nothing_but_what_guests_need_runs_a_program_in_an_image()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "builds a kernel: ./test --lab-all");
        string answer = Path.Combine(Directory.CreateDirectory(Path.Combine(Laboratory.Root, "build/test/machine")).FullName, "minimal-kernel");
        bool isBuilt = Laboratory.Made(
            out string said, "sh", "-c", "exec \"$0\" > \"$1\"", Path.Combine(Laboratory.Root, "kernels/build"), answer);
        Assert.SkipWhen(said.Contains("apt-get install", StringComparison.Ordinal), said);
        Assert.True(isBuilt, said);
        Assert.DoesNotContain("warning", said, StringComparison.Ordinal);
        string kernel = LabHost.Repository + File.ReadAllText(answer).Trim()[Laboratory.Root.Length..];

        Outcome outcome = Laboratory.MachineHost.Run(
            [Laboratory.SandboxInLab, "run", "--kernel", kernel, "--root", MachineTests.Image("minimal"), "--memory", "64M",
                "--", "sh", "-c", "uname -r; cat; test ! -e /proc/modules && exit 5"],
            "input\n"u8.ToArray(), TimeSpan.FromSeconds(100));

        Assert.True(outcome.Status == 5, outcome.ToString());
        Assert.Matches("^6\\.[0-9.]+\ninput\n$", outcome.Text);
    }
}
