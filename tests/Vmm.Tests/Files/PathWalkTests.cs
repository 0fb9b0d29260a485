using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

public sealed class PathWalkTests : IDisposable
{
    private readonly GuestTree _tree = new(
        4 << 20,
        _ => GuestTree.Folder("/etc"),
        _ => GuestTree.Text("/etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
        _ => GuestTree.Symlink("/link", "etc"),
        _ => GuestTree.Symlink("/absolute", "/etc/passwd"),
        _ => GuestTree.Symlink("/dangling", "/nowhere/at/all"),
        _ => GuestTree.Symlink("/self", "self"),
        _ => GuestTree.Symlink("/ping", "pong"),
        _ => GuestTree.Symlink("/pong", "ping"),
        _ => GuestTree.Symlink("/up", "../../../.."),
        _ => GuestTree.Symlink("/empty-up", "etc/../etc/./passwd"),
        _ => GuestTree.Temporary("/home/user/data", 0x1ed));

    [Theory]
    [InlineData("/", "/")]
    [InlineData("//", "/")]
    [InlineData("/.", "/")]
    [InlineData("/..", "/")]
    [InlineData("/../../..", "/")]
    [InlineData(".", "/")]
    [InlineData("..", "/")]
    [InlineData("etc/passwd", "/etc/passwd")]
    [InlineData("/etc//passwd", "/etc/passwd")]
    [InlineData("/etc/./passwd", "/etc/passwd")]
    [InlineData("/etc/../etc/passwd", "/etc/passwd")]
    [InlineData("/link", "/etc")]
    [InlineData("/link/", "/etc")]
    [InlineData("/link/passwd", "/etc/passwd")]
    [InlineData("/absolute", "/etc/passwd")]
    [InlineData("/up", "/")]
    [InlineData("/up/etc/passwd", "/etc/passwd")]
    [InlineData("/up/up/up/link/../link/passwd", "/etc/passwd")]
    [InlineData("/empty-up", "/etc/passwd")]
    [InlineData("/home", "/home")]
    [InlineData("/home/user/data/..", "/home/user")]
    [InlineData("/home/user/data/../../../tmp", "/tmp")]
    public void Finds(string path, string expected)
    {
        Assert.Equal(0, _tree.Resolve(path, out Dentry? target));
        Assert.Equal(expected, target!.ToString());
    }

    [Theory]
    [InlineData("", ENOENT)]
    [InlineData("/nowhere", ENOENT)]
    [InlineData("/nowhere/", ENOENT)]
    [InlineData("/nowhere/deeper", ENOENT)]
    [InlineData("/nowhere/..", ENOENT)]
    [InlineData("/etc/passwd/", ENOTDIR)]
    [InlineData("/etc/passwd/x", ENOTDIR)]
    [InlineData("/etc/passwd/.", ENOTDIR)]
    [InlineData("/etc/passwd/..", ENOTDIR)]
    [InlineData("/absolute/", ENOTDIR)]
    [InlineData("/dangling", ENOENT)]
    [InlineData("/dangling/", ENOENT)]
    [InlineData("/self", ELOOP)]
    [InlineData("/self/x", ELOOP)]
    [InlineData("/ping", ELOOP)]
    [InlineData("/ping/", ELOOP)]
    [InlineData("/etc/\n", ENOENT)]
    [InlineData("/etc/passwd\u0001", ENOENT)]
    public void Refuses(string path, int error) => Assert.Equal(-error, _tree.Resolve(path));

    [Fact]
    public void LastLinkIsFollowedOnlyWhenAsked()
    {
        Assert.True(_tree.Find("/link").Inode.IsSymlink);
        Assert.True(_tree.Find("/link/").Inode.IsDirectory);
        Assert.True(_tree.Find("/self").Inode.IsSymlink);
        Assert.True(_tree.Find("/link", WalkFlags.Follow).Inode.IsDirectory);
    }

    [Fact]
    public void NamesAndPathsHaveTheKernelsLimits()
    {
        Assert.Equal(-ENOENT, _tree.Resolve("/tmp/" + new string('a', 255)));
        Assert.Equal(-ENAMETOOLONG, _tree.Resolve("/tmp/" + new string('a', 256)));
        Assert.Equal(-ENAMETOOLONG, _tree.Resolve("/tmp/" + new string('a', 256) + "/x"));
        Assert.Equal(0, _tree.Resolve(new string('/', 4095)));
        Assert.Equal(-ENAMETOOLONG, _tree.Resolve(new string('/', 4096)));
        Assert.Equal(0, _tree.Resolve(string.Concat(Enumerable.Repeat("../", 1300)) + "etc"));
        // A file comes before what would follow it.
        Assert.Equal(-ENOTDIR, _tree.Resolve("/etc/passwd/" + new string('a', 256)));
    }

    [Fact]
    public void FortyLinksAreFollowedAndFortyOneAreNot()
    {
        Assert.Equal(0, _tree.MakeSymlink("/etc/passwd", "/tmp/0"));
        for (int i = 1; i <= 40; i++)
            Assert.Equal(0, _tree.MakeSymlink($"/tmp/{i - 1}", $"/tmp/{i}"));
        Assert.Equal(0, _tree.Resolve("/tmp/39"));
        Assert.Equal(-ELOOP, _tree.Resolve("/tmp/40"));
        Assert.Equal(0, _tree.Resolve("/tmp/40", WalkFlags.None));
    }

    [Fact]
    public void LinksInTheMiddleGrowThePathWithinBounds()
    {
        // Every link doubles what is left to walk; only the number of links ends it.
        string text = string.Concat(Enumerable.Repeat("./", 1500)) + "grow/grow";
        Assert.Equal(0, _tree.MakeSymlink(text, "/tmp/grow"));
        Assert.Equal(-ELOOP, _tree.Resolve("/tmp/grow/x"));
    }

    [Fact]
    public void RestrictionsOfOpenat2Hold()
    {
        Dentry etc = _tree.Find("/etc");
        Dentry home = _tree.Find("/home");
        long Walk(Dentry start, string path, WalkFlags flags) => VirtualFileSystem.Resolve(
            _tree.Caller, start, Encoding.UTF8.GetBytes(path), flags | WalkFlags.Follow, out _);

        Assert.Equal(0, Walk(etc, "passwd", WalkFlags.Beneath));
        Assert.Equal(-EXDEV, Walk(etc, "..", WalkFlags.Beneath));
        Assert.Equal(-EXDEV, Walk(etc, "../etc/passwd", WalkFlags.Beneath));
        Assert.Equal(-EXDEV, Walk(etc, "/etc/passwd", WalkFlags.Beneath));
        Assert.Equal(0, Walk(_tree.Tree.Root, "home/../etc", WalkFlags.Beneath));
        Assert.Equal(-EXDEV, Walk(_tree.Tree.Root, "absolute", WalkFlags.Beneath));
        Assert.Equal(0, Walk(etc, "../../passwd", WalkFlags.InRoot));
        Assert.Equal(0, Walk(etc, "/passwd", WalkFlags.InRoot));
        Assert.Equal(-ENOENT, Walk(etc, "/etc/passwd", WalkFlags.InRoot));
        Assert.Equal(-ELOOP, Walk(_tree.Tree.Root, "link/passwd", WalkFlags.NoSymlinks));
        Assert.Equal(0, Walk(home, "user", WalkFlags.NoCrossing));
        Assert.Equal(-EXDEV, Walk(home, "user/data", WalkFlags.NoCrossing));
    }

    /// <summary>Something happens while a walk stands here.</summary>
    private sealed class Trap(FileSystem fileSystem, Action spring) : Inode(fileSystem, 0, S_IFDIR)
    {
        public override long CheckAccess(Dentry self, Credentials credentials, int mask)
        {
            spring();
            return 0;
        }

        public override long GetStatus(Dentry self, out InodeStatus status) => throw new NotSupportedException();

        public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file) =>
            throw new NotSupportedException();
    }

