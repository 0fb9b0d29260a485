using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

public sealed class HostTreeTests : IDisposable
{
    private readonly GuestTree _tree;

    public HostTreeTests()
    {
        _tree = new(
            4 << 20,
            GuestTree.Grant("system", "/usr", writable: false),
            _ => GuestTree.Symlink("/lib", "usr/lib"),
            GuestTree.Grant("work", "/work", writable: true),
            GuestTree.Grant("read", "/read", writable: false),
            GuestTree.Grant("inner", "/work/sub/inner", writable: false));
        Directory.CreateDirectory(Host("system/lib/deep"));
        File.WriteAllText(Host("system/lib/libc.so"), "libc");
        File.CreateSymbolicLink(Host("system/lib/libc.so.6"), "libc.so");
        File.CreateSymbolicLink(Host("system/lib/absolute"), "/usr/lib/libc.so");
        File.WriteAllText(Host("read/file"), "read-only");
        File.WriteAllText(Host("inner/file"), "inner");
        File.WriteAllText(Host("outside"), "canary");
    }

    private string Host(string path) => _tree.HostPath(path.Split('/'));

    private unsafe uint HostMode(string path)
    {
        stat status;
        fixed (byte* text = GuestTree.Bytes(Host(path) + "\0"))
            Assert.Equal(0, stat(text, &status));
        return status.st_mode & 0xfff;
    }

    [Fact]
    public void LinksMeanPlacesInTheGuest()
    {
        Assert.Equal("libc", _tree.Read("/lib/libc.so.6"));
        Assert.Equal("libc", _tree.Read("/usr/lib/absolute"));
        File.CreateSymbolicLink(Host("read/passwd"), "/etc/passwd");
        File.CreateSymbolicLink(Host("read/up"), "../outside");
        File.CreateSymbolicLink(Host("read/host"), Host("outside"));
        File.CreateSymbolicLink(Host("read/proc"), "/proc/self/root");
        Assert.Equal(-ENOENT, _tree.Resolve("/read/passwd"));
        Assert.Equal(-ENOENT, _tree.Resolve("/read/up"));
        Assert.Equal(-ENOENT, _tree.Resolve("/read/host"));
        Assert.Equal(-ENOENT, _tree.Resolve("/read/proc"));
        Assert.Equal(0, _tree.Resolve("/read/..", out Dentry? root));
        Assert.Same(_tree.Tree.Root, root);
    }

    [Theory]
    // In a user's directory: the VMM's user and the directory's owner are the guest's user; root is root.
    [InlineData(500u, 500u, 700u, 7u, 7u)]
    [InlineData(700u, 500u, 700u, 7u, 7u)]
    [InlineData(0u, 500u, 700u, 0u, 0u)]
    [InlineData(0u, 0u, 700u, 7u, 7u)]
    [InlineData(0u, 500u, 0u, 0u, 0u)]
    [InlineData(900u, 500u, 700u, 65534u, 65534u)]
    public void OwnersAreTranslated(uint file, uint vmm, uint grantor, uint uid, uint gid)
    {
        HostIdentities identities = new(vmm, [vmm], 7, 7);
        Assert.Equal(new Owner(uid, gid), identities.ToGuest(file, file, new Owner(grantor, grantor)));
    }

    [Theory]
    [InlineData(0u, 0u, 0u)]
    [InlineData(0u, 500u, 0u)]
    [InlineData(500u, 500u, 7u)]
    [InlineData(900u, 0u, 65534u)]
    public void RootOwnsSystemFilesWhoeverRunsTheVmm(uint file, uint vmm, uint uid) =>
        Assert.Equal(new Owner(uid, uid), new HostIdentities(vmm, [vmm], 7, 7).ToGuest(file, file, null));

