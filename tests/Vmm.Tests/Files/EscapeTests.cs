using System.Diagnostics;
using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

/// <summary>
/// An adversary with write access to a granted directory (a guest, or somebody on the host) renames directories and
/// swaps files, directories and links while the VMM resolves paths. Nothing outside may ever be opened or changed.
/// </summary>
public sealed class EscapeTests : IDisposable
{
    private const string Canary = "canary: outside of the grant";
    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(2);

    private readonly GuestTree _tree = new(4 << 20, GuestTree.Grant("grant", "/grant", writable: true));

    private string Host(string path) => _tree.HostPath(path.Split('/'));

    private string Inside(string path) => Host("grant/" + path);

    public EscapeTests()
    {
        Directory.CreateDirectory(Host("outside/a/b"));
        foreach (string place in new[] { "outside/file", "outside/a/file", "outside/a/b/file", "file" })
            File.WriteAllText(Host(place), Canary);
        Directory.CreateDirectory(Inside("a/b"));
        Directory.CreateDirectory(Inside("spare/a/b"));
        foreach (string place in new[] { "file", "a/file", "a/b/file", "spare/a/b/file" })
            File.WriteAllText(Inside(place), "inside");
        File.CreateSymbolicLink(Inside("link"), Host("outside"));
        File.CreateSymbolicLink(Inside("up"), "../outside");
    }

    [Fact]
    public async Task NoRaceLeadsOutside()
    {
        using CancellationTokenSource stop = new(Duration);
        CancellationToken stopped = stop.Token;
        long resolved = 0, opened = 0;
        Task<long> adversary = Task.Run(() => Swap(stopped), TestContext.Current.CancellationToken);
        string[] paths =
        [
            "/grant/a/b/file", "/grant/a/file", "/grant/a/b/../file", "/grant/a/b/../../file", "/grant/a/b/../../../file",
            "/grant/link/file", "/grant/up/file", "/grant/link/a/b/file", "/grant/a/../../outside/file",
            "/grant/up/../file", "/grant/a/b/../../../../file", "/grant/a/link/file", "/grant/x/file", "/grant/file",
        ];
        Random random = new(7);
        byte[] buffer = new byte[64];
        while (!stop.IsCancellationRequested)
        {
            string path = paths[random.Next(paths.Length)];
            int flags = random.Next(3) switch { 0 => O_RDONLY, 1 => O_RDWR, _ => O_RDWR | O_CREAT };
            resolved++;
            if (_tree.Open(path, flags, out OpenFile? file) == 0)
            {
                opened++;
                long count = file!.ReadAt(buffer, 0);
                Assert.False(
                    count > 0 && Encoding.UTF8.GetString(buffer, 0, (int)count).StartsWith("canary", StringComparison.Ordinal),
                    $"{path} reached the canary");
                if ((flags & O_ACCMODE) == O_RDWR)
                    file.WriteAt("inside"u8, 0);
                file.Release();
            }
            switch (random.Next(8))
            {
                case 0:
                    _tree.Unlink(path);
                    break;
                case 1:
                    if (_tree.Resolve(path, out Dentry? target) == 0)
                    {
                        VirtualFileSystem.ChangeMode(_tree.Caller, target!, null, 0x1b6);
                        VirtualFileSystem.Truncate(_tree.Caller, target!, 6);
                        timespec time = new() { tv_sec = 1 };
                        VirtualFileSystem.ChangeTimes(_tree.Caller, target!, null, time, time, false);
                    }
                    break;
                case 2:
                    _tree.MakeDirectory(path);
                    _tree.RemoveDirectory(path);
                    break;
                case 3:
                    _tree.Rename(path, "/grant/moved");
                    _tree.Rename("/grant/moved", path);
                    break;
            }
        }
        long swaps = await adversary;
        Assert.True(swaps > 100 && resolved > 1000 && opened > 100, $"{swaps} swaps, {resolved} walks, {opened} opened");
        foreach (string place in new[] { "outside/file", "outside/a/file", "outside/a/b/file", "file" })
        {
            Assert.Equal(Canary, File.ReadAllText(Host(place)));
            Assert.NotEqual(1970, File.GetLastWriteTimeUtc(Host(place)).Year);
        }
    }

    /// <summary>Exchanges, atomically, what the guest walks through with links to the outside and with other places.</summary>
    private unsafe long Swap(CancellationToken stop)
    {
        long swaps = 0;
        (string, string)[] pairs =
        [
            ("a", "link"), ("a/b", "up"), ("a", "spare"), ("a/b", "link"), ("file", "link"), ("a/b", "spare/a"),
            ("a/file", "up"), ("spare/a/b", "a"),
        ];
        Random random = new(11);
        using FileDescriptor root = FileDescriptor.Open(Host("grant"), O_PATH | O_DIRECTORY);
        using FileDescriptor outer = FileDescriptor.Open(_tree.HostRoot, O_PATH | O_DIRECTORY);
        while (!stop.IsCancellationRequested)
        {
            (string left, string right) = pairs[random.Next(pairs.Length)];
            // Without following links: the adversary must not carry a canary into the grant itself.
            using FileDescriptor? leftParent = OpenParent(root, left, out byte[] leftName);
            using FileDescriptor? rightParent = OpenParent(root, right, out byte[] rightName);
            if (leftParent is null || rightParent is null)
                continue;
            fixed (byte* from = leftName, to = rightName, away = GuestTree.Bytes("taken\0"))
            {
                if (renameat2(leftParent.Value, from, rightParent.Value, to, RENAME_EXCHANGE) == 0)
                    swaps++;
                // And out of the grant altogether and back, beside the canaries.
                if (renameat2(leftParent.Value, from, outer.Value, away, RENAME_NOREPLACE) == 0)
                {
                    swaps++;
                    renameat2(outer.Value, away, leftParent.Value, from, RENAME_NOREPLACE);
                }
            }
        }
        return swaps;
    }

    private static FileDescriptor? OpenParent(FileDescriptor root, string path, out byte[] name)
    {
        string[] names = path.Split('/');
        name = GuestTree.Bytes(names[^1] + "\0");
        FileDescriptor current = root.Duplicate();
        foreach (string parent in names[..^1])
        {
            int result = FileDescriptor.TryOpenAt(
                current, parent, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, out FileDescriptor? next);
            current.Dispose();
            if (result < 0)
                return null;
            current = next!;
        }
        return current;
    }

    [Fact]
    public void NamesThatMeanMoreToTheHostAreRefused()
    {
        Stopwatch watch = Stopwatch.StartNew();
        Dentry grant = _tree.Find("/grant");
        foreach (string name in new[] { "", ".", "..", "a/b", "../outside/file", "/etc/passwd", "a\0b", "link/file" })
        {
            Assert.NotEqual(0, grant.Inode.Lookup(grant, GuestTree.Bytes(name), _tree.Caller, out Dentry? child));
            Assert.Null(child);
            Assert.NotEqual(0, grant.Inode.MakeDirectory(grant, GuestTree.Bytes(name), 0x1ff, default));
            Assert.NotEqual(0, grant.Inode.MakeSymlink(grant, GuestTree.Bytes(name), "x"u8, default));
            Assert.NotEqual(0, grant.Inode.CreateNode(grant, GuestTree.Bytes(name), S_IFREG | 0x1b6, default, out _));
        }
        Assert.Equal(Canary, File.ReadAllText(Host("outside/file")));
        Assert.True(watch.Elapsed < TimeSpan.FromMinutes(1));
    }

    public void Dispose() => _tree.Dispose();
}
