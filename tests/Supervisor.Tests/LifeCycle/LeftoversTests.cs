using System.Net.Sockets;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Tests.Jail.Cgroups;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.LifeCycle;

public sealed class LeftoversTests : IDisposable
{
    readonly ScratchPlace _place = new();

    public void Dispose() => _place.Dispose();

    /// <summary>The folder of a sandbox whose supervisor is gone.</summary>
    SandboxId Leave(bool kept, bool withRecord = true, RecordedSocket? socket = null)
    {
        using StateFolder folder = _place.Make();
        if (withRecord)
            folder.Write(Records.Simple(folder.Id) with { IsKept = kept, Socket = socket });
        folder.WritePolicy("version: 1\n"u8.ToArray());
        ControlSocket.TryOpen(folder, out ControlSocket? control);
        control!.Dispose();
        return folder.Id;
    }

    bool IsThere(SandboxId id) => Directory.Exists($"{_place.Path}/{id}");

    [Fact]
    public void AStartRemovesWhatWasNotToBeKept()
    {
        SandboxId gone = Leave(kept: false), unborn = Leave(kept: false, withRecord: false), kept = Leave(kept: true);
        using StateFolder running = _place.Make(), own = _place.Make();
        running.Write(Records.Simple(running.Id));
        Leftovers.RemoveSome(_place.Path, _place.Descriptor, own.Id);
        Assert.False(IsThere(gone) || IsThere(unborn));
        Assert.True(IsThere(kept) && IsThere(running.Id) && IsThere(own.Id));
    }

    /// <summary>Nothing that was not removed is said to have been.</summary>
    [Fact]
    public void WhatCannotBeOpenedIsNotGone()
    {
        SandboxId id = SandboxId.Random();
        Directory.CreateSymbolicLink($"{_place.Path}/{id}", "/");
        Assert.Equal(-ENOTDIR, Leftovers.Remove(_place.Descriptor, id, keptToo: true));
        Assert.Equal(0, Leftovers.Remove(_place.Descriptor, SandboxId.Random(), keptToo: true));
        File.Delete($"{_place.Path}/{id}");
    }

    /// <summary>It has its folder before it takes orders.</summary>
    [Fact]
    public void OneThatStartsHasNotEnded()
    {
        using StateFolder folder = _place.Make();
        using OpenedSandbox sandbox = OpenedSandbox.Find(new StateOwner(geteuid(), [_place.Path]), folder.Id.ToString());
        Assert.Contains("is still starting", Assert.Throws<UsageException>(sandbox.Connect).Message);
        ControlSocket? control = null;
        using Timer late = new(_ => ControlSocket.TryOpen(folder, out control), null, 50, Timeout.Infinite);
        using (ControlClient? client = sandbox.Connect())
            Assert.NotNull(client);
        control?.Dispose();
    }

    [Fact]
    public void AStartLooksAtAFewOnlyAndAllAreLookedAtInTheEnd()
    {
        SandboxId[] many = [.. Enumerable.Range(0, 60).Select(_ => Leave(kept: false))];
        using StateFolder own = _place.Make();
        Leftovers.RemoveSome(_place.Path, _place.Descriptor, own.Id);
        Assert.Equal(52, many.Count(IsThere));
        for (int i = 0; i < 100; i++)
            Leftovers.RemoveSome(_place.Path, _place.Descriptor, SandboxId.Random());
        Assert.DoesNotContain(many, IsThere);
    }

    [Fact]
    public void ARunThatIsGoneBeforeItIsSeenRemovesThemToo()
    {
        SandboxId gone = Leave(kept: false), kept = Leave(kept: true);
        using (RunState state = new(new RunOptions { Arguments = ["true"] }, _place.Path))
            state.End(0, null, null!, null, hasStarted: false);
        Assert.True(!IsThere(gone) && IsThere(kept));
    }

    [Fact]
    public void APlaceLooksEmptyOnlyWhileNoFolderIsInIt()
    {
        // Its file system counts folders. Where the others are, it need not.
        using ScratchPlace place = new(Directory.CreateDirectory($"/dev/shm/sandbox-test-{Guid.NewGuid()}").FullName);
        Assert.True(StatePlace.LooksEmpty(place.Path));
        using StateFolder folder = place.Make();
        Assert.False(StatePlace.LooksEmpty(place.Path));
        Assert.Equal(0, folder.Remove());
        Assert.True(StatePlace.LooksEmpty(place.Path));
        Assert.True(StatePlace.LooksEmpty($"{place.Path}/elsewhere"));
        using StateFolder here = _place.Make();
        Assert.False(StatePlace.LooksEmpty(_place.Path));
    }