    [Theory]
    [InlineData(WalkFlags.None, 0)]
    [InlineData(WalkFlags.Beneath, -EAGAIN)]
    [InlineData(WalkFlags.InRoot, -EAGAIN)]
    public void ADirectoryThatIsMovedOutDoesNotLeadOut(WalkFlags flags, long expected)
    {
        foreach (string path in (string[])["/tmp/start", "/tmp/start/in", "/tmp/out", "/tmp/secret"])
            Assert.Equal(0, _tree.MakeDirectory(path));
        Dentry start = _tree.Find("/tmp/start"), inside = _tree.Find("/tmp/start/in");
        long moved = -1;
        Trap trap = new(inside.Inode.FileSystem, () => moved = _tree.Rename("/tmp/start/in", "/tmp/out/in"));
        inside.Pin(new Dentry(inside, "deep"u8.ToArray(), trap, inside.Mount));
        Assert.Equal(expected, VirtualFileSystem.Resolve(
            _tree.Caller, start, "in/deep/../../../secret"u8, flags, out Dentry? target));
        Assert.Equal(0, moved);
        Assert.Equal(expected == 0 ? "/tmp/secret" : null, target?.ToString());
    }

    [Fact]
    public void AnotherDentryOfADirectoryIsTheSamePlace()
    {
        using GuestTree tree = new(4 << 20, GuestTree.Grant("data", "/data", writable: true));
        Assert.Equal(0, tree.MakeDirectory("/data/jail"));
        Assert.Equal(0, tree.MakeDirectory("/data/jail/inner"));
        tree.Write("/data/secret", "x");
        Dentry jail = tree.Find("/data/jail"), inner = tree.Find("/data/jail/inner");
        // As after the first one has been forgotten and found again.
        Dentry again = new(jail.Parent, jail.Name, jail.Inode, jail.Mount);
        Caller jailed = tree.Caller with { Root = again, WorkingDirectory = inner };
        Assert.Equal(-ENOENT, tree.Resolve("../../secret", caller: jailed));
        Assert.Equal(0, tree.Resolve("../../..", out Dentry? top, caller: jailed));
        Assert.Same(jail, top);
        Assert.Equal(0, tree.Resolve("../../secret", caller: jailed with { Root = tree.Tree.Root }));
    }

