using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Planning;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests;

/// <summary>Rates of a policy become rates of the disks behind what it grants.</summary>
public sealed class DiskRatesTests : IDisposable
{
    readonly FileDescriptor _onDisk = FileDescriptor.Open(typeof(DiskRatesTests).Assembly.Location, O_RDONLY);
    readonly FileDescriptor _inMemory = FileDescriptor.CreateMemory("image", 4096);

    public void Dispose()
    {
        _onDisk.Dispose();
        _inMemory.Dispose();
    }

    HostDisk Disk()
    {
        Assert.Equal(0, _onDisk.GetStatus(out stat status));
        HostDisk? disk = HostDisk.Of(HostCgroupFiles.Instance, status.st_dev);
        Assert.SkipWhen(disk is null, "the tests lie on no disk");
        return disk.Value;
    }

    /// <summary>Of a machine with these disks, each behind its own name.</summary>
    DiskRates? Of(params (bool InMemory, ulong? Rate)[] disks) =>
        WithOperations([.. disks.Select(disk => (disk.InMemory, disk.Rate, (ulong?)null))]);

    DiskRates? WithOperations(params (bool InMemory, ulong? Rate, ulong? Operations)[] disks)
    {
        PolicyModel standard = PolicyOpener.Load(MachinePlanBuilder.DefaultPolicy);
        PolicyModel policy = standard with
        {
            Devices = [.. disks.Select((disk, i) =>
                new DeviceRule(standard.Devices[0].Span, null, DeviceKind.Block, $"/disk{i}", true, disk.Rate, disk.Operations))],
        };
        RunOptions options = new() { Arguments = ["/init"], Machine = new() { Kernel = "vmlinuz", CommandLine = "" } };
        PlannedLaunch launch = MachinePlanBuilder.Build(options, policy, new FakeHost().Facts, 0);
        FileDescriptor[] descriptors = [.. launch.Grants.Select(_ => _inMemory)];
        foreach ((GuestDisk disk, (bool inMemory, _, _)) in launch.Plan.Machine!.Disks.Zip(disks))
            descriptors[disk.Descriptor] = inMemory ? _inMemory : _onDisk;
        return DiskRates.Of(launch, [], descriptors);
    }

    [Fact]
    public void WithoutARateThereIsNothingToBuild()
    {
        Assert.Null(Of());
        Assert.Null(Of((false, null), (true, null)));
    }

    [Fact]
    public void RatesOnOneDiskAddUp()
    {
        DiskRate rate = new(Disk(), 1200);
        Assert.Equal([rate], Of((false, 500), (false, 700))!.Rates);
        Assert.Equal([rate with { BytesPerSecond = ulong.MaxValue }], Of((false, ulong.MaxValue), (false, 700))!.Rates);
    }

    /// <summary>What may be used without a bound cannot have the bound of what lies beside it.</summary>
    [Fact]
    public void ADiskOfTheHostWithSomethingThatHasNoRateHasNone()
    {
        Disk();
        Assert.Null(Of((false, 500), (false, null)));
        Assert.NotNull(Of((false, 500), (true, null)));
    }

    /// <summary>Each of the two rates for itself.</summary>
    [Fact]
    public void OperationsOnOneDiskAddUpAsBytesDo()
    {
        HostDisk disk = Disk();
        Assert.Equal([new DiskRate(disk, 0, 30)], WithOperations((false, 500, 10), (false, null, 20))!.Rates);
        Assert.Equal([new DiskRate(disk, 1200, 0)], WithOperations((false, 500, 10), (false, 700, null))!.Rates);
    }

    [Fact]
    public void WhatLiesOnNoDiskIsNamedAndNothingIsBuiltByHalves()
    {
        DiskRates rates = Of((false, 500), (true, 700))!;
        Assert.Empty(rates.Rates);
        Assert.Equal("'/disk1' lies on no block device of its own", rates.Lacks);
        // Its VMM keeps to it all the same.
        rates.Check(new BuiltJail(JailWalls.None, JailWalls.DiskRates, rates.Lacks));
    }

    [Fact]
    public void AFolderWithARateIsHeldToItOrRefused()
    {
        HostDisk disk = Disk();
        var shown = new ShownFile(PolicyOpener.Load((string?)null).Shown[0].Span, null, "/work", ShownKind.Host, "/srv") { Rate = 5000 };
        var source = new MountSource("/srv", "/srv", "/work", true, true) { Origin = "p.yaml:6:7", Shown = shown };
        MountSource free = source with { Shown = null };
        LaunchPlan plan = PlanBuilder.Build(
            new() { Arguments = ["true"] }, FakeHost.DefaultPolicy, new FakeHost().Facts, [], null, 0).Plan;
        var launch = new PlannedLaunch(plan, [new Grant.Mount(0), new Grant.Mount(1), new Grant.Mount(1)]);
        DiskRates rates = DiskRates.Of(launch, [free, source], [_inMemory, _onDisk, _onDisk])!;
        Assert.Equal([new DiskRate(disk, 10_000)], rates.Rates);
        rates.Check(new BuiltJail(JailWalls.DiskRates, JailWalls.None, null));
        OneLine.Refuses("p.yaml:6:7: the policy holds '/srv' to a rate, which this host does not let the caller build (cpu: no)", () =>
        {
            rates.Check(new BuiltJail(JailWalls.None, JailWalls.DiskRates, "cpu: no"));
            return null;
        });
    }
}
