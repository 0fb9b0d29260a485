using Sandbox.Host;
using Sandbox.Supervisor.LifeCycle;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.LifeCycle;

public sealed class StateFolderTests : IDisposable
{
    readonly string _path = Path.Combine(Directory.CreateTempSubdirectory("sandbox-test-").FullName, "sandbox");
    readonly FileDescriptor _place;

    public StateFolderTests()
    {
        Assert.Equal(0, StatePlace.TryMake(_path, out FileDescriptor? place));
        _place = place!;
    }

    public void Dispose()
    {
        _place.Dispose();
        Directory.Delete(Path.GetDirectoryName(_path)!, recursive: true);
    }

    StateFolder Make(SandboxId id)
    {
        Assert.Equal(0, StateFolder.TryMake(_place, id, out StateFolder? folder));
        return folder!;
    }

    [Fact]
    public void ASandboxIsSeenFromItsStartToItsEnd()
    {
        Assert.Empty(StateList.Read(_path));
        SandboxId id = SandboxId.Random();
        using (StateFolder folder = Make(id))
        {
            Assert.Equal((true, SandboxState.Starting), (StateList.Find(_path, id.ToString()).IsAlive, StateList.Find(_path, id.ToString()).State));
            Assert.Equal(0, folder.Write(Records.Simple(id)));
            Assert.Equal(SandboxState.Running, StateList.Find(_path, id.ToString()).State);
            Assert.Equal(0, folder.Write(Records.Simple(id) with { IsPaused = true }));
            Assert.Equal(SandboxState.Paused, StateList.Find(_path, id.ToString()).State);
            Assert.Equal(["record"], Directory.GetFileSystemEntries($"{_path}/{id}").Select(Path.GetFileName));
            Assert.Equal(0, folder.Remove());
        }

        Assert.Empty(Directory.GetFileSystemEntries(_path));
    }

    /// <summary>As between its clone and its execve.</summary>
    [Fact]
    public void AChildOfTheSupervisorDoesNotKeepItAlive()
    {
        SandboxId id = SandboxId.Random();
        int inherited;
        using (StateFolder folder = Make(id))
        {
            inherited = dup(int.Parse(folder.PathOf("").Split('/')[4]));
            Assert.True(inherited >= 0);
        }

        using FileDescriptor child = new(inherited);
        Assert.Equal(0, Leftovers.Remove(_place, id, keptToo: false));
    }

    [Fact]
    public void ASandboxWhoseLockIsGoneIsDeadWhateverItsRecordSays()
    {
        SandboxId id = SandboxId.Random();
        // This process's own number, which is alive.
        using (StateFolder folder = Make(id))
            Assert.Equal(0, folder.Write(Records.Simple(id) with { Supervisor = Environment.ProcessId }));
        Assert.Equal(SandboxState.Lost, Assert.Single(StateList.Read(_path)).State);
        Assert.Equal(0, StateFolder.TryOpen(_place, id, out StateFolder? left));
        using (left)
        {
            Assert.True(left!.TryTake());
            Assert.Equal(0, left.Remove());
        }
    }

    [Fact]
    public void ALivingSandboxCannotBeTaken()
    {
        SandboxId id = SandboxId.Random();
        using StateFolder mine = Make(id);
        Assert.Equal(0, StateFolder.TryOpen(_place, id, out StateFolder? other));
        using (other)
            Assert.False(other!.TryTake());
        Assert.Equal(-EEXIST, StateFolder.TryMake(_place, id, out _));
    }

    [Fact]
    public void WhatIsNoRecordIsNotRead()
    {
        SandboxId id = SandboxId.Random();
        using StateFolder folder = Make(id);
        string record = $"{_path}/{id}/record";
        File.WriteAllText(record, "");
        Assert.Null(folder.Read());
        File.WriteAllBytes(record, new byte[RecordText.MaximumBytes + 1]);
        Assert.Null(folder.Read());
        File.WriteAllBytes(record, RecordText.Write(Records.Simple(SandboxId.Random())));
        Assert.Null(folder.Read());
        File.Delete(record);
        File.CreateSymbolicLink(record, "/etc/passwd");
        Assert.Null(folder.Read());
        File.Delete(record);
        Directory.CreateDirectory(record);
        Assert.Null(folder.Read());
        Directory.Delete(record);
        using (FileDescriptor pipe = MakePipe(record))
            Assert.Null(folder.Read());
    }

    static unsafe FileDescriptor MakePipe(string path)
    {
        fixed (byte* name = System.Text.Encoding.UTF8.GetBytes(path + '\0'))
            Assert.Equal(0, mknodat(AT_FDCWD, name, S_IFIFO | 0x180, 0));
        return FileDescriptor.Open(path, O_RDWR);
    }

    [Fact]
    public void AFolderThatHoldsMoreIsNotRemoved()
    {
        SandboxId id = SandboxId.Random();
        using StateFolder folder = Make(id);
        File.WriteAllText($"{_path}/{id}/else", "");
        Assert.Equal(-ENOTEMPTY, folder.Remove());
        File.Delete($"{_path}/{id}/else");
        Assert.Equal(0, folder.Remove());
    }

