using System.Diagnostics;
using Sandbox.Host;
using Sandbox.Supervisor.Images;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.Images;

/// <summary>Directories as images: when they are packed, what is kept of them, and what is refused.</summary>
public sealed class ImageCacheTests : IDisposable
{
    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("images-");
    readonly string _tree;
    readonly string _cache;
    readonly ImageCache _images;

    public ImageCacheTests()
    {
        _tree = Path.Combine(_folder.FullName, "tree");
        _cache = Path.Combine(_folder.FullName, "cache");
        _images = new ImageCache(_cache);
        Directory.CreateDirectory(Path.Combine(_tree, "etc"));
        File.WriteAllText(Path.Combine(_tree, "etc/name"), "one");
        File.CreateSymbolicLink(Path.Combine(_tree, "secret"), "/etc/passwd");
        File.CreateSymbolicLink(Path.Combine(_tree, "away"), "/etc");
        Settle();
    }

    public void Dispose() => _folder.Delete(recursive: true);

    static void NeedPacker() => Assert.SkipUnless(File.Exists(ImagePacker.Program), "squashfs-tools is not installed");

    /// <summary>All times of modification are the same, so that a copy with the same content is the same tree.</summary>
    /// <remarks>By find(1), which follows no link: what the runtime enumerates, it enters through links.</remarks>
    void Settle() =>
        Assert.Equal(0, Process("find", "-P", _tree, "-exec", "touch", "-h", "-d", "@1000000000", "{}", "+"));

