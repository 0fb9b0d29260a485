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
        Assert.IsType<Grant.Result>(launch.Grants[launch.Plan.Streams.Result]);
        Assert.Equal(6, launch.Grants.Count);
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

    [Fact]
    public void AProgramInAnImageHasADiskAnAgentAndTheVariablesThatAreNamed()
    {
        RunOptions options = s_options with
        {
            Arguments = ["sh", "-c", "true"], Hostname = "inside", WorkingDirectory = "/srv", Environment = [new("A", "b")],
            Machine = s_machine with { Initrd = null, Root = "image", WritableRoot = true, Modules = "modules" },
        };
        PlannedLaunch launch = Build(options);
        GuestMachine machine = launch.Plan.Machine!;
        GuestDisk disk = Assert.Single(machine.Disks);
        Assert.True(machine.Agent && disk.Writable);
        Assert.Equal(new Grant.BootFile("--root", "image", true), launch.Grants[disk.Descriptor]);
        var initrd = Assert.IsType<Grant.AgentInitrd>(launch.Grants[machine.Initrd]);
        Assert.Equal((machine.Kernel, "vmlinuz", "modules"), (initrd.Kernel, initrd.KernelPath, initrd.Modules));
        Assert.Equal((true, "/srv", "inside"), (initrd.Order.WritableRoot, initrd.Order.WorkingDirectory, initrd.Order.Hostname));
        Assert.Equal(["sh", "-c", "true"], initrd.Order.Arguments);
        Assert.Contains("A=b", initrd.Order.Environment);
        Assert.Contains("HOME=/root", initrd.Order.Environment);
        // The initrd is made with the kernel open.
        Assert.True(machine.Kernel < machine.Initrd);
        Assert.NotNull(LaunchPlan.Deserialize(launch.Plan.Serialize()).Machine);
    }
}