    [Fact]
    public void APlaceThatOthersCanWriteToIsNotUsed()
    {
        File.SetUnixFileMode(_path, (UnixFileMode)0b111_111_111);
        Assert.Equal(-EPERM, StatePlace.TryMake(_path, out _));
        Assert.Throws<UsageException>(() => StateList.Read(_path));
        File.SetUnixFileMode(_path, (UnixFileMode)0b111_000_000);
        string link = _path + "-link";
        File.CreateSymbolicLink(link, _path);
        Assert.NotEqual(0, StatePlace.TryMake(link, out _));
    }

    [Fact]
    public void ThePlaceIsTheUsersOwn()
    {
        string own = Path.GetDirectoryName(_path)!;
        Assert.Equal("/run/sandbox", StatePlace.Choose(0, own, own));
        Assert.Equal(geteuid() == 0 ? "/tmp/sandbox-1" : $"{own}/sandbox", StatePlace.Choose(geteuid() == 0 ? 1 : geteuid(), own, null));
        foreach (string? bad in (string?[])[null, "", "relative", "/no/such/folder", "/etc/passwd", "/etc"])
            Assert.Equal("/tmp/sandbox-4711", StatePlace.Choose(4711, bad, bad));
        string home = $"{own}/home";
        Directory.CreateDirectory(home);
        if (geteuid() == 0)
            Give(home);
        Assert.Equal($"{home}/.local/state/sandbox/run", StatePlace.Choose(geteuid() == 0 ? 4711 : geteuid(), null, home));
    }

    /// <summary>A home of a user who has nothing in it yet.</summary>
    [Fact]
    public void FoldersAboveAPlaceAreMade()
    {
        string path = $"{_path}/.local/state/sandbox/run";
        Assert.Equal(0, StatePlace.TryMake(path, out FileDescriptor? place));
        place!.Dispose();
        Assert.Equal((UnixFileMode)0b111_000_000, File.GetUnixFileMode(path));
    }

    /// <summary>Names in /tmp are anybody's to take; the same line says so whatever he has made.</summary>
    [Theory]
    [InlineData("folder")]
    [InlineData("link")]
    [InlineData("file")]
    public void APlaceOfSomebodyElsesIsTold(string what)
    {
        Assert.SkipUnless(what != "folder" || geteuid() == 0, "only root makes folders of others");
        string path = $"{_path}/sandbox-4711";
        if (what == "folder")
            Give(path);
        else if (what == "link")
            File.CreateSymbolicLink(path, _path);
        else
            File.WriteAllText(path, "");
        string remedy = geteuid() == 0 ? "remove it" : "set XDG_RUNTIME_DIR";
        Assert.Contains(remedy, StatePlace.Problem(path, StatePlace.TryMake(path, out _)), StringComparison.Ordinal);
        OneLine.Refuses("somebody else has this name", () => StateList.Read(path));
    }

    static unsafe void Give(string path)
    {
        Directory.CreateDirectory(path);
        fixed (byte* name = System.Text.Encoding.UTF8.GetBytes(path + '\0'))
            Assert.Equal(0, fchownat(AT_FDCWD, name, 4711, 4711, AT_SYMLINK_NOFOLLOW));
    }

    [Fact]
    public void SandboxesAreFoundByIdNameAndBeginning()
    {
        using StateFolder one = Make(new SandboxId(0xaaaaaaaaaaaa)), two = Make(new SandboxId(0xaaaaaabbbbbb));
        one.Write(Records.Simple(one.Id) with { Name = "web" });
        two.Write(Records.Simple(two.Id) with { Name = "aaaaaaa" });
        Assert.Equal(one.Id, StateList.Find(_path, "web").Id);
        Assert.Equal(one.Id, StateList.Find(_path, "aaaaaaaaaaaa").Id);
        Assert.Equal(two.Id, StateList.Find(_path, "aaaaaab").Id);
        // A name before the beginning of an ID.
        Assert.Equal(two.Id, StateList.Find(_path, "aaaaaaa").Id);
        foreach (string bad in (string[])["", "we", "aaaa", "b", "../web", "AAAAAAAAAAAA", "web\n"])
            Assert.Throws<UsageException>(() => StateList.Find(_path, bad));
    }

    [Fact]
    public void ANameIsThatOfWhatRunsBeforeWhatHasEnded()
    {
        SandboxId old = new(1), older = new(2);
        using (StateFolder folder = Make(old))
            folder.Write(Records.Simple(old) with { Name = "web", StartedAt = 20 });
        using (StateFolder folder = Make(older))
            folder.Write(Records.Simple(older) with { Name = "web", StartedAt = 10 });
        Assert.Equal(old, StateList.Find(_path, "web").Id);
        using StateFolder running = Make(new SandboxId(3));
        running.Write(Records.Simple(running.Id) with { Name = "web", StartedAt = 5 });
        Assert.Equal(running.Id, StateList.Find(_path, "web").Id);
    }

    [Fact]
    public void FoldersAreMadeWhileOthersLookAndClean()
    {
        bool stop = false;
        var cleaner = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
                foreach (SandboxId id in StateList.Ids(_path))
                    if (StateFolder.TryOpen(_place, id, out StateFolder? seen) == 0)
                        using (seen)
                            if (seen!.TryTake())
                                seen.Remove();
        });
        cleaner.Start();
        for (int i = 0; i < 500; i++)
        {
            using StateFolder folder = Make(SandboxId.Random());
            // Whoever has the lock has the folder.
            Assert.Equal(0, folder.Write(Records.Simple(folder.Id)));
            Assert.NotNull(folder.Read());
        }

        Volatile.Write(ref stop, true);
        cleaner.Join();
    }
}
