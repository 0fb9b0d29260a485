using Sandbox.Host;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

public sealed class TemporaryFileSystemTests : IDisposable
{
    private readonly GuestTree _tree = new(1 << 20);

    [Fact]
    public void FilesKeepWhatIsWritten()
    {
        _tree.Write("/tmp/a", "hello");
        Assert.Equal("hello", _tree.Read("/tmp/a"));
        InodeStatus status = _tree.Status("/tmp/a");
        Assert.Equal(5, status.Size);
        Assert.Equal((uint)S_IFREG | 0x1a4, status.Mode);
        Assert.Equal(GuestTree.Uid, status.Uid);
        Assert.Equal(1u, status.Links);
        Assert.Equal(8, status.Blocks);
    }

    [Fact]
    public void TheRootIsStickyAndOpenToAll()
    {
        InodeStatus status = _tree.Status("/tmp");
        Assert.Equal((uint)S_IFDIR | 0x3ff, status.Mode);
        Assert.Equal(0u, status.Uid);
        _tree.Write("/tmp/mine", "x");
        Caller other = _tree.Caller with { Credentials = Credentials.Of(2000, 2000) };
        Assert.Equal(-EPERM, _tree.Unlink("/tmp/mine", other));
        Assert.Equal(-EPERM, _tree.Rename("/tmp/mine", "/tmp/yours", caller: other));
        Assert.Equal(0, _tree.Unlink("/tmp/mine"));
    }

