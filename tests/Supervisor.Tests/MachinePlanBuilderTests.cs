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
        Assert.Equal("console=ttyS0 quiet", machine.CommandLine);
        Assert.Equal((1, 512ul << 20), (launch.Plan.Limits.Cpus, launch.Plan.Limits.MemoryBytes));
    }

    /// <summary>Which is a host of two.</summary>
    [Fact]
    public void ItMayHaveMoreProcessorsThanTheHost() =>
        Assert.Equal(16, Build(s_options with { Cpus = 16 }).Plan.Limits.Cpus);

    [Fact]
    public void TheDevicesAreThePolicys()
    {
        GuestMachine standard = Build(s_options).Plan.Machine!;
        Assert.Equal((new GuestRandom { BytesPerSecond = 0 }, true), (standard.Random, standard.Balloon));
        PolicyModel policy = Policy with
        {
            Devices =
            [
                new DeviceRule(Policy.Devices[0].Span, null, DeviceKind.Random, null, false, 500),
                new DeviceRule(Policy.Devices[0].Span, null, DeviceKind.Block, "/data/a", true, 700, 50),
                new DeviceRule(Policy.Devices[0].Span, null, DeviceKind.Block, "/data/b", false, null),
            ],
        };
        PlannedLaunch launch = MachinePlanBuilder.Build(
            s_options with { Machine = s_machine with { Initrd = null, Root = "image" } }, policy, new FakeHost().Facts, 42);
        GuestMachine machine = launch.Plan.Machine!;
        Assert.Equal((new GuestRandom { BytesPerSecond = 500 }, false), (machine.Random, machine.Balloon));
        Assert.Equal([0ul, 50ul, 0ul], machine.Disks.Select(disk => disk.OperationsPerSecond));
        Assert.Equal(
            [
                (new Grant.BootFile("--root", "image", false, true), false, 0UL),
                (new Grant.BootFile("policy: device block", "/data/a", true, true), true, 700UL),
                (new Grant.BootFile("policy: device block", "/data/b", false, true), false, 0UL),
            ],
            machine.Disks.Select(disk =>
                ((Grant.BootFile)launch.Grants[disk.Descriptor], disk.Writable, disk.BytesPerSecond)));
    }

    [Fact]
    public void AProgramHasTheCallersTerminal()
    {
        RunOptions options = s_options with
        {
            Terminal = true, Machine = s_machine with { Initrd = null, Root = "image" },
        };
        PlannedLaunch launch = Build(options);
        AgentOrder order = launch.Grants.OfType<Grant.AgentInitrd>().Single().Order;
        Assert.Equal((launch.Plan.Streams.Rows, launch.Plan.Streams.Columns), (order.Terminal!.Rows, order.Terminal.Columns));
        Assert.Contains(order.Environment, variable => variable.StartsWith("TERM=", StringComparison.Ordinal));
    }

    [Fact]
    public void AVirtioConsoleHasTheStreamsWhereNoAgentHas()
    {
        PolicyModel policy = Policy with
        {
            Devices = [new DeviceRule(Policy.Devices[0].Span, null, DeviceKind.VirtioConsole, null, false, null)],
        };
        RunOptions terminal = s_options with { Terminal = true };
        PolicyBounds.Check(terminal, policy);
        LaunchPlan plan = LaunchPlan.Deserialize(
            MachinePlanBuilder.Build(terminal, policy, new FakeHost().Facts, 42).Plan.Serialize());
        Assert.Equal((true, true), (plan.Machine!.VirtioConsole, plan.Streams.Terminal));
        Assert.Equal("console=hvc0 earlycon=uart8250,io,0x3f8 quiet", plan.Machine.CommandLine);
        RunOptions root = terminal with { Machine = s_machine with { Initrd = null, Root = "image" } };
        GuestMachine machine = MachinePlanBuilder.Build(root, policy, new FakeHost().Facts, 42).Plan.Machine!;
        Assert.Equal((false, "console=ttyS0 quiet"), (machine.VirtioConsole, machine.CommandLine));
        Assert.Contains("--tty: with --kernel this needs --root, or a policy that lists '- device: virtio-console'",
            Assert.Throws<UsageException>(() => Build(terminal)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TheVmmTakesThePlan()
    {
        PlannedLaunch launch = Build(s_options with { Machine = s_machine with { Initrd = null } });
        Assert.Equal(-1, LaunchPlan.Deserialize(launch.Plan.Serialize()).Machine!.Initrd);
    }

    /// <summary>The default for machines and two network devices, one of them with a rate.</summary>
    static PolicyModel WithNetwork { get; } = Policy with
    {
        Devices =
        [
            .. Policy.Devices, new DeviceRule(Policy.Devices[0].Span, null, DeviceKind.Network, null, false, 5000, 40),
            new DeviceRule(Policy.Devices[0].Span, null, DeviceKind.Network, null, false, null),
        ],
    };

    static MachineOptions WithTaps(params string[] taps) =>
        s_machine with { Initrd = null, Root = "image", Taps = [.. taps.Select(TapArgument.Parse)] };

    [Fact]
    public void ATapIsAGrantAnInterfaceOfThePlansAndOneOfTheAgents()
    {
        RunOptions options = s_options with { Machine = WithTaps("tap0,address=10.0.0.2/24,gateway=10.0.0.1", "tap1,mac=02:00:00:00:00:09,queues=3") };
        PolicyBounds.Check(options, WithNetwork);
        PlannedLaunch launch = MachinePlanBuilder.Build(options, WithNetwork, new FakeHost().Facts, 42);
        GuestTap[] taps = LaunchPlan.Deserialize(launch.Plan.Serialize()).Machine!.Taps;
        Assert.Equal([1, 3], taps.Select(tap => tap.Descriptors.Distinct().Count()));
        Assert.Equal(
            [new Grant.Tap("tap0", false), .. Enumerable.Repeat(new Grant.Tap("tap1", true), 3)],
            taps.SelectMany(tap => tap.Descriptors).Select(one => launch.Grants[one]));
        Assert.Equal([5000ul, 0ul], taps.Select(tap => tap.BytesPerSecond));
        Assert.Equal([40ul, 0ul], taps.Select(tap => tap.OperationsPerSecond));
        Assert.Equal([10, 0, 0, 2], taps[0].Address);
        Assert.Empty(taps[1].Address);
        Assert.Equal([2, 0, 0, 0, 0, 9], taps[1].Mac);
        AgentInterface[] interfaces = launch.Grants.OfType<Grant.AgentInitrd>().Single().Order.Interfaces;
        Assert.Equal(taps.Select(tap => Convert.ToHexString(tap.Mac)), interfaces.Select(one => Convert.ToHexString(one.Mac)));
        Assert.Equal([10, 0, 0, 1], interfaces[0].Gateway);
        Assert.Equal((24, 0), (interfaces[0].PrefixBits, interfaces[1].Gateway.Length));
    }

    [Fact]
    public void OnlyThePolicyGivesNetworkDevicesAndNoMoreThanItLists()
    {
        PolicyBounds.Check(s_options, Policy);
        OneLine.Refuses("--tap: the policy builtin:machine-default.yaml gives the guest no network",
            () => Check(s_options with { Machine = WithTaps("tap0") }, Policy));
        OneLine.Refuses("fewer network devices than 3",
            () => Check(s_options with { Machine = WithTaps("a", "b", "c") }, WithNetwork));
    }

    /// <summary>What would do nothing is refused where it stands.</summary>
    [Theory]
    [InlineData("guest: {cpu-time: 5s}", "m.yaml:3:19: only programs without a kernel of their own have cpu-time of the policy's; write cpu-time: none")]
    [InlineData("guest: {user: alice}", "m.yaml:3:15: only programs without a kernel of their own have user")]
    [InlineData("guest: {environment: {A: b}}", "m.yaml:3:23: only programs without a kernel of their own have variables")]
    [InlineData("guest: {pass-environment: {value: A, because: x}}", "have variables of the policy's; leave them out, and name them with --env")]
    [InlineData("files: {rules: [{deny: read, path: /etc/**}]}", "m.yaml:3:17: the policy asks for rules for the files of a machine guest")]
    public void WhatOnlyProgramsHaveIsRefused(string text, string mistake) => OneLine.Refuses(mistake, () => Check(s_options, Read(text)));

    [Fact]
    public void TheRootIsADiskThatThePolicyMayDenyAndHasToLetBeWritten()
    {
        RunOptions root = s_options with { Machine = s_machine with { Initrd = null, Root = "/srv/image" } };
        RunOptions writable = root with { Machine = root.Machine! with { WritableRoot = true } };
        Check(writable, Policy);
        PolicyModel narrow = Read("command-line: []");
        Check(root, narrow);
        OneLine.Refuses("--root: the policy ", () => Check(writable, narrow));
        PolicyModel never = Read("", "[builtin:machine-default.yaml, never.yaml]", "devices: [{deny: block}]");
        OneLine.Refuses("--root: the policy denies the guest this disk (", () => Check(root, never));
        PolicyModel one = Read("", "[builtin:machine-default.yaml, never.yaml]", "devices: [{deny: block, from: /srv/image}]");
        OneLine.Refuses("--root: the policy denies the guest this disk (", () => Check(root, one));
        Check(root with { Machine = root.Machine! with { Root = "/srv/other" } }, one);
    }

    static object? Check(RunOptions options, PolicyModel policy)
    {
        PolicyBounds.Check(options, policy);
        return null;
    }

    static PolicyModel Read(string text, string extends = "builtin:machine-default.yaml", string never = "") => PolicyOpener.Load(
        new SourceText("m.yaml", $"version: 1\nextends: {extends}\n{text}\n"), new Beside($"version: 1\nfragment: true\n{never}\n"));

    /// <summary>The one file that a policy extends.</summary>
    sealed class Beside(string text) : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem)
        {
            problem = "";
            return new SourceText(name, text);
        }
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
        Assert.Equal(new Grant.BootFile("--root", "image", true, true), launch.Grants[disk.Descriptor]);
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
