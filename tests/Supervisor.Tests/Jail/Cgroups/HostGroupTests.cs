using Sandbox.Host;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Launch;
using Xunit;

namespace Sandbox.Supervisor.Tests.Jail.Cgroups;

/// <summary>A group of this host's, with a shell script in it.</summary>
public sealed class HostGroupTests
{
    static readonly GroupLimits s_limits = new(64 << 20, Cpus: 1, Weight: 100, Processes: 8);

    static void InGroup(string script, Action<VmmProcess, FakeVmm> look)
    {
        // The shell would tell whom the kernel has killed. A VMM does nothing either before its limits are set.
        using var fake = new FakeVmm("exec 2>/dev/null; until [ -e limited ]; do sleep 0.02; done; " + script);
        using FileDescriptor nowhere = FileDescriptor.Open("/dev/null", Libc.O_RDWR);
        string[] folders;
        using (VmmProcess vmm = VmmProcess.Start(fake.Program, nowhere, JailWalls.NoNewPrivileges | JailWalls.CgroupLimits))
        {
            vmm.Confirm();
            vmm.Limit(s_limits);
            Assert.SkipUnless(vmm.Jail.Missing == JailWalls.None, $"no control group: {vmm.Jail.Reason}");
            folders = [.. vmm.Group!.Folders];
            File.WriteAllText(fake.Folder + "/limited", "");
            look(vmm, fake);
        }

        Assert.NotEmpty(folders);
        Assert.All(folders, folder => Assert.False(Directory.Exists(folder), folder));
    }

    /// <summary>Not the first process alone.</summary>
    [Fact]
    public void WhatIsInTheGroupStopsAndGoesOn() => InGroup("while :; do echo >>ticks; sleep 0.01; done & wait", (vmm, fake) =>
    {
        long Ticks() => File.Exists(fake.Folder + "/ticks") ? new FileInfo(fake.Folder + "/ticks").Length : 0;
        Assert.True(SpinWait.SpinUntil(() => Ticks() > 0, 30_000), "it does not run");
        Assert.Equal(0, vmm.Group!.Pause(() => vmm.Signal(Libc.SIGSTOP)));
        long frozen = Ticks();
        Thread.Sleep(300);
        Assert.Equal(frozen, Ticks());
        Assert.Equal(0, vmm.Group.Resume());
        Assert.True(SpinWait.SpinUntil(() => Ticks() > frozen, 30_000), "it does not go on");
    });

    /// <summary>Nothing outlives its supervisor, paused or not.</summary>
    [Fact]
    public void WhatStandsStillDies() => InGroup("sleep 60", (vmm, _) =>
    {
        Assert.Equal(0, vmm.Group!.Pause(() => vmm.Signal(Libc.SIGSTOP)));
        vmm.Signal(Libc.SIGKILL);
        Assert.True(vmm.WaitForEnd(30_000));
    });

    [Fact]
    public void UsageIsKnownAtTheEnd() => InGroup(
        "head -c 20m /dev/zero | tail -c 20m >/dev/null; for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done 2>/dev/null; exit 0", (vmm, _) =>
        {
            Assert.True(vmm.WaitForEnd(60_000));
            GroupUsage usage = vmm.Group!.Usage;
            // tail keeps all of it.
            Assert.InRange(usage.MemoryPeakBytes!.Value, 20UL << 20, s_limits.MemoryBytes);
            Assert.True(usage.ForksRefused > 0, "ten processes where eight are allowed");
            Assert.Equal(0UL, usage.OomKills);
            Assert.True(vmm.CpuMicroseconds > 0);
            // Without a PID namespace the sleepers are left: they are killed with their group.
        });

    [Fact]
    public void WhoIsKilledForMemoryIsCounted() => InGroup("head -c 200m /dev/zero | tail -c 200m >/dev/null; exit 0", (vmm, _) =>
    {
        Assert.True(vmm.WaitForEnd(60_000));
        Assert.Equal(1UL, vmm.Group!.Usage.OomKills);
    });
}
