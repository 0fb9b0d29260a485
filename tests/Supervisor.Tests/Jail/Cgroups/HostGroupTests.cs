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

    /// <summary>As a supervisor of another PID namespace may, which does not see who made it.</summary>
    [Theory]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(3, false)]
    public void AGroupThatIsRemovedBeforeItIsEnteredIsMadeAgain(int removed, bool stands)
    {
        using var fake = new FakeVmm("exit 0");
        using FileDescriptor nowhere = FileDescriptor.Open("/dev/null", Libc.O_RDWR);
        var files = new RemovedGroups(removed);
        using (JailedProgram jailed = JailedProgram.Start(
            fake.Program, nowhere, nowhere, JailWalls.NoNewPrivileges | JailWalls.CgroupLimits, files))
        {
            jailed.Confirm();
            Assert.SkipWhen(files.Made.Count == 0, "no control group can be made here");
            Assert.Equal(stands ? JailWalls.None : JailWalls.CgroupLimits, jailed.Built.Missing);
            Assert.Equal(stands, jailed.Group?.Folders.All(Directory.Exists) ?? false);
            HostProcess.Reap(jailed.Pid);
        }

        Assert.DoesNotContain(files.Made, Directory.Exists);
    }

    /// <summary>The host's, where so many groups are gone as soon as they can be entered.</summary>
    sealed class RemovedGroups(int most) : ICgroupFiles
    {
        readonly HostCgroupFiles _host = HostCgroupFiles.Instance;
        readonly HashSet<string> _removed = [];

        public List<string> Made { get; } = [];

        public string? Read(string path) => _host.Read(path);
        public int Write(string path, string text) => _host.Write(path, text);
        public int RemoveFolder(string path) => _host.RemoveFolder(path);
        public IEnumerable<string> Folders(string path) => _host.Folders(path);
        public long FileSystem(string path) => _host.FileSystem(path);
        public bool IsProcess(int pid) => _host.IsProcess(pid);
        public void Signal(int pid, string group, int signal) => _host.Signal(pid, group, signal);

        public int MakeFolder(string path)
        {
            Made.Add(path);
            return _host.MakeFolder(path);
        }

        public int Open(string path, int flags, out FileDescriptor? file)
        {
            int error = _host.Open(path, flags, out file);
            if (Made.Find(folder => $"{path}/".StartsWith($"{folder}/", StringComparison.Ordinal)) is string made
                && (_removed.Contains(Path.GetFileName(made)) || _removed.Count < most))
            {
                _removed.Add(Path.GetFileName(made));
                _host.RemoveFolder(made);
            }

            return error;
        }
    }
}