    [Fact]
    public void OpeningForCreationCrossesNoMountEither()
    {
        using GuestTree tree = new(4 << 20, _ => GuestTree.Folder("/home"), GrantFile("plain", "/home/plain"));
        long Open(int flags, WalkFlags restrictions)
        {
            long result = tree.Tree.Open(
                tree.Caller, tree.Find("/home"), "plain"u8, flags, 0x1b6, restrictions, out OpenFile? file);
            file?.Release();
            return result;
        }

        Assert.Equal(-EXDEV, Open(O_RDWR, WalkFlags.NoCrossing));
        Assert.Equal(-EXDEV, Open(O_RDWR | O_CREAT, WalkFlags.NoCrossing));
        Assert.Equal(0, Open(O_RDWR | O_CREAT, WalkFlags.Beneath));
    }

    private static Func<GuestTree, GuestFile> GrantFile(string name, string guestPath) => tree =>
    {
        File.WriteAllText(tree.HostPath(name), "");
        tree.Descriptors.Add(FileDescriptor.Open(tree.HostPath(name), O_RDWR));
        return new GuestFile
        {
            Kind = GuestFileKind.Host, Path = guestPath, Writable = true, Descriptor = tree.Descriptors.Count - 1,
        };
    };

    [Fact]
    public void ARootDirectoryEndsTheWayUp()
    {
        Assert.Equal(0, _tree.MakeDirectory("/tmp/jail"));
        Assert.Equal(0, _tree.MakeDirectory("/tmp/jail/inner"));
        Dentry jail = _tree.Find("/tmp/jail");
        Caller jailed = _tree.Caller with { Root = jail, WorkingDirectory = jail };
        Assert.Equal(0, _tree.Resolve("../../../inner", out Dentry? target, caller: jailed));
        Assert.Equal("/tmp/jail/inner", target!.ToString());
        Assert.Equal("/inner", Encoding.UTF8.GetString(target.GetPath(jail)));
        Assert.Equal(-ENOENT, _tree.Resolve("/etc/passwd", caller: jailed));
        Assert.Equal(0, _tree.MakeSymlink("/inner", "/tmp/jail/link"));
        Assert.Equal(0, _tree.Resolve("/link", out target, caller: jailed));
        Assert.Equal("/tmp/jail/inner", target!.ToString());
        Assert.StartsWith("(unreachable)", Encoding.UTF8.GetString(_tree.Find("/etc").GetPath(jail)));
    }

    [Fact]
    public void SearchPermissionIsNeededOnEveryDirectory()
    {
        Assert.Equal(0, _tree.MakeDirectory("/tmp/closed"));
        _tree.Write("/tmp/closed/file", "x");
        Dentry closed = _tree.Find("/tmp/closed");
        Assert.Equal(0, VirtualFileSystem.ChangeMode(_tree.Caller, closed, null, 0x180));
        Assert.Equal(-EACCES, _tree.Resolve("/tmp/closed/file"));
        Assert.Equal(-EACCES, _tree.Resolve("/tmp/closed/.."));
        Assert.Equal(0, _tree.Resolve("/tmp/closed"));
        Assert.Equal(0, _tree.Resolve("/tmp/closed/file", caller: _tree.Superuser));
        Caller other = _tree.Caller with { Credentials = Credentials.Of(2000, 2000) };
        Assert.Equal(-EACCES, _tree.Resolve("/tmp/closed/file", caller: other));
    }

    [Fact]
    public void RandomPathsNeverLeaveTheTree()
    {
        string[] pieces =
            ["..", ".", "", "etc", "passwd", "link", "absolute", "dangling", "ping", "up", "tmp", "home", "user", "data",
             "\u0000", "\u00ff", new string('x', 255), new string('x', 256), "/", "//"];
        Random random = new(20240229);
        for (int i = 0; i < 20000; i++)
        {
            string path = string.Join('/', Enumerable.Range(0, random.Next(12)).Select(_ => pieces[random.Next(pieces.Length)]));
            if (random.Next(2) == 0)
                path = "/" + path;
            long result = _tree.Resolve(path, out Dentry? target);
            Assert.Contains(result, new long[] { 0, -ENOENT, -ENOTDIR, -ELOOP, -ENAMETOOLONG });
            if (result == 0)
                Assert.True(_tree.Tree.Root.IsAncestorOf(target!), path);
        }
    }

    public void Dispose() => _tree.Dispose();
}
