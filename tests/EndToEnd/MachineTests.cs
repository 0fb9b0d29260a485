using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>Guests with a kernel of their own where they cannot be; where they can, tests/Lab has the rest.</summary>
public sealed class MachineTests
{
    [Fact]
    public void Paravirtual_KVM_refuses_in_one_line_that_says_what_to_do_instead()
    {
        string cpu = File.ReadAllText("/proc/cpuinfo");
        Assert.SkipWhen(cpu.Contains(" svm ", StringComparison.Ordinal) || cpu.Contains(" vmx ", StringComparison.Ordinal),
            "this host has hardware virtualization");
        string kernel = Path.Combine(Case.NewFolder("machine"), "vmlinuz");
        File.WriteAllBytes(kernel, new byte[4096]);
        Outcome outcome = SandboxRun.Run(["--kernel", kernel], []).Ended(125);
        outcome.Says("no hardware virtualization").Says("without --kernel");
        Assert.Empty(outcome.Output);
    }
}