    static int Process(string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true };
        using Process process = System.Diagnostics.Process.Start(start)!;
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }

    /// <returns>The inode of the image.</returns>
    ulong Open(string? tree = null)
    {
        using FileDescriptor folder = FileDescriptor.Open(tree ?? _tree, O_RDONLY | O_DIRECTORY);
        using FileDescriptor image = _images.Open(folder, "tree");
        byte[] magic = new byte[4];
        Assert.Equal(4, image.ReadAt(magic, 0));
        Assert.Equal("hsqs"u8.ToArray(), magic);
        Assert.Equal(0, image.GetStatus(out stat status));
        return status.st_ino;
    }

    string[] Images => Directory.GetFiles(_cache, "*.squashfs");

    [Fact]
    public void TheSameContentIsTheSameImageWhereverItIs()
    {
        NeedPacker();
        ulong first = Open();
        Assert.Equal(first, Open());
        string copy = Path.Combine(_folder.FullName, "copy");
        Assert.Equal(0, Process("cp", "-a", _tree, copy));
        Assert.Equal(first, Open(copy));
        Assert.Single(Images);
        Assert.Empty(Directory.GetFiles(_cache, "*.new"));
    }

    /// <summary>As by somebody who writes to a page of it that he has mapped, which no time tells.</summary>
    [Fact]
    public void WhatIsChangedUnseenWhileATreeIsPackedIsInNoOthersImage()
    {
        NeedPacker();
        string copy = Path.Combine(_folder.FullName, "copy"), other = Path.Combine(_folder.FullName, "other");
        Assert.Equal(0, Process("cp", "-a", _tree, copy));
        Assert.Equal(0, Process("cp", "-a", _tree, other));
        File.WriteAllText(Path.Combine(other, "etc/name"), "changed");
        string packer = Path.Combine(_folder.FullName, "packer");
        File.WriteAllText(packer, $"#!/bin/sh\ncd '{other}' && exec {ImagePacker.Program} \"$@\"\n");
        File.SetUnixFileMode(packer, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        using (FileDescriptor tree = FileDescriptor.Open(copy, O_RDONLY | O_DIRECTORY))
            new ImageCache(_cache) { Packer = packer }.Open(tree, "copy").Dispose();
        string changed = Images.Single();
        Open();
        string list = Path.Combine(_folder.FullName, "out");
        Assert.Equal(0, Process("unsquashfs", "-no-progress", "-d", list, Images.Single(image => image != changed)));
        Assert.Equal("one", File.ReadAllText(Path.Combine(list, "etc/name")));
    }

    [Fact]
    public void AnImageHoldsTheTreeAsItIsAndNothingBehindItsLinks()
    {
        NeedPacker();
        Open();
        string list = Path.Combine(_folder.FullName, "out");
        Assert.Equal(0, Process("unsquashfs", "-no-progress", "-d", list, Images.Single()));
        Assert.Equal("one", File.ReadAllText(Path.Combine(list, "etc/name")));
        Assert.Equal("/etc/passwd", new FileInfo(Path.Combine(list, "secret")).LinkTarget);
        Assert.Equal("/etc", new FileInfo(Path.Combine(list, "away")).LinkTarget);
        Assert.Equal(3, Directory.GetFileSystemEntries(list).Length);
    }

    public static TheoryData<string> Changes =>
    [
        "echo two >etc/name", "mv etc/name etc/other", "chmod 600 etc/name", "ln -sfn /etc/group secret", "mkfifo pipe", "touch etc/name",
        "ln etc/name again", "mkdir new", "rm away", "chmod 700 etc",
    ];

    [Theory]
    [MemberData(nameof(Changes))]
    public void EveryChangeIsAnotherImage(string change)
    {
        NeedPacker();
        ulong first = Open();
        Assert.Equal(0, Process("sh", "-c", $"cd '{_tree}' && {change}"));
        Assert.NotEqual(first, Open());
        Assert.Equal(2, Images.Length);
    }

    [Fact]
    public void WhichNamesAreOneFileIsPartOfATree()
    {
        NeedPacker();
        Assert.Equal(0, Process("sh", "-c", $"cd '{_tree}' && echo x >a && ln a b && cp a c && ln c d"));
        Settle();
        ulong first = Open();
        Assert.Equal(0, Process("sh", "-c", $"cd '{_tree}' && ln -f a c && ln -f d b"));
        Settle();
        Assert.NotEqual(first, Open());
    }

    [Fact]
    public void ExtendedAttributesArePartOfATree()
    {
        NeedPacker();
        ulong first = Open();
        string script = $"import os; os.setxattr('{_tree}/etc/name', 'user.a', b'1')";
        Assert.SkipUnless(Process("python3", "-c", script) == 0, "no extended attributes here");
        Assert.NotEqual(first, Open());
    }

    [Fact]
    public void ATreeThatWasNotTouchedIsNotReadAgain()
    {
        NeedPacker();
        // The time of change cannot be set: it must have become old.
        Thread.Sleep(TimeSpan.FromSeconds(5));
        ulong first = Open();
        string link = Directory.GetFiles(_cache, "*.tree").Single();
        Assert.Equal(Path.GetFileName(Images.Single()), new FileInfo(link).LinkTarget);
        // Only the link says now what the tree's image is.
        File.Move(Images.Single(), Path.Combine(_cache, "moved.squashfs"));
        File.Delete(link);
        File.CreateSymbolicLink(link, "moved.squashfs");
        Assert.Equal(first, Open());
        // Without its image it is packed anew.
        File.Delete(Path.Combine(_cache, "moved.squashfs"));
        Open();
        Assert.Single(Images);
    }

    [Fact]
    public void AFreshTreeIsNotTakenForSettled()
    {
        NeedPacker();
        File.WriteAllText(Path.Combine(_tree, "now"), "");
        Open();
        Assert.Empty(Directory.GetFiles(_cache, "*.tree"));
    }

    [Fact]
    public void WhatAnInterruptionLeftIsNeverUsedAndGoes()
    {
        NeedPacker();
        Open();
        string image = Images.Single(), half = image + ".new";
        File.Delete(image);
        File.WriteAllText(half, "hsqs, the beginning");
        Open();
        Assert.True(new FileInfo(image).Length > 1000);
        Assert.False(File.Exists(half));
    }

    [Fact]
    public void StartsAtTheSameTimeHaveOneImage()
    {
        NeedPacker();
        ulong[] inodes = new ulong[4];
        Parallel.For(0, inodes.Length, new ParallelOptions { MaxDegreeOfParallelism = inodes.Length }, i => inodes[i] = Open());
        Assert.Single(inodes.Distinct());
        Assert.Single(Images);
    }

    [Fact]
    public void WhatWasNotUsedForLongestGoesFirst()
    {
        Directory.CreateDirectory(_cache);
        foreach ((string name, int age) in new[] { ("old", 3), ("used", 1), ("older", 4), ("middle", 2) })
        {
            string file = Path.Combine(_cache, name + ".squashfs");
            File.WriteAllBytes(file, new byte[1000]);
            File.SetLastAccessTimeUtc(file, DateTime.UtcNow.AddDays(-age));
        }

        File.CreateSymbolicLink(Path.Combine(_cache, "a.tree"), "older.squashfs");
        File.CreateSymbolicLink(Path.Combine(_cache, "b.tree"), "used.squashfs");
        using FileDescriptor place = FileDescriptor.Open(_cache, O_RDONLY | O_DIRECTORY);
        // The one that is used now counts, and stays whatever its age.
        Assert.Equal(2000, _images.RemoveBeyond(place, "old.squashfs", 2000));
        Assert.Equal(["b.tree", "old.squashfs", "used.squashfs"], Directory.GetFileSystemEntries(_cache).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void ClearingRemovesAll()
    {
        Assert.Equal(0, _images.Clear());
        Directory.CreateDirectory(_cache);
        File.WriteAllBytes(Path.Combine(_cache, "a.squashfs"), new byte[1000]);
        Assert.Equal(1000, _images.Clear());
        Assert.Empty(Images);
    }

    [Fact]
    public void WhatCannotBePackedIsRefusedInOneLine()
    {
        using FileDescriptor tree = FileDescriptor.Open(_tree, O_RDONLY | O_DIRECTORY);
        OneLine.Refuses("install the package squashfs-tools", () =>
        {
            ImagePacker.Pack(tree, Path.Combine(_folder.FullName, "image"), "tree", "/nonexistent/mksquashfs");
            return null;
        });
        OneLine.Refuses("packing 'tree' failed: mksquashfs did not say why", () =>
        {
            ImagePacker.Pack(tree, Path.Combine(_folder.FullName, "image"), "tree", "/bin/false");
            return null;
        });
        using FileDescriptor above = FileDescriptor.Open(_folder.FullName, O_RDONLY | O_DIRECTORY);
        OneLine.Refuses("holds the folder in which its image would be kept", () => _images.Open(above, "above"));
        string deep = Path.Combine(_tree, string.Join('/', Enumerable.Repeat("d", TreeWalk.MaximumDepth + 2)));
        Directory.CreateDirectory(deep);
        OneLine.Refuses("folders deep", () => _images.Open(tree, "tree"));
    }

    [Fact]
    public void AMountPointInATreeIsRefused()
    {
        using FileDescriptor root = FileDescriptor.Open("/", O_RDONLY | O_DIRECTORY);
        Assert.SkipUnless(File.Exists("/proc/self/stat"), "/proc is not mounted");
        OneLine.Refuses("is a mount point", () =>
        {
            TreeWalk.Visit(root, new OnlyLooks());
            return null;
        });
    }

    sealed class OnlyLooks : ITreeVisitor
    {
        public void Visit(scoped in TreeEntry entry)
        {
        }
    }

    [Theory]
    [InlineData(0u, "/c", "/h", "/var/lib/sandbox/images")]
    [InlineData(1u, "/c", "/h", "/c/sandbox/images")]
    [InlineData(1u, "relative", "/h", "/h/.cache/sandbox/images")]
    [InlineData(1u, null, "/h", "/h/.cache/sandbox/images")]
    public void EachUserHasAPlace(uint user, string? cache, string? home, string expected) =>
        Assert.Equal(expected, CachePlace.Find("images", user, cache, home));

    [Fact]
    public void WithoutAHomeThereIsNoPlace() => Assert.Null(CachePlace.Find("images", 1, "", null));

    [Fact]
    public void WhatAKilledPackerHasLeftIsRemovedUnlessSomebodyPacks()
    {
        _images.RemoveUnfinished();
        Assert.False(Directory.Exists(_cache));
        using (CachePlace.Make(_cache))
            File.WriteAllText(Path.Combine(_cache, "image.squashfs"), "");
        _images.RemoveUnfinished();
        Assert.False(File.Exists(Path.Combine(_cache, ".lock")), "a folder that is read-only has none");
        string half = Path.Combine(_cache, "half.squashfs.new");
        File.WriteAllText(half, "");
        using (FileDescriptor place = CachePlace.Make(_cache))
        using (CachePlace.Lock(place, _cache))
        {
            _images.RemoveUnfinished();
            Assert.True(File.Exists(half));
        }

        _images.RemoveUnfinished();
        Assert.False(File.Exists(half));
        Assert.Single(Images);
    }

    [Fact]
    public void AFolderThatOthersMayWriteToIsNoCache()
    {
        Directory.CreateDirectory(_cache);
        File.SetUnixFileMode(_cache, (UnixFileMode)0b111_111_111);
        OneLine.Refuses("others can write to it", () => CachePlace.Make(_cache));
    }
}
