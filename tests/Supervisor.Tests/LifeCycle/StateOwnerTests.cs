using Sandbox.Host;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Tests.Jail.Facts;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.LifeCycle;

/// <summary>Root looks at what another user has written down, who may have written anything.</summary>
public sealed class StateOwnerTests : IDisposable
{
    const uint User = 4711, VmmUser = 0x7000_1315;

    readonly ScratchPlace _place = new();
    readonly SandboxId _id = new(0xaaaaaaaaaaaa);

    public void Dispose() => _place.Dispose();

    static void NeedRoot() => Assert.SkipUnless(geteuid() == 0, "only root looks at another user's");

    static void Give(string path) => Assert.Equal(0, Change(path, User));

    static unsafe int Change(string path, uint user)
    {
        fixed (byte* name = System.Text.Encoding.UTF8.GetBytes(path + '\0'))
            return fchownat(AT_FDCWD, name, user, user, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
    }

    /// <summary>A sandbox that runs, as far as its folder says, and is wholly the user's.</summary>
    StateFolder MakeHis(SandboxRecord record)
    {
        StateFolder folder = _place.Make(record.Id);
        Assert.Equal(0, folder.Write(record));
        Give(_place.Path);
        Give($"{_place.Path}/{record.Id}");
        Give($"{_place.Path}/{record.Id}/record");
        return folder;
    }

    StateOwner His => new(User, [_place.Path]);

    ListedSandbox Only() => Assert.Single(StateList.Read(His));

    [Fact]
    public void AnotherUsersSandboxIsSeenAndHisProcessesAreDoubted()
    {
        NeedRoot();
        using StateFolder folder = MakeHis(Records.Simple(_id) with { Supervisor = Environment.ProcessId, Vmm = Environment.ProcessId });
        ListedSandbox one = Only();
        Assert.Equal((SandboxState.Running, _id), (one.State, one.Id));
        Assert.Equal($"process {Environment.ProcessId} is not of user {User}", one.Doubt);
        Assert.DoesNotContain($" {Environment.ProcessId} ", PsTool.Table([one], 0), StringComparison.Ordinal);
        Assert.DoesNotContain("Pid", PsTool.Json([one]), StringComparison.Ordinal);
        Assert.Contains("not of user 4711", InspectTool.Text(one, one.Record!, null, default, null, "", null), StringComparison.Ordinal);
    }

    /// <summary>None of it is opened: a pipe would keep root waiting, a device could do anything.</summary>
    [Fact]
    public void GroupsThatHeNamesElsewhereAreNotLookedAt()
    {
        NeedRoot();
        string trap = $"{_place.Path}/sandbox-1-2-3";
        using StateFolder folder = MakeHis(Records.Simple(_id) with
        {
            Groups = [new RecordedGroup(true, Controllers.Memory, trap), new RecordedGroup(true, Controllers.Memory, "/sys/fs/cgroup/sandbox-1-2-3")],
        });
        Assert.Equal("/sys/fs/cgroup/sandbox-1-2-3", Assert.Single(Only().Record!.Groups).Folder);
        Assert.False(Hierarchy.IsBelowRoot("/sys/fs/cgroup/../../../tmp/x"));
        Assert.False(Hierarchy.IsBelowRoot("/sys/fs/cgroups/x"));
    }

    [Theory]
    [InlineData("mkfifo -m 644 record; chown -h 4711 record")]
    [InlineData("ln -s /etc/passwd record; chown -h 4711 record")]
    [InlineData("mv ../copy record; chown 0 record")]
    [InlineData("ln -s ../copy record; chown -h 4711 record")]
    [InlineData("mkdir record; chown 4711 record")]
    [InlineData("truncate -s 1G record; chown 4711 record")]
    public void WhatIsNoFileOfHisIsNotRead(string script)
    {
        NeedRoot();
        using StateFolder folder = MakeHis(Records.Simple(_id));
        string path = $"{_place.Path}/{_id}";
        File.Move($"{path}/record", $"{_place.Path}/copy");
        using (var shell = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("/bin/sh", ["-ec", script]) { WorkingDirectory = path })!)
        {
            shell.WaitForExit();
            Assert.Equal(0, shell.ExitCode);
        }

        Assert.Null(Only().Record);
    }

    /// <summary>Anybody may have made /tmp/sandbox-UID: that says nothing of him.</summary>
    [Fact]
    public void PlacesThatAreNotHisAloneHoldNothingOfHis()
    {
        NeedRoot();
        using (MakeHis(Records.Simple(_id)))
        {
            Assert.Equal(0, Change(_place.Path, User + 1));
            Assert.Empty(StateList.Read(His));
            Give(_place.Path);
            Assert.Single(StateList.Read(His));
            File.SetUnixFileMode(_place.Path, (UnixFileMode)0b111_000_010);
            Assert.Empty(StateList.Read(His));
            File.SetUnixFileMode(_place.Path, (UnixFileMode)0b111_000_000);
            string link = _place.Path + "-link";
            File.CreateSymbolicLink(link, _place.Path);
            Assert.Empty(StateList.Read(new StateOwner(User, [link, "/no/such/place"])));
            File.Delete(link);
        }
    }

    [Fact]
    public void HowManyAreLookedAtHasABound()
    {
        NeedRoot();
        for (int i = 1; i <= 1030; i++)
            Directory.CreateDirectory($"{_place.Path}/{new SandboxId((ulong)i)}");
        Give(_place.Path);
        Assert.Equal(1 << 10, StateList.Read(His).Count);
    }

    [Theory]
    [InlineData(4885, VmmUser, 23_216_040, null)]
    [InlineData(4885, User, 23_216_040, "is not of user 4711")]
    [InlineData(4885, VmmUser, 23_213_000, "has started after the sandbox")]
    [InlineData(4884, VmmUser, 23_216_040, "is not a child of 4884")]
    public void ProcessesHaveToBeHisAndOfThatTime(int supervisor, uint user, long recordedAt, string? doubt)
    {
        const long booted = 1_764_000_000_000;
        var process = new FakeProcess();
        process["status"] = process[$"task/{FakeProcess.Main}/status"];
        SandboxRecord record = Records.Simple(_id) with { Supervisor = supervisor, Vmm = FakeProcess.Pid, StartedAt = booted + recordedAt };
        string? found = RecordedProcesses.Doubt(record, user, process, process, booted);
        if (doubt is null)
            Assert.Null(found);
        else
            Assert.EndsWith(doubt, found, StringComparison.Ordinal);
        process.Refuse("status", ENOENT);
        Assert.NotNull(RecordedProcesses.Doubt(record, user, process, process, booted));
    }

    [Fact]
    public void UsersAreNamedOrNumbered()
    {
        Assert.Same(StateOwner.Own, StateOwner.Named(null));
        Assert.Same(StateOwner.Own, StateOwner.Named($"{geteuid()}"));
        foreach (string bad in (string[])["", "no-such-user", "-1", "4294967295", "1 ", "root\0"])
            OneLine.Refuses("--user: there is no user", () => StateOwner.Named(bad));
        if (geteuid() != 0)
        {
            OneLine.Refuses("--user: only root", () => StateOwner.Named("root"));
            return;
        }

        Assert.Same(StateOwner.Own, StateOwner.Named("root"));
        StateOwner other = StateOwner.Named("4711");
        Assert.Equal((4711u, false), (other.User, other.IsOwn));
        Assert.Equal(["/run/user/4711/sandbox", "/tmp/sandbox-4711"], other.Places);
        Assert.Equal(StateOwner.Named("daemon").User, StateOwner.Named($"{StateOwner.Named("daemon").User}").User);
    }
}
