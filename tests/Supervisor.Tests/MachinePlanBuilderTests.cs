using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Planning;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public class MachinePlanBuilderTests
{
    static readonly MachineOptions s_machine = new() { Kernel = "vmlinuz", Initrd = "initramfs", CommandLine = "quiet" };

    static readonly RunOptions s_options = new() { Arguments = ["/init"], Machine = s_machine };

    static PolicyModel Policy { get; } = PolicyOpener.Load(MachinePlanBuilder.DefaultPolicy);

    static PlannedLaunch Build(RunOptions options) => MachinePlanBuilder.Build(options, Policy, new FakeHost().Facts, 42);

    [Fact]
    public void AMachineGuestGetsItsKernelItsInitrdAndTheStreamsAndNothingOfTheHost()
    {
        PlannedLaunch launch = Build(s_options);
        GuestMachine machine = launch.Plan.Machine!;
        Assert.Equal(new Grant.BootFile("--kernel", "vmlinuz"), launch.Grants[machine.Kernel]);
        Assert.Equal(new Grant.BootFile("--initrd", "initramfs"), launch.Grants[machine.Initrd]);
        Assert.Equal(
            [new Grant.StandardStream(0), new Grant.StandardStream(1), new Grant.StandardStream(2)],
            launch.Grants.OfType<Grant.StandardStream>());
        Assert.Equal(5, launch.Grants.Count);
        Assert.Empty(launch.Plan.Files);
        Assert.Null(launch.Plan.Network);
        Assert.Equal("quiet", machine.CommandLine);
        Assert.Equal((1, 512ul << 20), (launch.Plan.Limits.Cpus, launch.Plan.Limits.MemoryBytes));
    }

    [Fact]
    public void TheVmmTakesThePlan()
    {
        PlannedLaunch launch = Build(s_options with { Machine = s_machine with { Initrd = null } });
        Assert.Equal(-1, LaunchPlan.Deserialize(launch.Plan.Serialize()).Machine!.Initrd);
    }
}