    [Fact]
    public void AReadOnlyGrantRefusesEveryChange()
    {
        Assert.Equal("read-only", _tree.Read("/read/file"));
        foreach (int flags in new[] { O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND })
            Assert.Equal(-EROFS, _tree.Try("/read/file", flags, _tree.Superuser));
        Assert.Equal(-EROFS, _tree.Try("/read/new", O_CREAT | O_RDWR, _tree.Superuser));
        Assert.Equal(-EROFS, _tree.Try("/read", O_TMPFILE | O_RDWR, _tree.Superuser));
        Assert.Equal(-EROFS, _tree.MakeDirectory("/read/d", caller: _tree.Superuser));
        Assert.Equal(-EROFS, _tree.MakeSymlink("x", "/read/l"));
        Assert.Equal(-EROFS, _tree.Unlink("/read/file", _tree.Superuser));
        Assert.Equal(-EROFS, _tree.RemoveDirectory("/read/none"));
        Assert.Equal(-EROFS, _tree.Rename("/read/file", "/read/moved", caller: _tree.Superuser));
        Assert.Equal(-EROFS, _tree.Link("/read/file", "/read/again"));
        Dentry file = _tree.Find("/read/file");
        Assert.Equal(-EROFS, VirtualFileSystem.ChangeMode(_tree.Superuser, file, null, 0x1ff));
        Assert.Equal(-EROFS, VirtualFileSystem.ChangeOwner(_tree.Superuser, file, null, 0, 0));
        Assert.Equal(-EROFS, VirtualFileSystem.ChangeTimes(_tree.Superuser, file, null, default(timespec), null, false));
        Assert.Equal(-EROFS, VirtualFileSystem.Truncate(_tree.Superuser, file, 0));
        Assert.Equal(-EROFS, VirtualFileSystem.CheckAccess(_tree.Superuser, file, W_OK));
        OpenFile open = _tree.MustOpen("/read/file", O_RDONLY);
        Assert.Equal(-EROFS, VirtualFileSystem.ChangeTimes(
            _tree.Superuser, file, (InodeFile)open, default(timespec), null, false));
        Assert.Equal(-EROFS, ((InodeFile)open).SetStatus(new StatusChange { Permissions = 0x1ff }));
        Assert.True(open.Write("x"u8) < 0);
        Assert.True(open.Truncate(0) < 0);
        open.Release();
        Assert.Equal("read-only", File.ReadAllText(Host("read/file")));
    }

    [Fact]
    public void NothingIsLinkedOrMovedBetweenGrants()
    {
        _tree.Write("/work/mine", "x");
        Assert.Equal(-EXDEV, _tree.Link("/read/file", "/work/stolen"));
        Assert.Equal(-EXDEV, _tree.Link("/work/mine", "/read/given"));
        Assert.Equal(-EXDEV, _tree.Rename("/read/file", "/work/stolen"));
        Assert.Equal(-EXDEV, _tree.Rename("/work/mine", "/tmp/mine"));
        Assert.Equal(-EXDEV, _tree.Rename("/work/mine", "/work/sub/inner/mine"));
    }

    [Fact]
    public void WhatTheGuestWritesReachesTheHost()
    {
        _tree.Write("/work/a", "hello");
        Assert.Equal("hello", File.ReadAllText(Host("work/a")));
        OpenFile file = _tree.MustOpen("/work/a", O_RDWR | O_APPEND);
        Assert.Equal(6, file.Write(" world"u8));
        Assert.Equal(11, file.Seek(0, SEEK_CUR));
        Assert.Equal(0, file.Seek(0, SEEK_SET));
        Assert.Equal("hello world", GuestTree.ReadAll(file));
        Assert.Equal(0, file.Truncate(5));
        file.Release();
        Assert.Equal(0, _tree.MakeDirectory("/work/d"));
        Assert.Equal(0, _tree.Rename("/work/a", "/work/d/b"));
        Assert.Equal("hello", File.ReadAllText(Host("work/d/b")));
        Assert.Equal(0, _tree.Link("/work/d/b", "/work/c"));
        Assert.Equal(2u, _tree.Status("/work/c").Links);
        Assert.Equal(0, _tree.MakeSymlink("d/b", "/work/l"));
        Assert.Equal("hello", _tree.Read("/work/l"));
        Assert.Equal(0, _tree.Unlink("/work/l"));
        Assert.Equal(-ENOTEMPTY, _tree.RemoveDirectory("/work/d"));
        Assert.Equal(0, _tree.Unlink("/work/d/b"));
        OpenFile open = _tree.MustOpen("/work/d", O_RDONLY | O_DIRECTORY);
        Assert.Equal(0, _tree.RemoveDirectory("/work/d"));
        // Who has it open still sees it, and it is empty.
        Assert.Equal(0, open.GetStatus(out stat status));
        Assert.Equal((uint)S_IFDIR, status.st_mode & S_IFMT);
        Assert.Equal(-ENOENT, ((DirectoryFile)open).ReadEntries(new byte[4096]));
        open.Release();
        Assert.False(Directory.Exists(Host("work/d")));
    }