    [Fact]
    public void OnRequestWhatWasKeptGoesToo()
    {
        SandboxId kept = Leave(kept: true);
        Assert.Equal(0, Leftovers.Remove(_place.Descriptor, kept, keptToo: true));
        Assert.False(IsThere(kept));
        using StateFolder running = _place.Make();
        Assert.Equal(-EBUSY, Leftovers.Remove(_place.Descriptor, running.Id, keptToo: true));
        Assert.True(IsThere(running.Id));
        Assert.Equal(0, Leftovers.Remove(_place.Descriptor, SandboxId.Random(), keptToo: true));
    }

    [Fact]
    public void OnlyGroupsWhoseMakerIsGoneAreRemoved()
    {
        FakeCgroups files = new FakeCgroups().One("/sys/fs/cgroup/memory");
        string mine = $"sandbox-{Environment.ProcessId}-77-1";
        foreach (string name in (string[])[mine, "sandbox-4711-1-1"])
        {
            files.One($"/sys/fs/cgroup/memory/{name}");
            Leftovers.Remove(new RecordedGroup(false, Controllers.Memory, $"/sys/fs/cgroup/memory/{name}"), files);
        }

        Assert.True(files.Has($"/sys/fs/cgroup/memory/{mine}"));
        Assert.False(files.Has("/sys/fs/cgroup/memory/sandbox-4711-1-1"));
    }

    [Fact]
    public void AFolderThatIsNoGroupIsLeftAlone()
    {
        string folder = $"{_place.Path}/sandbox-4711-1-1";
        Directory.CreateDirectory(folder);
        Assert.Equal(0, Leftovers.Remove(new RecordedGroup(true, Controllers.Memory, folder), HostCgroupFiles.Instance));
        Assert.True(Directory.Exists(folder));
    }

    /// <summary>A machine guest's socket, as its supervisor leaves it that is killed.</summary>
    RecordedSocket Abandon(string name = "vsock")
    {
        string path = $"{_place.Path}/{name}";
        using (Socket killed = Listen(path + "-"))
        {
            // Closing would remove it.
            File.Move(path + "-", path);
            // A child of another test has it too, until its execve.
            killed.Shutdown(SocketShutdown.Both);
        }

        Assert.Equal(0, SocketFile.Inode(path, out ulong inode));
        return new RecordedSocket(inode, path);
    }

    static Socket Listen(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(path));
        socket.Listen();
        return socket;
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void TheSocketOfAMachineGuestGoesToo(bool kept, bool killedBeforeItWasSeen)
    {
        RecordedSocket socket = Abandon();
        SandboxId gone = Leave(kept, socket: killedBeforeItWasSeen ? socket with { Inode = SocketFile.AnyInode } : socket);
        Assert.Equal(0, Leftovers.Remove(_place.Descriptor, gone, keptToo: false));
        Assert.False(File.Exists(socket.Path));
        Assert.Equal(kept, IsThere(gone));
    }

    [Fact]
    public void OnlyTheSocketThatWasRecordedGoesAndOnlyIfNobodyListens()
    {
        RecordedSocket another = Abandon();
        Leftovers.Remove(_place.Descriptor, Leave(false, socket: another with { Inode = another.Inode + 1 }), false);
        Assert.True(File.Exists(another.Path));

        string heard = $"{_place.Path}/heard", file = $"{_place.Path}/file", link = $"{_place.Path}/link";
        using Socket listener = Listen(heard);
        Assert.Equal(0, SocketFile.Inode(heard, out ulong inode));
        File.WriteAllText(file, "kept");
        File.CreateSymbolicLink(link, another.Path);
        foreach (RecordedSocket kept in (RecordedSocket[])
            [new(inode, heard), new(SocketFile.AnyInode, heard), new(SocketFile.AnyInode, file),
                new(SocketFile.AnyInode, link), new(SocketFile.AnyInode, _place.Path), new(SocketFile.AnyInode, "/"),
                new(SocketFile.AnyInode, $"{_place.Path}/.."), new(SocketFile.AnyInode, $"{_place.Path}/no/such")])
        {
            SandboxId gone = Leave(false, socket: kept);
            Assert.Equal(0, Leftovers.Remove(_place.Descriptor, gone, keptToo: false));
            Assert.False(IsThere(gone));
        }

        Assert.True(File.Exists(heard) && File.Exists(file) && File.Exists(another.Path));
        Assert.NotNull(new FileInfo(link).LinkTarget);
    }
}
