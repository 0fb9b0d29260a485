using Sandbox.Host;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Images;
using Sandbox.Supervisor.Kernels;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Machine;
using Sandbox.Supervisor.Planning;
using Sandbox.Supervisor.Tests.Kernels;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests;

/// <summary>
/// Links that somebody puts in the way while the supervisor, which may be root's, looks at a path, reads or writes there.
/// </summary>
public sealed class SwappedLinkTests : IDisposable
{
    const string Secret = "what only root may read, and nobody should find elsewhere";

    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("swapped-");

    public SwappedLinkTests()
    {
        Directory.CreateDirectory(In("granted"));
        Directory.CreateDirectory(In("other"));
        File.WriteAllText(In("other/secret"), Secret);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    string In(string name) => Path.Combine(_folder.FullName, name);

    /// <summary>As long as an action runs, two names are exchanged again and again, each time in one step.</summary>
    static unsafe void WhileSwapping(string one, string other, Action action)
    {
        using CancellationTokenSource end = new();
        Thread swapper = new(() =>
        {
            while (!end.IsCancellationRequested)
            {
                fixed (byte* first = Bytes(one), second = Bytes(other))
                    if (renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE) != 0)
                        return;
                Thread.Yield();
            }
        });
        swapper.Start();
        try
        {
            action();
        }
        finally
        {
            end.Cancel();
            swapper.Join();
        }

        static byte[] Bytes(string path) => System.Text.Encoding.UTF8.GetBytes(path + '\0');
    }

    static ulong Inode(FileDescriptor file)
    {
        Assert.Equal(0, file.GetStatus(out stat status));
        return status.st_ino;
    }

    ulong Inode(string name)
    {
        using FileDescriptor file = FileDescriptor.Open(In(name), O_PATH | O_NOFOLLOW);
        return Inode(file);
    }

    /// <summary>A folder, and a link to another: whichever is met, its own path was checked and it is what the guest has.</summary>
    [Flaw("CVE-2026-1386")]
    [Fact]
    public void WhatAGuestIsGivenIsWhatWasLookedAt()
    {
        ulong granted = Inode("granted"), other = Inode("other");
        File.CreateSymbolicLink(In("link"), In("other"));
        HashSet<ulong> met = [];
        WhileSwapping(In("granted"), In("link"), () =>
        {
            for (int round = 0; round < 20_000 && (round < 500 || met.Count < 2); round++)
            {
                (MountSource source, FileDescriptor file) =
                    MountOpener.Open(new MountArgument(In("granted"), "/guest", true), null);
                using (file)
                {
                    ulong inode = Inode(file);
                    met.Add(inode);
                    Assert.Equal(inode == other, source.RealPath == In("other"));
                    Assert.Contains(inode, (ulong[])[granted, other]);
                }
            }
        });
        Assert.Equal(2, met.Count);
    }

    /// <summary>A file of a tree that is packed, and a link to a secret.</summary>
    [Flaw("CVE-2026-1386")]
    [Fact]
    public void NothingBehindALinkGetsIntoAnImage()
    {
        Assert.SkipUnless(File.Exists(ImagePacker.Program), "squashfs-tools is not installed");
        File.WriteAllText(In("granted/file"), Secret.Replace("root", "this"));
        File.CreateSymbolicLink(In("link"), In("other/secret"));
        ImageCache cache = new(In("cache"));
        int packed = 0, refused = 0;
        WhileSwapping(In("granted/file"), In("link"), () =>
        {
            for (int round = 0; round < 30; round++)
            {
                using FileDescriptor tree = FileDescriptor.Open(In("granted"), O_RDONLY | O_DIRECTORY);
                try
                {
                    cache.Open(tree, "granted").Dispose();
                    packed++;
                }
                catch (UsageException)
                {
                    refused++;
                }
            }
        });
        Assert.Equal(30, packed + refused);
        // Nothing in an image is compressed.
        Assert.All(Directory.GetFiles(In("cache"), "*.squashfs"), image =>
            Assert.Equal(-1, File.ReadAllBytes(image).AsSpan().IndexOf(System.Text.Encoding.ASCII.GetBytes(Secret))));
    }

    /// <summary>What is left of an interrupted start may be a link by now.</summary>
    [Flaw("CVE-2026-1386")]
    [Fact]
    public void AnImageIsNotWrittenThroughALink()
    {
        Assert.SkipUnless(File.Exists(ImagePacker.Program), "squashfs-tools is not installed");
        ImageCache cache = new(In("cache"));
        using FileDescriptor tree = FileDescriptor.Open(In("granted"), O_RDONLY | O_DIRECTORY);
        cache.Open(tree, "granted").Dispose();
        string image = Directory.GetFiles(In("cache"), "*.squashfs").Single();
        File.Delete(image);
        File.CreateSymbolicLink(image + ".new", In("other/secret"));
        cache.Open(tree, "granted").Dispose();
        Assert.Null(new FileInfo(image).LinkTarget);
        Assert.Equal(Secret, File.ReadAllText(In("other/secret")));
    }

    [Flaw("CVE-2026-1386")]
    [Fact]
    public void WhatIsKeptIsNotKeptBehindALink()
    {
        File.CreateSymbolicLink(In("cache"), In("other"));
        Assert.Throws<HostException>(() => CachePlace.Make(In("cache")));
        File.WriteAllBytes(In("kernel"), KernelTests.BzImage());
        Assert.Throws<HostException>(() => new KernelStore(In("cache")).Add(In("kernel"), "name"));
        Assert.Equal([In("other/secret")], Directory.GetFileSystemEntries(In("other")));
    }

    /// <summary>A module, and a link to a secret of the same name: the link is refused, and so is what is no file.</summary>
    [Flaw("CVE-2026-1386")]
    [Fact]
    public void NoModuleIsReadThroughALink()
    {
        File.WriteAllText(In("granted/ext4.ko"), "\u007fELF");
        File.CreateSymbolicLink(In("link"), In("other/secret"));
        int read = 0, refused = 0;
        WhileSwapping(In("granted/ext4.ko"), In("link"), () =>
        {
            for (int round = 0; round < 20_000 && (round < 500 || read == 0 || refused == 0); round++)
            {
                try
                {
                    Assert.Equal("\u007fELF"u8.ToArray(), ModuleFile.Read(In("granted/ext4.ko")));
                    read++;
                }
                catch (UsageException)
                {
                    refused++;
                }
            }
        });
        Assert.True(read > 0 && refused > 0, $"{read} read, {refused} refused");
        OneLine.Refuses("it is no file", () => ModuleFile.Read("/dev/null"));
    }
}