    [Fact]
    public void SetIdBitsNeverReachTheHost()
    {
        OpenFile file = _tree.MustOpen("/work/a", O_CREAT | O_RDWR, 0xfff);
        Dentry a = _tree.Find("/work/a");
        Assert.Equal(0, VirtualFileSystem.ChangeMode(_tree.Caller, a, null, 0xfed));
        Assert.Equal(0, VirtualFileSystem.ChangeMode(_tree.Caller, a, (InodeFile)file, 0xded));
        Assert.Equal(0u, HostMode("work/a") & (S_ISUID | S_ISGID));
        file.Release();
        Assert.Equal(0, _tree.MakeDirectory("/work/d", 0xfff));
        Assert.Equal(0u, HostMode("work/d") & S_ISUID);
    }

    [Fact]
    public void TheGuestsMaskAndModeAreTheHostsMode()
    {
        _tree.Write("/work/a", "");
        Assert.Equal(0x1a4u, HostMode("work/a"));
        Dentry a = _tree.Find("/work/a");
        Assert.Equal(0, VirtualFileSystem.ChangeMode(_tree.Caller, a, null, 0x180));
        Assert.Equal(0x180u, HostMode("work/a"));
        timespec time = new() { tv_sec = 1_000_000_000 };
        Assert.Equal(0, VirtualFileSystem.ChangeTimes(_tree.Caller, a, null, time, time, false));
        Assert.Equal(1_000_000_000, new DateTimeOffset(File.GetLastWriteTimeUtc(Host("work/a"))).ToUnixTimeSeconds());
        Assert.Equal(GuestTree.Uid, _tree.Status("/work/a").Uid);
        // Nobody can be given a file of the host.
        Assert.Equal(-EPERM, VirtualFileSystem.ChangeOwner(_tree.Superuser, a, null, 4242, 4242));
        Assert.Equal(0, VirtualFileSystem.ChangeOwner(_tree.Caller, a, null, GuestTree.Uid, GuestTree.Gid));
    }

    [Fact]
    public unsafe void SpecialFilesAreSeenButNotOpened()
    {
        fixed (byte* path = GuestTree.Bytes(Host("work/fifo") + "\0"))
            Assert.Equal(0, mknodat(AT_FDCWD, path, S_IFIFO | 0x1b6, 0));
        Assert.Equal((uint)S_IFIFO, _tree.Status("/work/fifo").Mode & S_IFMT);
        Assert.Equal(-EACCES, _tree.Try("/work/fifo", O_RDONLY));
        Assert.Equal(-EACCES, _tree.Try("/work/fifo", O_RDWR | O_NONBLOCK));
        Assert.Equal(0, _tree.Try("/work/fifo", O_PATH));
        Assert.Equal(-EPERM, VirtualFileSystem.MakeNode(
            _tree.Caller, _tree.Tree.Root, "/work/another"u8, S_IFIFO | 0x1b6, out _));
    }

