using Sandbox.Supervisor.Jail;
using Xunit;

namespace Sandbox.Supervisor.Tests.Jail;

public class JailTests
{
    const JailWalls Bare = JailWalls.NoNewPrivileges | JailWalls.Limits | JailWalls.Landlock | JailWalls.CgroupLimits
        | JailWalls.DiskRates | JailWalls.Seccomp;

    [Fact]
    public void RootGivesUpOneWallBeforeMany() => Assert.Equal(
        [
            JailWalls.All, JailWalls.All & ~JailWalls.OwnUser, JailWalls.All & ~JailWalls.User,
            JailWalls.All & ~(JailWalls.User | JailWalls.OwnUser), Bare | JailWalls.Capabilities, Bare,
        ],
        JailedProgram.Ladder(JailWalls.All, isRoot: true));

    [Fact]
    public void OthersCannotDropWhatTheyDoNotHave() => Assert.Equal(
        [JailWalls.All & ~JailWalls.OwnUser, Bare], JailedProgram.Ladder(JailWalls.All, isRoot: false));

    [Fact]
    public void WhereNoNamespaceWasWantedNothingLessIsTried() =>
        Assert.Equal([JailWalls.NoNewPrivileges], JailedProgram.Ladder(JailWalls.NoNewPrivileges, isRoot: true));

    [Fact]
    public void WhatIsMissingIsNamed()
    {
        var jail = new BuiltJail(JailWalls.All & ~JailWalls.User, JailWalls.User | JailWalls.Landlock, "clone3: no");
        Assert.Equal(
            "the jail around the VMM lacks walls (user namespace, Landlock), since this host refused clone3: no; see sandbox doctor",
            jail.ToString());
    }

    [Fact]
    public void AControlGroupThatLacksALimitIsNoWall()
    {
        BuiltJail jail = new BuiltJail(JailWalls.All, JailWalls.None, null).WithoutGroupLimits("cpu: no");
        Assert.Equal(JailWalls.CgroupLimits, jail.Missing);
        Assert.Equal(JailWalls.All & ~JailWalls.CgroupLimits, jail.Walls);
        Assert.Equal(
            "the jail around the VMM lacks walls (control group), since this host refused a control group with limits: cpu: no; see sandbox doctor",
            jail.ToString());
        // The usual case of an ordinary user.
        Assert.False(jail.DeservesWarning(isRoot: false));
        Assert.True(jail.DeservesWarning(isRoot: true));
        Assert.True(new BuiltJail(JailWalls.All, JailWalls.Landlock | JailWalls.CgroupLimits, "x").DeservesWarning(isRoot: false));
    }

    [Fact]
    public void RatesOfDisksStandOrAreMissingOnceThereAreSome()
    {
        var jail = new BuiltJail(JailedProgram.Offered(isRoot: true), JailWalls.None, null);
        Assert.False(jail.Walls.HasFlag(JailWalls.DiskRates));
        Assert.True(jail.WithDiskRates(null).Walls.HasFlag(JailWalls.DiskRates));
        BuiltJail weak = jail.WithDiskRates("no controller for io");
        Assert.Equal((JailWalls.DiskRates, "rates of disks: no controller for io"), (weak.Missing, weak.Reason));
        Assert.False(weak.DeservesWarning(isRoot: false));
        Assert.True(weak.DeservesWarning(isRoot: true));
    }
}