    [Fact]
    public void OpenObeysItsFlags()
    {
        Assert.Equal(-ENOENT, _tree.Try("/tmp/a", O_RDWR));
        Assert.Equal(0, _tree.Try("/tmp/a", O_RDWR | O_CREAT | O_EXCL));
        Assert.Equal(-EEXIST, _tree.Try("/tmp/a", O_RDWR | O_CREAT | O_EXCL));
        Assert.Equal(-ENOTDIR, _tree.Try("/tmp/a", O_RDONLY | O_DIRECTORY));
        Assert.Equal(-EISDIR, _tree.Try("/tmp", O_WRONLY));
        Assert.Equal(-EISDIR, _tree.Try("/tmp", O_RDONLY | O_CREAT));
        Assert.Equal(-EISDIR, _tree.Try("/tmp/new/", O_RDWR | O_CREAT));
        Assert.Equal(-EISDIR, _tree.Try("/tmp/..", O_RDWR | O_CREAT));
        Assert.Equal(-EINVAL, _tree.Try("/tmp/d", O_RDWR | O_CREAT | O_DIRECTORY));
        Assert.Equal(0, _tree.MakeSymlink("a", "/tmp/link"));
        Assert.Equal(-ELOOP, _tree.Try("/tmp/link", O_RDONLY | O_NOFOLLOW));
        Assert.Equal(-ENOTDIR, _tree.Try("/tmp/link", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
        Assert.Equal(0, _tree.Try("/tmp/link", O_PATH | O_NOFOLLOW));
        Assert.Equal(-EEXIST, _tree.Try("/tmp/link", O_RDWR | O_CREAT | O_EXCL));
        Assert.Equal(0, _tree.MakeSymlink("made", "/tmp/dangling"));
        Assert.Equal(0, _tree.Try("/tmp/dangling", O_RDWR | O_CREAT));
        Assert.Equal(0, _tree.Resolve("/tmp/made"));
        Assert.Equal(-ENOTDIR, _tree.Try("/tmp/a/b", O_RDWR | O_CREAT));
        Assert.Equal(-EROFS, _tree.Try("/new", O_RDWR | O_CREAT, _tree.Superuser));
    }

    [Fact]
    public void AFileMadeReadOnlyCanBeWrittenByItsMaker()
    {
        OpenFile file = _tree.MustOpen("/tmp/a", O_CREAT | O_RDWR, 0);
        Assert.Equal(1, file.Write("x"u8));
        file.Release();
        Assert.Equal(-EACCES, _tree.Try("/tmp/a", O_RDONLY));
        Assert.Equal(0, _tree.Try("/tmp/a", O_RDONLY, _tree.Superuser));
    }

    [Fact]
    public void AnUnlinkedFileLivesWhileItIsOpen()
    {
        OpenFile file = _tree.MustOpen("/tmp/a", O_CREAT | O_RDWR);
        Assert.Equal(3, file.Write("abc"u8));
        long used = Used;
        Assert.Equal(0, _tree.Unlink("/tmp/a"));
        Assert.Equal(-ENOENT, _tree.Resolve("/tmp/a"));
        Assert.Equal(0, file.GetStatus(out stat status));
        Assert.Equal(0ul, status.st_nlink);
        Assert.Equal("/tmp/a (deleted)", file.DisplayName);
        Assert.Equal(0, file.Seek(0, SEEK_SET));
        Assert.Equal("abc", GuestTree.ReadAll(file));
        file.Release();
        Assert.True(Used < used);
    }

    [Fact]
    public void LinksCountAndShareContent()
    {
        _tree.Write("/tmp/a", "shared");
        Assert.Equal(0, _tree.Link("/tmp/a", "/tmp/b"));
        Assert.Equal(2u, _tree.Status("/tmp/b").Links);
        Assert.Equal(_tree.Status("/tmp/a").Number, _tree.Status("/tmp/b").Number);
        Assert.Equal(-EEXIST, _tree.Link("/tmp/a", "/tmp/b"));
        Assert.Equal(-EPERM, _tree.Link("/tmp", "/tmp/c"));
        Assert.Equal(0, _tree.Unlink("/tmp/a"));
        Assert.Equal("shared", _tree.Read("/tmp/b"));
        Assert.Equal(1u, _tree.Status("/tmp/b").Links);
    }

    [Fact]
    public void DirectoriesCountTheirChildren()
    {
        Assert.Equal(0, _tree.MakeDirectory("/tmp/d"));
        Assert.Equal(2u, _tree.Status("/tmp/d").Links);
        Assert.Equal(0, _tree.MakeDirectory("/tmp/d/e/"));
        Assert.Equal(3u, _tree.Status("/tmp/d").Links);
        Assert.Equal(-EEXIST, _tree.MakeDirectory("/tmp/d/e"));
        Assert.Equal(-EEXIST, _tree.MakeDirectory("/tmp/d/."));
        Assert.Equal(-EEXIST, _tree.MakeDirectory("/tmp/.."));
        Assert.Equal(-ENOTEMPTY, _tree.RemoveDirectory("/tmp/d"));
        Assert.Equal(-EINVAL, _tree.RemoveDirectory("/tmp/d/."));
        Assert.Equal(-ENOTEMPTY, _tree.RemoveDirectory("/tmp/d/e/.."));
        Assert.Equal(-EISDIR, _tree.Unlink("/tmp/d/e"));
        Assert.Equal(0, _tree.RemoveDirectory("/tmp/d/e"));
        Assert.Equal(2u, _tree.Status("/tmp/d").Links);
        Assert.Equal(0, _tree.RemoveDirectory("/tmp/d/"));
        _tree.Write("/tmp/file", "");
        Assert.Equal(-ENOTDIR, _tree.RemoveDirectory("/tmp/file"));
        Assert.Equal(-ENOTDIR, _tree.Unlink("/tmp/file/"));
    }

    [Fact]
    public void NothingIsMadeInARemovedDirectory()
    {
        Assert.Equal(0, _tree.MakeDirectory("/tmp/d"));
        Dentry gone = _tree.Find("/tmp/d");
        DirectoryFile open = (DirectoryFile)_tree.MustOpen("/tmp/d", O_RDONLY);
        Assert.Equal(0, _tree.RemoveDirectory("/tmp/d"));
        Caller inside = _tree.Caller with { WorkingDirectory = gone };
        Assert.Equal(-ENOENT, _tree.Try("x", O_CREAT | O_RDWR, inside));
        Assert.Equal(-ENOENT, _tree.MakeDirectory("x", caller: inside));
        Assert.Equal(-ENOENT, open.ReadEntries(new byte[512]));
        Assert.Equal(0, _tree.Resolve("..", out Dentry? parent, caller: inside));
        Assert.Equal("/tmp", parent!.ToString());
        open.Release();
    }

    [Fact]
    public void RenameFollowsItsManyRules()
    {
        _tree.Write("/tmp/a", "a");
        _tree.Write("/tmp/b", "b");
        Assert.Equal(0, _tree.MakeDirectory("/tmp/d"));
        Assert.Equal(0, _tree.MakeDirectory("/tmp/d/e"));
        Assert.Equal(-EEXIST, _tree.Rename("/tmp/a", "/tmp/b", RENAME_NOREPLACE));
        Assert.Equal(-EINVAL, _tree.Rename("/tmp/d", "/tmp/d/e/f"));
        Assert.Equal(-ENOTEMPTY, _tree.Rename("/tmp/d/e", "/tmp/d"));
        Assert.Equal(-ENOTDIR, _tree.Rename("/tmp/d", "/tmp/b"));
        Assert.Equal(-EISDIR, _tree.Rename("/tmp/a", "/tmp/d"));
        Assert.Equal(-ENOTDIR, _tree.Rename("/tmp/a", "/tmp/c/"));
        Assert.Equal(-EBUSY, _tree.Rename("/tmp/d/.", "/tmp/x"));
        Assert.Equal(-EBUSY, _tree.Rename("/tmp/d", "/tmp/."));
        Assert.Equal(-EXDEV, _tree.Rename("/tmp/a", "/dev/shm/a"));
        Assert.Equal(-EROFS, _tree.Rename("/tmp", "/tmp2"));
        Assert.Equal(-ENOENT, _tree.Rename("/tmp/a", "/tmp/none", RENAME_EXCHANGE));
        Assert.Equal(-EINVAL, _tree.Rename("/tmp/a", "/tmp/b", RENAME_EXCHANGE | RENAME_NOREPLACE));

        Assert.Equal(0, _tree.Rename("/tmp/a", "/tmp/b"));
        Assert.Equal("a", _tree.Read("/tmp/b"));
        Assert.Equal(-ENOENT, _tree.Resolve("/tmp/a"));
        Assert.Equal(0, _tree.Rename("/tmp/b", "/tmp/d", RENAME_EXCHANGE));
        Assert.True(_tree.Find("/tmp/b").Inode.IsDirectory);
        Assert.Equal("a", _tree.Read("/tmp/d"));
        Assert.Equal(0, _tree.MakeDirectory("/tmp/empty"));
        Assert.Equal(0, _tree.Rename("/tmp/b/e", "/tmp/empty"));
        Assert.Equal(2u, _tree.Status("/tmp/b").Links);
        Assert.Equal(["."], _tree.List("/tmp/b").Where(static name => name == "."));
    }

    [Fact]
    public void OpenFilesAndDirectoriesMoveWithTheirNames()
    {
        Assert.Equal(0, _tree.MakeDirectory("/tmp/d"));
        OpenFile file = _tree.MustOpen("/tmp/d/f", O_CREAT | O_RDWR);
        Assert.Equal(0, _tree.Rename("/tmp/d", "/tmp/moved"));
        Assert.Equal("/tmp/moved/f", file.DisplayName);
        Assert.Equal(0, _tree.Rename("/tmp/moved/f", "/tmp/g"));
        Assert.Equal("/tmp/g", file.DisplayName);
        file.Release();
    }

    [Fact]
    public void ReadingADirectoryGoesOnAtTheRightPlace()
    {
        Assert.Equal(0, _tree.MakeDirectory("/tmp/d"));
        for (int i = 0; i < 100; i++)
            _tree.Write($"/tmp/d/{i:d3}", "");
        DirectoryFile directory = (DirectoryFile)_tree.MustOpen("/tmp/d", O_RDONLY);
        byte[] buffer = new byte[200];
        Assert.Equal(-EINVAL, directory.ReadEntries(new byte[8]));
        long count = directory.ReadEntries(buffer);
        List<string> seen = GuestTree.Names(buffer.AsSpan(0, (int)count));
        // Remove what was seen and some of what was not; add more: each remaining old name still comes exactly once.
        foreach (string name in seen.Where(static n => n[0] != '.'))
            Assert.Equal(0, _tree.Unlink("/tmp/d/" + name));
        for (int i = 50; i < 100; i++)
            Assert.Equal(0, _tree.Unlink($"/tmp/d/{i:d3}"));
        for (int i = 200; i < 210; i++)
            _tree.Write($"/tmp/d/{i}", "");
        seen.AddRange(GuestTree.ListRest(directory, 200));
        Assert.Equal(seen.Count, seen.Distinct().Count());
        for (int i = 0; i < 50; i++)
            Assert.Contains($"{i:d3}", seen);
        Assert.DoesNotContain("050", seen);
        Assert.Contains("209", seen);
        Assert.Equal(0, directory.Seek(0, SEEK_SET));
        Assert.Equal([".", ".."], GuestTree.ListRest(directory).Take(2));
        directory.Release();
    }

    [Fact]
    public void SpaceAndInodesHaveOneLimit()
    {
        OpenFile file = _tree.MustOpen("/tmp/big", O_CREAT | O_RDWR);
        byte[] block = new byte[65536];
        long written = 0, count;
        while ((count = file.Write(block)) > 0)
            written += count;
        Assert.Equal(-ENOSPC, count);
        Assert.InRange(written, 900 << 10, 1 << 20);
        Assert.Equal(-ENOSPC, FillWithDirectories());
        file.Release();
        Assert.Equal(0, _tree.Unlink("/tmp/big"));
        Assert.Equal(0, _tree.MakeDirectory("/tmp/after"));
        Assert.Equal(-ENOSPC, FillWithDirectories());
        Assert.InRange(_made, 100, 1024);
    }

    private int _made;

    private long FillWithDirectories()
    {
        long result;
        while ((result = _tree.MakeDirectory($"/tmp/fill{_made}")) == 0 && _made < 10000)
            _made++;
        return result;
    }

    [Fact]
    public void WhatIsRemovedIsGivenBack()
    {
        long before = Used;
        for (int round = 0; round < 50; round++)
        {
            _tree.Write("/tmp/a", new string('x', 100_000));
            Assert.Equal(0, _tree.Link("/tmp/a", "/tmp/b"));
            Assert.Equal(0, _tree.Unlink("/tmp/a"));
            Assert.Equal(0, _tree.MakeDirectory("/tmp/d"));
            _tree.Write("/tmp/d/c", "c");
            Assert.Equal(0, _tree.Rename("/tmp/b", "/tmp/d/c"));
            Assert.Equal(0, _tree.Unlink("/tmp/d/c"));
            Assert.Equal(0, _tree.RemoveDirectory("/tmp/d"));
            Assert.Equal(0, _tree.Open("/tmp", O_TMPFILE | O_RDWR, out OpenFile? unnamed));
            Assert.Equal(5, unnamed!.Write("12345"u8));
            Assert.Equal(0, VirtualFileSystem.Link(
                _tree.Caller, ((InodeFile)unnamed).Dentry, _tree.Tree.Root, "/tmp/named"u8));
            unnamed.Release();
            Assert.Equal("12345", _tree.Read("/tmp/named"));
            Assert.Equal(0, _tree.Unlink("/tmp/named"));
        }
        Assert.Equal(before, Used);
    }

    [Fact]
    public void LongLinksCostTheirText()
    {
        long before = Used;
        for (int i = 0; i < 20; i++)
            Assert.Equal(0, _tree.MakeSymlink(new string('x', 4000), $"/tmp/{i}"));
        Assert.True(Used - before >= 20);
        Assert.Equal(-EEXIST, _tree.MakeSymlink(new string('x', 4000), "/tmp/0"));
        for (int i = 0; i < 20; i++)
            Assert.Equal(0, _tree.Unlink($"/tmp/{i}"));
        Assert.Equal(before, Used);
    }

    [Fact]
    public void AnExclusiveUnnamedFileStaysUnnamed()
    {
        Assert.Equal(0, _tree.Open("/tmp", O_TMPFILE | O_RDWR | O_EXCL, out OpenFile? file));
        Assert.Equal(-ENOENT, VirtualFileSystem.Link(
            _tree.Caller, ((InodeFile)file!).Dentry, _tree.Tree.Root, "/tmp/named"u8));
        Assert.Equal(-EINVAL, _tree.Try("/tmp", O_TMPFILE | O_RDONLY));
        file!.Release();
    }

    [Fact]
    public void PositionsAppendingAndHolesWork()
    {
        OpenFile file = _tree.MustOpen("/tmp/a", O_CREAT | O_RDWR);
        Assert.Equal(100_000, file.Seek(100_000, SEEK_SET));
        Assert.Equal(3, file.Write("end"u8));
        Assert.Equal(100_003, file.Seek(0, SEEK_CUR));
        Assert.Equal(100_003, file.Seek(0, SEEK_END));
        Assert.Equal(-EINVAL, file.Seek(-1, SEEK_SET));
        byte[] hole = new byte[10];
        hole.AsSpan().Fill(1);
        Assert.Equal(10, file.ReadAt(hole, 50));
        Assert.Equal(new byte[10], hole);
        Assert.Equal(98304, file.Seek(0, SEEK_DATA));
        Assert.Equal(0, file.Seek(0, SEEK_HOLE));
        Assert.Equal(-ENXIO, file.Seek(200_000, SEEK_DATA));
        Assert.Equal(0, file.Truncate(2));
        Assert.Equal(0, file.ReadAt(hole, 2));
        OpenFile appender = _tree.MustOpen("/tmp/a", O_WRONLY | O_APPEND);
        Assert.Equal(1, appender.Write("x"u8));
        Assert.Equal(0, file.Seek(0, SEEK_SET));
        Assert.Equal("\0\0x", GuestTree.ReadAll(file));
        Assert.Equal(0, _tree.Try("/tmp/a", O_WRONLY | O_TRUNC));
        Assert.Equal(0, _tree.Status("/tmp/a").Size);
        file.Release();
        appender.Release();
    }

    [Fact]
    public void TimesMove()
    {
        _tree.Write("/tmp/a", "a");
        Dentry a = _tree.Find("/tmp/a");
        timespec old = new() { tv_sec = 1_000_000_000, tv_nsec = 5 };
        Assert.Equal(0, VirtualFileSystem.ChangeTimes(_tree.Caller, a, null, old, old, toNow: false));
        InodeStatus status = _tree.Status("/tmp/a");
        Assert.Equal(1_000_000_000, status.ModifyTime.tv_sec);
        Assert.Equal(5, status.AccessTime.tv_nsec);
        Assert.True(status.ChangeTime.tv_sec > 1_500_000_000);
        _tree.Read("/tmp/a");
        Assert.True(_tree.Status("/tmp/a").AccessTime.tv_sec > 1_500_000_000);
        Caller other = _tree.Caller with { Credentials = Credentials.Of(2000, 2000) };
        Assert.Equal(-EPERM, VirtualFileSystem.ChangeTimes(other, a, null, old, old, toNow: false));
        Assert.Equal(-EACCES, VirtualFileSystem.ChangeTimes(other, a, null, old, old, toNow: true));
    }

    [Fact]
    public void OwnersAndModesAreTheOwnersToChange()
    {
        _tree.Write("/tmp/a", "a");
        Dentry a = _tree.Find("/tmp/a");
        Caller other = _tree.Caller with { Credentials = Credentials.Of(2000, 2000) };
        Assert.Equal(-EPERM, VirtualFileSystem.ChangeMode(other, a, null, 0x1ff));
        Assert.Equal(0, VirtualFileSystem.ChangeMode(_tree.Caller, a, null, 0x9ed));
        Assert.Equal((uint)S_IFREG | 0x9ed, _tree.Status("/tmp/a").Mode);
        Assert.Equal(-EPERM, VirtualFileSystem.ChangeOwner(_tree.Caller, a, null, 0, uint.MaxValue));
        Assert.Equal(0, VirtualFileSystem.ChangeOwner(_tree.Superuser, a, null, 7, 8));
        InodeStatus status = _tree.Status("/tmp/a");
        Assert.Equal((7u, 8u), (status.Uid, status.Gid));
        // Set-id bits do not survive a change of owner.
        Assert.Equal((uint)S_IFREG | 0x1ed, status.Mode);
    }

    [Fact]
    public void SealsHold()
    {
        Assert.Equal(0, _tree.Tree.CreateMemoryFile(_tree.Caller, "seals"u8, MFD_ALLOW_SEALING, out OpenFile? file));
        Assert.Equal("/memfd:seals (deleted)", file!.DisplayName);
        Assert.Equal(4, file.Write("1234"u8));
        Assert.Equal(0, file.Control(null!, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
        Assert.Equal(-EPERM, file.Truncate(2));
        Assert.Equal(-EPERM, file.Truncate(8));
        Assert.Equal(-EPERM, file.WriteAt("56"u8, 4));
        Assert.Equal(1, file.WriteAt("56"u8, 3));
        Assert.Equal(0, file.Control(null!, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
        Assert.Equal(-EPERM, file.WriteAt("x"u8, 0));
        Assert.Equal(-EPERM, file.Control(null!, F_ADD_SEALS, F_SEAL_WRITE));
        Assert.Equal(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL, file.Control(null!, F_GET_SEALS, 0));
        file.Release();
        Assert.Equal(0, _tree.Tree.CreateMemoryFile(_tree.Caller, "plain"u8, 0, out file));
        Assert.Equal(F_SEAL_SEAL, file!.Control(null!, F_GET_SEALS, 0));
        file.Release();
    }

    [Fact]
    public void NamesInManyThreadsStayConsistent()
    {
        const int Rounds = 2000;
        Assert.Equal(0, _tree.MakeDirectory("/tmp/x"));
        Assert.Equal(0, _tree.MakeDirectory("/tmp/y"));
        long before = Used;
        Parallel.For(0, 4, worker =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                string from = $"/tmp/{(i % 2 == 0 ? 'x' : 'y')}/{worker % 2}", to = $"/tmp/{(i % 2 == 0 ? 'y' : 'x')}/{worker % 2}";
                _tree.Try(from, O_CREAT | O_RDWR);
                _tree.Rename(from, to);
                _tree.Link(to, from);
                _tree.Unlink(from);
                _tree.Unlink(to);
            }
        });
        foreach (string directory in new[] { "/tmp/x", "/tmp/y" })
            foreach (string name in _tree.List(directory).Where(static n => n[0] != '.'))
                Assert.Equal(0, _tree.Unlink($"{directory}/{name}"));
        Assert.Equal(before, Used);
    }

    public void Dispose() => _tree.Dispose();

    private long Used
    {
        get
        {
            Assert.Equal(0, _tree.Find("/tmp").Inode.FileSystem.GetStatistics(out statfs statistics));
            return statistics.f_blocks - statistics.f_bfree;
        }
    }
}