    [Fact]
    public void TheHostsChangesAreSeenInAUsersDirectory()
    {
        Assert.Equal(-ENOENT, _tree.Resolve("/read/later"));
        File.WriteAllText(Host("read/later"), "1");
        Assert.Equal("1", _tree.Read("/read/later"));
        File.Delete(Host("read/later"));
        Directory.CreateDirectory(Host("read/later"));
        Assert.True(_tree.Find("/read/later").Inode.IsDirectory);
        Directory.Delete(Host("read/later"));
        Assert.Equal(-ENOENT, _tree.Resolve("/read/later"));
    }

    [Fact]
    public void SystemDirectoriesAreAskedOnce()
    {
        HostTreeCache cache = ((HostFileSystem)_tree.Find("/usr").Inode.FileSystem).Cache;
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(-ENOENT, _tree.Resolve("/usr/lib/tls/haswell/libz.so"));
            Assert.Equal(-ENOENT, _tree.Resolve("/usr/lib/libz.so"));
            Assert.Equal("libc", _tree.Read("/lib/libc.so.6"));
        }
        long before = cache.HostLookups;
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(-ENOENT, _tree.Resolve("/usr/lib/libz.so"));
            Assert.Equal(4, _tree.Status("/usr/lib/libc.so").Size);
            Assert.Equal(0, _tree.Resolve("/lib/libc.so.6"));
        }
        Assert.Equal(before, cache.HostLookups);
    }

    [Fact]
    public void TheCacheIsBounded()
    {
        HostTreeCache cache = ((HostFileSystem)_tree.Find("/usr").Inode.FileSystem).Cache;
        for (int i = 0; i < cache.MaximumNames + 500; i++)
            Assert.Equal(-ENOENT, _tree.Resolve($"/usr/lib/{i}"));
        Assert.Equal(cache.MaximumNames, cache.NameCount);
        Assert.Equal("libc", _tree.Read("/lib/libc.so.6"));
    }

    [Fact]
    public void DirectoriesBeyondTheBoundAreReopenedByPath()
    {
        HostTreeCache cache = ((HostFileSystem)_tree.Find("/work").Inode.FileSystem).Cache;
        int count = cache.MaximumDirectories + 50;
        Dentry[] held = new Dentry[count];
        for (int i = 0; i < count; i++)
        {
            Directory.CreateDirectory(Host($"work/{i}/x"));
            File.WriteAllText(Host($"work/{i}/x/f"), $"{i}");
            held[i] = _tree.Find($"/work/{i}/x");
            Assert.Equal($"{i}", _tree.Read($"/work/{i}/x/f"));
        }
        Assert.InRange(cache.DirectoryCount, 1, cache.MaximumDirectories);
        for (int i = 0; i < count; i++)
        {
            Caller inside = _tree.Caller with { WorkingDirectory = held[i] };
            Assert.Equal(0, _tree.Open("f", O_RDONLY, out OpenFile? file, caller: inside));
            Assert.Equal($"{i}", GuestTree.ReadAll(file!));
            file!.Release();
        }
    }

    [Fact]
    public void AVeryDeepDirectoryIsReopened()
    {
        HostTreeCache cache = ((HostFileSystem)_tree.Find("/work").Inode.FileSystem).Cache;
        Caller inside = _tree.Caller;
        string name = new('d', 200);
        // Deeper than PATH_MAX: only step by step.
        for (int i = 0; i < 40; i++)
        {
            string path = i == 0 ? "/work/" + name : name;
            Assert.Equal(0, VirtualFileSystem.MakeDirectory(inside, inside.WorkingDirectory, GuestTree.Bytes(path), 0x1ff));
            Assert.Equal(0, _tree.Resolve(path, out Dentry? next, caller: inside));
            inside = inside with { WorkingDirectory = next! };
        }
        for (Dentry? d = inside.WorkingDirectory; d?.Inode is HostInode inode; d = d.Parent)
            cache.Drop(inode);
        Assert.Equal(0, _tree.Open("file", O_CREAT | O_RDWR, out OpenFile? file, caller: inside));
        file!.Release();
        Assert.Equal(0, _tree.Resolve("file", caller: inside));
        Assert.Equal(0, _tree.Resolve(string.Concat(Enumerable.Repeat("../", 40)) + name, caller: inside));
    }

    [Fact]
    public void TheHostsDiskIsShownOnlyWhereItCanBeWritten()
    {
        Assert.Equal(0, _tree.Find("/read").Inode.FileSystem.GetStatistics(out statfs read));
        Assert.Equal((0, 0, 0), (read.f_blocks, read.f_bfree, read.f_ffree));
        Assert.Equal(0, _tree.Find("/work").Inode.FileSystem.GetStatistics(out statfs work));
        Assert.True(work.f_blocks > 0);
    }

    [Fact]
    public void DepthIsBounded()
    {
        Caller inside = _tree.Caller with { WorkingDirectory = _tree.Find("/work") };
        int depth = 0;
        long result = 0;
        while (depth < 3000 && (result = _tree.MakeDirectory("d", caller: inside)) == 0
            && (result = _tree.Resolve("d", out Dentry? next, caller: inside)) == 0)
        {
            inside = inside with { WorkingDirectory = next! };
            depth++;
        }
        Assert.Equal(-ENAMETOOLONG, result);
        Assert.InRange(depth, 1000, PATH_MAX / 2);
    }

    [Fact]
    public void ADirectoryThatIsStillHeldIsFoundAgainThoughItsNameWasForgotten()
    {
        for (int i = 0; i < 40; i++)
            Directory.CreateDirectory(Host($"work/a/b/{i}"));
        using FileDescriptor root = FileDescriptor.Open(Host("work"), O_PATH | O_DIRECTORY);
        HostTreeCache cache = new(maximumNames: 4);
        HostFileSystem fileSystem = new(
            makedev(0, 99), root, false, false, HostIdentities.OfThisProcess(1, 1), cache, static () => makedev(0, 100));
        Mount mount = new(1, fileSystem, false, "host", new FileWatches());
        mount.Root = new Dentry(null, [], fileSystem.CreateRoot(), mount);
        Caller caller = _tree.Caller with { Root = mount.Root, WorkingDirectory = mount.Root };
        Dentry held = Find("/a/b/7");
        for (int i = 10; i < 40; i++)
            Find($"/a/b/{i}");
        Assert.InRange(cache.NameCount, 1, 4);
        Assert.Same(held, Find("/a/b/7"));
        Assert.Same(held.Parent, Find("/a/b"));
        // What has taken its name is another.
        Directory.Move(Host("work/a/b/7"), Host("work/a/b/was7"));
        Directory.CreateDirectory(Host("work/a/b/7"));
        Assert.NotSame(held, Find("/a/b/7"));
        // A rename by the guest takes it along.
        Dentry moved = Find("/a/b/8");
        Assert.Equal(0, _tree.Rename("/a/b/8", "/a/moved", caller: caller));
        for (int i = 10; i < 20; i++)
            Find($"/a/b/{i}");
        Assert.Same(moved, Find("/a/moved"));

        Dentry Find(string path)
        {
            Assert.Equal(0, _tree.Resolve(path, out Dentry? found, WalkFlags.None, caller));
            return found!;
        }
    }

    [Fact]
    public void HostFilesOpenAtOnceAreBounded()
    {
        HostTreeCache cache = new(maximumFiles: 3);
        using FileDescriptor root = FileDescriptor.Open(Host("read"), O_PATH | O_DIRECTORY);
        HostFileSystem fileSystem = new(
            makedev(0, 99), root, true, false, HostIdentities.OfThisProcess(1, 1), cache, static () => makedev(0, 100));
        Mount mount = new(1, fileSystem, true, "host", new FileWatches());
        mount.Root = new Dentry(null, [], fileSystem.CreateRoot(), mount);
        Caller caller = _tree.Caller with { Root = mount.Root, WorkingDirectory = mount.Root };
        List<OpenFile> open = [];
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(0, _tree.Open(i == 0 ? "/" : "/file", O_RDONLY, out OpenFile? file, caller: caller));
            open.Add(file!);
        }
        Assert.Equal(-ENFILE, _tree.Try("/file", O_RDONLY, caller));
        Assert.Equal(-ENFILE, _tree.Try("/", O_RDONLY, caller));
        open[0].Release();
        Assert.Equal(0, _tree.Try("/file", O_RDONLY, caller));
        Assert.Equal(0, _tree.Try("/", O_RDONLY, caller));
        open[1].Release();
        open[2].Release();
    }

    [Fact]
    public void APlannedPlaceCoversTheHostsAndCannotBeMoved()
    {
        Directory.CreateDirectory(Host("work/sub/inner"));
        File.WriteAllText(Host("work/sub/inner/hidden"), "");
        File.WriteAllText(Host("work/sub/beside"), "");
        Assert.Equal("inner", _tree.Read("/work/sub/inner/file"));
        Assert.Equal(-ENOENT, _tree.Resolve("/work/sub/inner/hidden"));
        Assert.Equal(-EBUSY, _tree.Rename("/work/sub", "/work/elsewhere"));
        Assert.Equal(-EBUSY, _tree.RemoveDirectory("/work/sub"));
        Assert.Equal(-EROFS, _tree.RemoveDirectory("/work/sub/inner"));
        Assert.Equal(-EROFS, _tree.Try("/work/sub/inner/new", O_CREAT | O_RDWR));
    }

    [Fact]
    public void ListingShowsWhatIsThere()
    {
        File.WriteAllText(Host("work/a"), "");
        Assert.Equal([".", "..", "a", "sub"], _tree.List("/work").Order(StringComparer.Ordinal));
        Assert.Equal([".", "..", "inner"], _tree.List("/work/sub").Order(StringComparer.Ordinal));
        Assert.Equal([".", "..", "file"], _tree.List("/read", 48).Order(StringComparer.Ordinal));
        Assert.Contains("usr", _tree.List("/"));
    }

    [Fact]
    public void ADirectoryMovedAwayTakesNobodyOut()
    {
        Directory.CreateDirectory(Host("work/a/b"));
        File.WriteAllText(Host("secret"), "canary");
        Caller inside = _tree.Caller with { WorkingDirectory = _tree.Find("/work/a/b") };
        Directory.Move(Host("work/a/b"), Host("b"));
        // The host's parent of the directory now holds the canary; the guest's parent is still /work/a.
        Assert.Equal(0, _tree.Resolve("..", out Dentry? parent, caller: inside));
        Assert.Equal("/work/a", parent!.ToString());
        Assert.Equal(-ENOENT, _tree.Resolve("../secret", caller: inside));
        Assert.Equal(-ENOENT, _tree.Resolve("../../secret", caller: inside));
        ((HostFileSystem)parent.Inode.FileSystem).Cache.Drop((HostInode)inside.WorkingDirectory.Inode);
        Assert.Equal(-ENOENT, _tree.Resolve("anything", caller: inside));
    }

    [Fact]
    public void MappingsNameGuestDevices()
    {
        File.WriteAllText(Host("work/a"), "x");
        OpenFile file = _tree.MustOpen("/work/a", O_RDWR);
        InodeStatus status = _tree.Status("/work/a");
        Assert.Equal((status.Device, status.Number), file.Mappable!.Identity);
        Assert.Equal(0u, major(status.Device));
        OpenFile read = _tree.MustOpen("/read/file", O_RDONLY);
        Assert.False(((Vmm.Memory.HostFileMapping)read.Mappable!).Writable);
        Assert.NotEqual(file.Mappable!.Identity.Device, read.Mappable!.Identity.Device);
        file.Release();
        read.Release();
    }

    public void Dispose() => _tree.Dispose();
}
