using Sandbox.Supervisor.Jail;
using Xunit;

namespace Sandbox.Supervisor.Tests.Jail;

public class JailTests
{
    [Fact]
    public void RootGivesUpTheUserNamespaceFirst()
    {
        Assert.Equal(
            [JailWalls.All, JailWalls.All & ~JailWalls.User, JailWalls.All & ~JailWalls.Namespaces],
            JailedProgram.Ladder(JailWalls.All, isRoot: true));
    }

    [Fact]
    public void OthersCannotDropWhatTheyDoNotHave()
    {
        Assert.Equal(
            [JailWalls.All, JailWalls.NoNewPrivileges | JailWalls.Limits | JailWalls.Landlock | JailWalls.Seccomp],
            JailedProgram.Ladder(JailWalls.All, isRoot: false));
    }

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
}
